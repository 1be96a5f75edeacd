"""The page's first words: what was found, said as plainly as the intervals allow."""

from collections.abc import Sequence

import pandas as pd

from fmrifm.atlas import APPROXIMATION
from fmrifm.report.classification import warnings
from fmrifm.report.content import counted, listed
from fmrifm.report.regions import SIGNIFICANT, by_method, region_table, system_table
from fmrifm.report.runs import Run
from fmrifm.report.scores import Score, best, headline, label, verdict

_LEADING_SYSTEMS, _LEADING_REGIONS = 2, 5


def summary(runs: Sequence[Run]) -> list[str]:
    """Sentences on reconstruction, classification and attribution, in this order."""
    writers = {"pretrain": _reconstruction, "finetune": _classification, "evaluate": _classification}
    writers["attribute"] = _attribution
    sentences = []
    for stage, write in writers.items():
        for run in (run for run in runs if run.stage == stage):
            sentences += [_named(run, runs, sentence) for sentence in write(run)]
    return sentences


def banners(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What a reader must know before any number, as a few words and a sentence each."""
    return cohort_banners(
        synthetic=any(run.synthetic for run in runs),
        approximate=any(run.cohort.get("atlas") == APPROXIMATION for run in runs),
    )


def cohort_banners(*, synthetic: bool, approximate: bool) -> list[tuple[str, str]]:
    """Say that scans were generated, or regions approximated."""
    words = []
    if synthetic:
        words.append(
            ("Synthetic cohort.", "Its scans were generated to try the method; the scores say nothing about people.")
        )
    if approximate:
        words.append(
            (
                f"{APPROXIMATION}.",
                "Its regions were built from centroids and volumes; they are not the published atlas.",
            )
        )
    return words


def alarms(runs: Sequence[Run]) -> list[str]:
    """What may make the numbers wrong: leaks that a stage found, scores too good to be true, mixed stores."""
    sentences = [_named(run, runs, words) for run in runs for words in warnings(run)]
    stores = {run.provenance.get("store_fingerprint") for run in runs}
    if len(stores) > 1:
        sentences.append(f"These runs read {len(stores)} different stores; their numbers belong to different scans.")
    return list(dict.fromkeys(sentences))


def _named(run: Run, runs: Sequence[Run], sentence: str) -> str:
    """Name the run where several of its stage are on the page."""
    alone = sum(other.stage == run.stage for other in runs) == 1
    return sentence if alone else f"{run.name}: {sentence}"


def _reconstruction(run: Run) -> list[str]:
    if (score := run.scores.get("r2_voxel")) is None:
        return []
    stands = verdict(score, Score(0, 0, 0))
    sentence = f"Hidden voxels of held-out subjects are reconstructed with R² {score.full()}: {stands} the trivial 0"
    for name, scores in run.baselines.items():
        sentence += f"; the {name} alone reaches {scores['r2_voxel']}"
    return [f"{sentence}."]


def _classification(run: Run) -> list[str]:
    metric = headline(run.scores)
    if metric is None:
        return []
    ours, baselines = run.scores[metric], run.baselines
    first = f"The classifier reaches {_article(metric)} of {ours.full()} on subjects it never saw"
    leader = best(baselines, metric)
    if leader is None:
        return [f"{first}; no baseline stands beside it."]
    rival = baselines[leader][metric]
    sentence = f"{first}: {verdict(ours, rival)} the best baseline, {leader}, at {rival}."
    # What needs no image at all deserves its own comparison.
    simple = [name for name in ("phenotype", "site") if name != leader and metric in baselines.get(name, {})]
    words = [f"{verdict(ours, score)} {name} alone, {score}" for name in simple if (score := baselines[name][metric])]
    return [sentence, *([f"It is {' and '.join(words)}."] if words else [])]


def _attribution(run: Run) -> list[str]:
    systems = dict(by_method(system_table(run)))
    sentences = []
    for method, regions in by_method(region_table(run)):
        leaders = listed(regions["name"].head(_LEADING_REGIONS).tolist())
        lead = f"By {method}, {leaders} lead among {counted(len(regions), 'region')}"
        if method in systems:
            lead = (
                f"By {method}, {listed(systems[method]['system'].head(_LEADING_SYSTEMS).tolist())} lead among systems"
            )
            lead += f" and {leaders} among {counted(len(regions), 'region')}"
        sentences.append(f"{lead}{_passing(regions)}.")
    return sentences


def _passing(regions: pd.DataFrame) -> str:
    if regions["p_fdr"].isna().all():
        return ""
    passing = int((regions["p_fdr"] < SIGNIFICANT).sum())
    if not passing:
        return f"; none has p < {SIGNIFICANT} (FDR), so the order may be chance"
    return f"; {passing} {'has' if passing == 1 else 'have'} p < {SIGNIFICANT} (FDR)"


def _article(metric: str) -> str:
    return f"an {label(metric)}" if metric == "auc" else f"a {label(metric).lower()}"
