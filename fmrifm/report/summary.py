"""The page's first words: what was found, said as plainly as the intervals allow."""

from collections.abc import Sequence

import pandas as pd

from fmrifm.atlas import APPROXIMATION
from fmrifm.report.classification import warnings
from fmrifm.report.content import counted, listed
from fmrifm.report.differences import reservations, standing
from fmrifm.report.methods import featured, method_of
from fmrifm.report.names import IMAGE_FREE, in_text
from fmrifm.report.prediction import prediction_summary
from fmrifm.report.region_tables import by_method, region_table, system_table
from fmrifm.report.regions import SIGNIFICANT
from fmrifm.report.runs import Run
from fmrifm.report.scores import Score, best, headline, in_sentence, verdict
from fmrifm.report.trial import trial_summary
from fmrifm.report.trust import believed

_LEADING_SYSTEMS, _LEADING_REGIONS = 2, 5


def summary(runs: Sequence[Run]) -> list[str]:
    """Sentences on reconstruction, classification, the trial of masking, attribution and prediction, in this order."""
    writers = {"pretrain": _reconstruction, "finetune": _classification, "evaluate": _classification}
    writers |= {"compare": trial_summary, "attribute": _attribution, "predict": prediction_summary}
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
    stands = f"{verdict(score, Score(0, 0, 0))} than"
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
    rival = f"{in_text(leader)}, at {baselines[leader][metric]}"
    sentence = f"{first}: {standing(run, leader, metric)} than the best baseline, {rival}."
    return [*reservations(run), sentence, *_image_free(run, metric)]


def _image_free(run: Run, metric: str) -> list[str]:
    """How the classifier stands to what reads no brain signal, where `reservations` have not said it already."""
    words = []
    for name, named in IMAGE_FREE.items():
        if metric in run.baselines.get(name, {}):
            stands = standing(run, name, metric)
            if stands == "better" or metric not in run.differences.get(name, {}):
                words.append(f"{stands} than {named}, {run.baselines[name][metric]}")
    return [f"It is {listed(words)}."] if words else []


def _attribution(run: Run) -> list[str]:
    """What the featured rankings say, and whether their checks let one believe it."""
    regions, systems = by_method(region_table(run)), by_method(system_table(run))
    shown = featured(regions)
    sentences = [_leaders(method, regions[method], systems.get(method)) for method in shown]
    return [*sentences, *believed(run, shown)]


def _leaders(method: str, regions: pd.DataFrame, systems: pd.DataFrame | None) -> str:
    leaders = listed(regions["name"].head(_LEADING_REGIONS).tolist())
    among = f"among {counted(len(regions), 'region')}"
    lead = f"{leaders} lead {among}"
    if systems is not None:
        lead = f"{listed(systems['system'].head(_LEADING_SYSTEMS).tolist())} lead among systems and {leaders} {among}"
    return f"By {method_of(method).name}, {lead}{_passing(regions) if method_of(method).tested else ''}."


def _passing(regions: pd.DataFrame) -> str:
    if regions["p_fdr"].isna().all():
        return ""
    passing = int((regions["p_fdr"] < SIGNIFICANT).sum())
    if not passing:
        return f"; none has p < {SIGNIFICANT} (FDR), so the order may be chance"
    return f"; {passing} {'has' if passing == 1 else 'have'} p < {SIGNIFICANT} (FDR)"


def _article(metric: str) -> str:
    return f"{'an' if metric in ('auc', 'average_precision') else 'a'} {in_sentence(metric)}"
