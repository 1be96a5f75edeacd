"""What in a cohort, before any training, could pass for a finding: repeated scans, sites, scanners and motion.

The subject is the unit: two scans of one subject are no repetition, and count once where labels are compared.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, mannwhitneyu

from fmrifm.errors import some
from fmrifm.evaluation.twins import near_groups, shared, signature_codes

_P = 0.01
_NUISANCES = {"tr_s": "repetition time (tr_s)", "mean_fd": "head motion (mean_fd)"}


def leakage_risks(scans: pd.DataFrame, targets: Sequence[str] = ("dx",)) -> list[str]:
    """Say what lets a classifier score without reading the brain.

    Args:
        scans: Scan table with scan, subject and site; sha256, signature, tr_s, mean_fd and labels where known.
        targets: Columns with labels; scans without one are left out of that label's comparison.

    Returns:
        One sentence a risk; none for a cohort without a visible one.
    """
    found = [*_same_bytes(scans), *_same_signal(scans), *_two_sites(scans)]
    for target in targets:
        if target in scans:
            found += [*_site_predicts(scans, target), *_nuisances_predict(scans, target)]
    return found


def _same_bytes(scans: pd.DataFrame) -> list[str]:
    if "sha256" not in scans:
        return []
    twice = shared(scans, scans["sha256"])
    return _repetition(twice, twice["sha256"], "the same bytes")


def _same_signal(scans: pd.DataFrame) -> list[str]:
    if "signature" not in scans:
        return []
    known = scans[scans["signature"].notna()]
    if "sha256" in known:  # scans with the same bytes are told already
        known = known[~known["sha256"].duplicated() | known["sha256"].isna()]
    groups = pd.Series(near_groups(signature_codes(known["signature"])), index=known.index)
    twice = shared(known, groups)
    return _repetition(twice, groups[twice.index], "nearly the same signal")


def _repetition(twice: pd.DataFrame, groups: pd.Series, what: str) -> list[str]:
    if twice.empty:
        return []
    named = (twice["scan"] if "scan" in twice else twice["subject"]).astype(str)
    examples = [" = ".join(members) for _, members in named.groupby(groups, sort=False)]
    return [
        f"{len(twice)} scans under different subject identifiers hold {what}: {some(examples)}. Were one in the "
        "training and one in the test set, the test subject would have been seen."
    ]


def _two_sites(scans: pd.DataFrame) -> list[str]:
    known = scans.dropna(subset="site").drop_duplicates(["subject", "site"])
    several = known[known["subject"].duplicated(keep=False)].groupby("subject")["site"].agg(sorted)
    if several.empty:
        return []
    examples = [f"{subject} ({', '.join(sites)})" for subject, sites in several.items()]
    everyone = scans["subject"].nunique()
    return [
        f"{len(several)} of {everyone} subject identifiers occur at more than one site: {some(examples)}. They are "
        "one person in both, or two people with one name; leaving a site out does not leave them out."
    ]


def _site_predicts(scans: pd.DataFrame, target: str) -> list[str]:
    """Compare the labels' shares between sites (chi-squared)."""
    subjects = _labelled(scans, target)
    counts = pd.crosstab(subjects["site"].fillna("unknown"), subjects[target])
    if min(counts.shape) < 2 or (p := chi2_contingency(counts).pvalue) >= _P:
        return []
    shares = counts.div(counts.sum(axis=1), axis=0)
    spread = (shares.max() - shares.min()).round(9).to_numpy()
    differs = len(spread) - 1 - int(spread[::-1].argmax())  # of a binary label the cases, since both spread alike
    share = shares.iloc[:, differs].sort_values(ascending=False, kind="stable")
    sizes = counts.sum(axis=1)[share.index]
    sites = [f"{value:.0%} of {size} at {site}" for site, value, size in zip(share.index, share, sizes, strict=True)]
    return [
        f"Site alone predicts {target} ({_p(p)}, chi-squared over {len(subjects)} subjects). Subjects with {target} "
        f"{_label(share.name)}: {', '.join(sites)}; the largest difference is {100 * spread[differs]:.0f} points."
    ]


def _nuisances_predict(scans: pd.DataFrame, target: str) -> list[str]:
    """Compare what should carry no diagnosis between the two groups of a binary label (Mann-Whitney)."""
    found = []
    for column, name in _NUISANCES.items():
        if column not in scans:
            continue
        subjects = _labelled(scans, target, column).dropna(subset=column)
        groups = [(label, values.to_numpy(float)) for label, values in subjects.groupby(target)[column]]
        if len(groups) != 2 or subjects[column].nunique() < 2:
            continue
        (low, others), (high, cases) = groups
        test = mannwhitneyu(cases, others)
        if test.pvalue < _P:
            found.append(
                f"{name[0].upper()}{name[1:]} alone predicts {target}: AUC "
                f"{test.statistic / len(cases) / len(others):.2f} for {target} {_label(high)} ({_p(test.pvalue)}, "
                f"Mann-Whitney over {len(subjects)} subjects); medians {np.median(cases):.3g} against "
                f"{np.median(others):.3g} for {target} {_label(low)}."
            )
    return found


def _labelled(scans: pd.DataFrame, target: str, *measures: str) -> pd.DataFrame:
    """One row a subject with a label: the label and site of the first scan that has them, the mean of its measures."""
    columns = {"site": "first", target: "first", **dict.fromkeys(measures, "mean")}
    numbers = {name: pd.to_numeric(scans[name], errors="coerce") for name in measures}
    return scans.assign(**numbers).groupby("subject").agg(columns).dropna(subset=target)


def _label(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
