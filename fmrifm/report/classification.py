"""The classifier's section: held-out scores beside baselines on the same folds."""

from collections.abc import Mapping, Sequence

import pandas as pd

from fmrifm.evaluation.leakage import SUSPICIOUS_AUC
from fmrifm.evaluation.metrics import by_subject
from fmrifm.report.content import Picture, Section, Table, counted
from fmrifm.report.figures import forest, roc
from fmrifm.report.runs import Run
from fmrifm.report.scores import Score, headline, label, ordered, verdict

CLASSIFIER = "this classifier"
_PREDICTIONS = ("scan", "subject", "site", "fold", "label", "probability")


def classification_section(run: Run, title: str) -> Section:
    """Show what one finetune or evaluate run scored."""
    scores = run.scores
    models = {CLASSIFIER: scores, **run.baselines}
    metrics = ordered(scores)
    return Section(
        title=title,
        sentences=_folds(run),
        pictures=[*(_forest(metric, models) for metric in metrics), *_roc(run)],
        tables=[_table(models, metrics)] if scores else [],
    )


def warnings(run: Run) -> list[str]:
    """What may make a run's scores too good: the leaks that its stage found, and a score beyond what is honest."""
    own = too_good(run)
    # The stage says the same in short where it saw the same.
    found = [sentence for sentence in run.leakage if not (own and sentence.startswith("AUC "))]
    return [*own, *found]


def too_good(run: Run) -> list[str]:
    """Warn where measured scans give an AUC that honest work on such data has not reached."""
    auc = run.scores.get("auc")
    if run.synthetic or auc is None or not auc.value > SUSPICIOUS_AUC:
        return []
    return [
        f"AUC {auc} is above {SUSPICIOUS_AUC}. On data like ADHD-200 this is a leak until shown otherwise: honest "
        "models reach a balanced accuracy near 0.6. Look for subjects on both sides of a split, labels that follow "
        "site or head motion, and preprocessing that saw the labels."
    ]


def same_predictions(first: Run, second: Run) -> bool:
    """Whether two runs hold the same held-out predictions, so that one of them tells it all."""
    tables = [run.table("predictions.tsv", _PREDICTIONS) for run in (first, second)]
    if tables[0] is None or tables[1] is None:
        return False
    one, other = (table.set_index("scan")["probability"].sort_index().round(6) for table in tables if table is not None)
    return bool(one.equals(other))


def held_out(run: Run) -> pd.DataFrame | None:
    """One row a subject with its label and the rank of its probability within the fold; None without predictions."""
    predictions = run.table("predictions.tsv", _PREDICTIONS)
    if predictions is None:
        return None
    subjects = by_subject(predictions.dropna(subset=["label", "probability"]))
    # Every fold has a model of its own, and their probabilities need not share a scale.
    return subjects.assign(rank=subjects.groupby("fold")["probability"].rank(pct=True))


def _forest(metric: str, models: Mapping[str, Mapping[str, Score]]) -> Picture:
    return forest(metric, {name: scores[metric] for name, scores in models.items() if metric in scores})


def _roc(run: Run) -> list[Picture]:
    subjects = held_out(run)
    if subjects is None or subjects["label"].nunique() != 2:
        return []
    return [roc(subjects["label"].astype(int).tolist(), subjects["rank"].tolist(), run.scores.get("auc"))]


def _table(models: Mapping[str, Mapping[str, Score]], metrics: Sequence[str]) -> Table:
    judged = headline(models[CLASSIFIER]) or metrics[0]
    ours = models[CLASSIFIER][judged]
    rows = []
    for name, scores in models.items():
        cells = [str(scores[metric]) if metric in scores else "–" for metric in metrics]
        is_baseline = name != CLASSIFIER and judged in scores
        rows.append([name, *cells, verdict(ours, scores[judged]).removesuffix(" than") if is_baseline else "–"])
    return Table(
        caption=f"Held-out scores with 95 % intervals{_count(ours)}. The last column judges by {label(judged)}: "
        "better only where the intervals do not overlap.",
        columns=["model", *(label(metric) for metric in metrics), "classifier is"],
        rows=rows,
    )


def _count(score: Score) -> str:
    return f", n = {score.n}" if score.n else ""


def _folds(run: Run) -> list[str]:
    folds = run.metrics.get("folds") or []
    if not folds:
        return []
    tested = [len(fold["test"]) for fold in folds]
    spread = str(min(tested)) if min(tested) == max(tested) else f"{min(tested)} to {max(tested)}"
    return [
        f"{counted(len(folds), 'fold')} by subject, {spread} subjects tested in each; every score is of subjects that "
        "the classifier had not seen."
    ]
