"""What makes a score too good: said in sentences that the report prints in red."""

from collections.abc import Sequence

import pandas as pd

from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.splits import Fold
from fmrifm.evaluation.twins import shared

SUSPICIOUS_AUC = 0.8
"""Honest ADHD-200 figures are balanced accuracy .57 to .61; above this a leak is likelier than a discovery."""


def leaks(
    *, pretraining: Sequence[str], folds: Sequence[Fold], scans: pd.DataFrame, auc: Score, synthetic: bool
) -> list[str]:
    """Name every leak that can be seen from here.

    Args:
        pretraining: Subjects whose scans the encoder was pretrained on.
        folds: The split.
        scans: Labelled scans with subject and, where known, a hash of the signal.
        auc: The score.
        synthetic: A planted difference may be as strong as its maker wanted.
    """
    found = []
    tested = {subject for fold in folds for subject in fold.test}
    if seen := tested & set(pretraining):
        found.append(
            f"{len(seen)} of {len(tested)} test subjects were in the pretraining set (their scans, not their labels)."
        )
    if both := [subject for fold in folds for subject in set(fold.train) & set(fold.test)]:
        found.append(f"Subjects on both sides of a fold: {', '.join(sorted(both)[:5])}.")
    if "sha256" in scans and (twice := shared(scans, scans["sha256"])["sha256"].nunique()):
        found.append(f"{twice} scans appear under more than one subject identifier.")
    if not synthetic and auc.value > SUSPICIOUS_AUC:
        found.append(f"AUC {auc.value:.2f} is above {SUSPICIOUS_AUC}: on such data a leak until shown otherwise.")
    return found
