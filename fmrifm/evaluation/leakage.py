"""What makes a score too good: said in sentences that the report prints in red."""

from collections.abc import Mapping, Sequence

import pandas as pd

from fmrifm.errors import some
from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.splits import Fold
from fmrifm.evaluation.twins import seen_before, signal_groups

SUSPICIOUS_AUC = 0.8
"""Honest ADHD-200 figures are balanced accuracy .57 to .61; above this a leak is likelier than a discovery."""
_BLIND = ("site", "motion", "phenotype")
"""Baselines that look at no brain."""
_A_SITE = 5
"""Subjects a site has on average, from which on it is no accident that each site holds one label."""


def leaks(
    *,
    pretraining: Sequence[str],
    folds: Sequence[Fold],
    scans: pd.DataFrame,
    auc: Score,
    synthetic: bool,
    baselines: Mapping[str, Mapping[str, Score]] | None = None,
    cohort: pd.DataFrame | None = None,
) -> list[str]:
    """Name every leak that can be seen from here.

    Args:
        pretraining: Subjects whose scans the encoder was pretrained on.
        folds: The split.
        scans: Labelled scans with subject, sha256 and signature, site and label, as far as they are known.
        auc: The score.
        synthetic: A planted difference may be as strong as its maker wanted.
        baselines: Scores of the baselines on the same folds, by name and metric.
        cohort: All scans of the store: an unlabelled one may repeat a labelled one. By default the labelled ones.
    """
    found = [
        *_pretrained_on(pretraining, folds, scans if cohort is None else cohort),
        *_on_both_sides(folds),
        *_twins(folds, scans),
        *_without_a_brain(scans, baselines or {}),
    ]
    if not synthetic and auc.value > SUSPICIOUS_AUC:
        found.append(f"AUC {auc.value:.2f} is above {SUSPICIOUS_AUC}: on such data a leak until shown otherwise.")
    return found


def _pretrained_on(pretraining: Sequence[str], folds: Sequence[Fold], scans: pd.DataFrame) -> list[str]:
    tested = {subject for fold in folds for subject in fold.test}
    seen = {subject: name for subject, name in seen_before(scans, pretraining).items() if subject in tested}
    own = tested & set(pretraining)
    other = [f"{subject} = {name}" for subject, name in seen.items() if subject not in own]
    found = []
    if own:
        found.append(
            f"{len(own)} of {len(tested)} test subjects were in the pretraining set (their scans, not their labels)."
        )
    if other:
        found.append(
            f"{len(other)} of {len(tested)} test subjects were in the pretraining set under another identifier (their "
            f"scans, not their labels): {some(other)}."
        )
    return found


def _on_both_sides(folds: Sequence[Fold]) -> list[str]:
    both = {subject for fold in folds for subject in set(fold.train) & set(fold.test)}
    return [f"Subjects on both sides of a fold: {some(sorted(both))}."] if both else []


def _twins(folds: Sequence[Fold], scans: pd.DataFrame) -> list[str]:
    """Subjects of the split that are one person by their signal, and what the folds do about it."""
    used = {subject for fold in folds for subject in (*fold.train, *fold.test)}
    groups = signal_groups(scans[scans["subject"].isin(used)])
    several = {str(group): list(rows.index) for group, rows in groups.groupby(groups) if len(rows) > 1}
    if not several:
        return []
    pairs = some([" = ".join(members) for members in several.values()])
    split = {
        group
        for fold in folds
        for group, members in several.items()
        if set(members) & set(fold.train) and set(members) & set(fold.test)
    }
    end = (
        f"They are on both sides of a fold: {some([' = '.join(several[group]) for group in sorted(split)])}."
        if split
        else "They are kept on one side of every fold."
    )
    return [f"Subjects who appear under more than one identifier, by their signal: {pairs}. {end}"]


def _without_a_brain(scans: pd.DataFrame, baselines: Mapping[str, Mapping[str, Score]]) -> list[str]:
    """Baselines that look at no brain and score as if the label had been told to them."""
    end = "no score on these folds shows that the brain was read."
    strong = {name: baselines[name]["auc"].value for name in _BLIND if name in baselines}
    strong = {name: value for name, value in strong.items() if value > SUSPICIOUS_AUC}
    found = [
        f"{name.capitalize()} alone predicts the label with AUC {value:.2f}: {end}" for name, value in strong.items()
    ]
    if "site" not in strong and _site_is_label(scans):
        found.insert(0, f"Site determines the label, since every site holds one label only: {end}")
    return found


def _site_is_label(scans: pd.DataFrame) -> bool:
    """Whether all subjects of a site have one label, at sites large enough for that to be no accident."""
    if not {"site", "label"} <= set(scans):
        return False
    subjects = scans.dropna(subset=["site", "label"]).drop_duplicates("subject")
    labels = subjects.groupby("site")["label"].nunique()
    return bool(len(subjects["label"].unique()) > 1 and (labels == 1).all() and len(subjects) >= _A_SITE * len(labels))
