"""The page over run folders: its sections in reading order."""

from collections.abc import Callable, Sequence

from fmrifm.report.circuits import circuit_section
from fmrifm.report.classification import classification_section
from fmrifm.report.cohort import cohort_sections
from fmrifm.report.compared import compared_sections
from fmrifm.report.content import Page, Section, listed
from fmrifm.report.prediction import prediction_section
from fmrifm.report.predictions import same_predictions
from fmrifm.report.provenance import provenance_section
from fmrifm.report.regions import regions_section
from fmrifm.report.runs import Run
from fmrifm.report.summary import alarms, banners, summary
from fmrifm.report.training import training_section
from fmrifm.report.trial import trial_section

_BUILDERS: dict[str, tuple[str, Callable[[Run, str], Section]]] = {
    "pretrain": ("Pretraining", training_section),
    "finetune": ("Classification (finetune)", classification_section),
    "evaluate": ("Classification", classification_section),
    "compare": ("Trial of masking", trial_section),
    "attribute": ("Regions and systems", regions_section),
    "predict": ("Prediction of the next volumes", prediction_section),
    "cerebellum": ("Cerebellum", circuit_section),
}
"""Heading and builder of each stage, in reading order."""


def run_page(runs: Sequence[Run]) -> Page:
    """Put together the page over run folders."""
    shown = _without_repeats(runs)
    read = [run for run in runs if run.stage != "cerebellum"]  # circuits read no scans
    cohorts = dict.fromkeys(str(run.cohort.get("name", "unnamed cohort")) for run in read)
    return Page(
        title=listed(list(cohorts)) or listed([run.name for run in runs]),
        about=list(dict.fromkeys(run.stage for run in runs)),
        banners=banners(runs),
        summary=summary(shown),
        alarms=alarms(shown),
        sections=[
            *cohort_sections(runs),
            *compared_sections(shown),
            *_stage_sections(shown),
            provenance_section(runs),
        ],
    )


def _stage_sections(runs: Sequence[Run]) -> list[Section]:
    sections = []
    for stage, (title, build) in _BUILDERS.items():
        of_stage = [run for run in runs if run.stage == stage]
        sections += [build(run, f"{title}: {run.name}" if len(of_stage) > 1 else title) for run in of_stage]
    return sections


def _without_repeats(runs: Sequence[Run]) -> list[Run]:
    """Leave out a finetune run that an evaluate run beside it repeats with baselines."""
    evaluations = [run for run in runs if run.stage == "evaluate"]
    return [
        run
        for run in runs
        if run.stage != "finetune" or not any(same_predictions(run, evaluation) for evaluation in evaluations)
    ]
