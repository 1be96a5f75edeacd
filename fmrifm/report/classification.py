"""The classifier's section: held-out scores beside baselines on the same folds."""

import math
from collections.abc import Mapping, Sequence

from fmrifm.evaluation.leakage import SUSPICIOUS_AUC
from fmrifm.report.content import MISSING, Picture, Section, Table, counted, number, significant
from fmrifm.report.differences import difference_tables, power_line, standing
from fmrifm.report.names import CLASSIFIER, model_name
from fmrifm.report.predictions import classes, held_out
from fmrifm.report.runs import Run
from fmrifm.report.score_figures import calibration, forest, roc
from fmrifm.report.scores import Score, best, headline, in_sentence, label, ordered, p_value

_DRAWN = ("auc", "balanced_accuracy", "average_precision")
_SITE_COLUMNS = ("site", "n", "cases", "prevalence", "auc", "ci_low", "ci_high")
_CALIBRATION_COLUMNS = ("model", "predicted", "observed", "ci_low", "ci_high", "n")
_CALIBRATED = "classifier"
"""Name of the run's own model in calibration.tsv."""


def classification_section(run: Run, title: str) -> Section:
    """Show what one finetune or evaluate run scored."""
    models = {CLASSIFIER: run.scores, **run.baselines}
    scores = [_table(run, models)] if run.scores else []
    return Section(
        title=title,
        sentences=[*_folds(run), *_chance(run), *_power(run)],
        pictures=[*_forests(run, models), *_roc(run), *_calibration(run)],
        tables=[*scores, *difference_tables(run), *_sites(run)],
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


def _forests(run: Run, models: Mapping[str, Mapping[str, Score]]) -> list[Picture]:
    chance = {"auc": 0.5, "balanced_accuracy": 1 / classes(run)}
    found = [(metric, {name: of[metric] for name, of in models.items() if metric in of}) for metric in _DRAWN]
    return [forest(metric, scores, chance.get(metric)) for metric, scores in found if scores]


def _roc(run: Run) -> list[Picture]:
    subjects = held_out(run)
    if subjects is None or subjects["label"].nunique() != 2:
        return []
    labels, ranks = subjects["label"].astype(int).tolist(), subjects["rank"].tolist()
    return [roc(labels, ranks, run.scores.get("auc"), subjects["subject"].nunique())]


def _calibration(run: Run) -> list[Picture]:
    table = run.table("calibration.tsv", _CALIBRATION_COLUMNS)
    if table is None:
        return []
    bins = {str(model): rows.sort_values("predicted") for model, rows in table.groupby("model")}
    if _CALIBRATED not in bins:
        return []
    metric = headline(run.scores)
    rivals = {name: scores for name, scores in run.baselines.items() if name in bins}
    rival = best(rivals, metric) if metric else None
    return [calibration({CLASSIFIER: bins[_CALIBRATED], **({rival: bins[rival]} if rival else {})})]


def _table(run: Run, models: Mapping[str, Mapping[str, Score]]) -> Table:
    metrics = ordered(dict.fromkeys(metric for scores in models.values() for metric in scores))
    judged = headline(run.scores)
    rows = []
    for name, scores in models.items():
        cells = [str(scores[metric]) if metric in scores else MISSING for metric in metrics]
        is_judged = name != CLASSIFIER and judged in scores
        rows.append([model_name(name), *cells, standing(run, name, judged) if judged and is_judged else MISSING])
    return Table(caption=_caption(run, judged), columns=["model", *map(label, metrics), "classifier is"], rows=rows)


def _caption(run: Run, judged: str | None) -> str:
    ours = run.scores[judged or next(iter(run.scores))]
    caption = f"Held-out scores with 95 % intervals{f', n = {ours.n}' if ours.n else ''}."
    if not judged or not run.baselines:
        return caption
    rule = "the interval of the paired difference leaves out 0" if run.differences else "the intervals do not overlap"
    return f"{caption} The last column judges by {label(judged)}: better only where {rule}."


def _sites(run: Run) -> list[Table]:
    sites = run.table("sites.tsv", _SITE_COLUMNS)
    if sites is None or sites.empty:
        return []
    rows = [
        [
            str(row["site"]),
            number(row["n"], 0),
            number(row["cases"], 0),
            f"{number(100 * row['prevalence'], 0)} %",
            str(Score.from_json({**row, "value": row["auc"]})),
        ]
        for row in sites.to_dict("records")
    ]
    caption = (
        "The classifier site by site: subjects, share of cases, and AUC within the site. Where the share differs "
        "between sites, telling sites apart already looks like telling labels apart."
    )
    columns = ["site", "subjects", "cases", "prevalence", "AUC (95 % interval)"]
    return [Table(caption=caption, columns=columns, rows=rows)]


def _folds(run: Run) -> list[str]:
    folds = run.metrics.get("folds") or []
    if not folds:
        return []
    tested = [len(fold["test"]) for fold in folds]
    spread = str(min(tested)) if min(tested) == max(tested) else f"{min(tested)} to {max(tested)}"
    repeats = len({fold.get("repeat", 0) for fold in folds})
    again = f", repeated {repeats} times" if repeats > 1 else ""
    return [
        f"{counted(len(folds) // repeats, 'fold')} by subject{again}, {spread} subjects tested in each; every score is "
        "of subjects that the classifier had not seen."
    ]


def _chance(run: Run) -> list[str]:
    """What the scores would be by chance: labels shuffled, sites guessed."""
    sentences = [
        f"With labels shuffled within sites, {in_sentence(metric)} comes out as high with {p_value(score.p)}."
        for metric, score in run.scores.items()
        if math.isfinite(score.p)
    ]
    found, sites = run.scores.get("site_predictability"), run.table("sites.tsv", ["site"])
    if found is None:
        return sentences
    told = f"The site can be told from the features with a balanced accuracy of {found}"
    if sites is None or sites.empty:
        return [*sentences, f"{told}."]
    chance = 1 / len(sites)
    carried = "the features carry the site" if found.ci_low > chance else "this is no better than guessing"
    guess = f"chance is {significant(chance, 2)} with {counted(len(sites), 'site')}"
    return [*sentences, f"{told}; {guess}, so {carried}."]


def _power(run: Run) -> list[str]:
    metric = headline(run.scores)
    found = [entries[metric] for entries in run.differences.values() if metric in entries] if metric else []
    folds: Sequence[object] = run.metrics.get("folds") or []
    if not found or metric is None:
        return []
    subjects = counted(max(difference.n for difference in found), "subject")
    return power_line(found, metric, f"{subjects} and {counted(len(folds), 'fold')}" if folds else subjects)
