"""What a classifier scores above its baselines on the same folds: verdict, table and the power of the comparison."""

from collections.abc import Sequence

from fmrifm.report.content import Table, listed, number
from fmrifm.report.names import IMAGE_FREE, UNTRAINED, model_name
from fmrifm.report.runs import Run
from fmrifm.report.scores import Difference, headline, in_sentence, label, ordered, p_value, span, verdict

COLUMNS = ("difference (95 % interval)", "p", "smallest shown", "verdict")


def standing(run: Run, baseline: str, metric: str) -> str:
    """Say how the classifier stands to a baseline: better, worse or no better.

    By the interval of their difference on the same subjects; in folders of older versions, which have none, better
    only where the intervals of the two scores do not overlap.
    """
    if difference := run.differences.get(baseline, {}).get(metric):
        return difference.verdict(metric)
    return verdict(run.scores[metric], run.baselines[baseline][metric])


def reservations(run: Run) -> list[str]:
    """What a reader must know before the score: that something without the brain, or without training, does as well.

    Said by paired differences alone: intervals of two scores overlap too easily for so much weight.
    """
    metric = headline(run.scores)
    if metric is None:
        return []
    compared = [
        name for name, scores in run.baselines.items() if metric in scores and metric in run.differences.get(name, {})
    ]
    level = [name for name in compared if standing(run, name, metric) != "better"]
    reached = {name: number(run.baselines[name][metric].value) for name in level}
    sentences = []
    if free := [f"{words} ({reached[name]})" for name, words in IMAGE_FREE.items() if name in level]:
        sentences.append(
            f"The classifier's {in_sentence(metric)} of {number(run.scores[metric].value)} is no better than what "
            f"{listed(free)} {'reaches' if len(free) == 1 else 'reach'} without any brain signal."
        )
    if UNTRAINED in level:
        sentences.append(
            f"The classifier is no better than its own encoder at random initialisation ({reached[UNTRAINED]}): "
            "pretraining added nothing that this trial could show."
        )
    return sentences


def difference_tables(run: Run) -> list[Table]:
    """The differences in the metric that the classifier is judged by, and folded those in the others."""
    found = run.differences
    metrics = ordered({metric: None for entries in found.values() for metric in entries})
    judged = headline(dict.fromkeys(metrics))
    tables = []
    if judged:
        rows = [
            [model_name(name), *cells(entries[judged], judged)] for name, entries in found.items() if judged in entries
        ]
        caption = (
            f"Difference in {label(judged)} from each baseline on the same subjects and folds, with the interval of a "
            "paired bootstrap over subjects; p by the corrected resampled t-test over folds (Nadeau and Bengio 2003). "
            "Smallest shown: the difference that this trial shows with 80 % power at p < 0.05."
        )
        tables.append(Table(caption=caption, columns=["baseline", *COLUMNS], rows=rows))
    rest = [
        [label(metric), model_name(name), *cells(entries[metric], metric)]
        for metric in metrics
        for name, entries in found.items()
        if metric != judged and metric in entries
    ]
    if rest:
        caption = "Differences in the other scores"
        tables.append(Table(caption=caption, columns=["score", "baseline", *COLUMNS], rows=rest, folded=True))
    return tables


def power_line(differences: Sequence[Difference], metric: str, design: str) -> list[str]:
    """Say which differences a comparison would have missed.

    Args:
        differences: In this metric, from one or more rivals.
        metric: Its name.
        design: Subjects, folds and seeds, as in "30 subjects and 5 folds".
    """
    smallest = span([difference.smallest for difference in differences])
    if not smallest:
        return []
    rivals = ", depending on the rival" if " to " in smallest else ""
    return [
        f"With {design}, differences in {in_sentence(metric)} below {smallest}{rivals} would have been missed more "
        "often than one time in five (80 % power at p < 0.05)."
    ]


def cells(difference: Difference, metric: str) -> list[str]:
    """A row of a table under `COLUMNS`."""
    tested = p_value(difference.p).removeprefix("p = ").removeprefix("p ")
    return [str(difference), tested, number(difference.smallest, 3), difference.verdict(metric)]
