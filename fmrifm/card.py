"""The model card: README.md of a published model, filled from what its runs say of themselves.

Names come from files of strangers: HTML in them is escaped, and a bar or a line's end cannot break a table.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from fmrifm.training.checkpoint import Pretrained

_MEANING = {
    "r2_voxel": "R² of hidden voxels",
    "r2_region": "R² of the means of hidden regions",
    "auc": "area under the ROC curve",
}


def model_card(run: Path, pretrained: Pretrained, scored: Sequence[Path] = (), licence: str = "other") -> str:
    """Write the card, Markdown with the hub's YAML head.

    Args:
        run: Run folder of `fmrifm pretrain` or `finetune`.
        pretrained: Its model.
        scored: Further run folders whose scores and warnings stand on the card.
        licence: SPDX identifier of the weights' licence.
    """
    templates = Environment(
        loader=PackageLoader("fmrifm"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    templates.filters["cell"] = _cell
    metrics, runs = (
        [_json(folder / name) for folder in (run, *scored)] for name in ("metrics.json", "provenance.json")
    )
    return templates.get_template("model_card.md.j2").render(
        licence=licence,
        runs=runs,
        cohort=runs[0]["cohort"],
        scans=_scans(run / "scans.tsv"),
        masking=_masking(pretrained),
        model=pretrained,
        spacing_mm=" x ".join(f"{edge:g}" for edge in pretrained.grid.spacing_mm),
        cleaning={name: value for name, value in (pretrained.about.get("cleaning") or {}).items() if value},
        parameters=sum(parameter.numel() for parameter in pretrained.model.parameters()),
        regions=len(pretrained.model.tokenizer.values),
        lost=len(pretrained.atlas.lost),
        scores=[row for content in metrics for row in _scores(content)],
        leaks=list(dict.fromkeys(leak for content in metrics for leak in content["leakage"])),
    )


def _scans(path: Path) -> dict[str, Any]:
    """Counts alone: who was scanned is nobody's business."""
    table = pd.read_csv(path, sep="\t", dtype={"subject": str, "site": str})
    return {
        "scans": len(table),
        "subjects": table["subject"].nunique(),
        "sites": table.groupby("site")["subject"].nunique().to_dict(),
        "tr_s": sorted(table["tr_s"].unique().tolist()),
    }


def _masking(pretrained: Pretrained) -> str:
    masking = pretrained.about["masking"]
    kind, share = masking["kind"], f"{masking['ratio']:.0%} of the voxels hidden"
    if kind == "mix":
        kind = f"mix of {', '.join(f'{name} {weight:g}' for name, weight in masking['mix'].items())}"
    rule = f", rule {masking['rule']}" if pretrained.tokens.kind == "grid" else ""
    return f"{kind}{rule}, {share}"


def _scores(metrics: dict[str, Any]) -> list[tuple[str, str, str, int]]:
    """What was measured, of which model, with its interval, on how many subjects; the model before its baselines."""
    tables = {"this model": metrics["scores"], **metrics["baselines"]}
    return [
        (_MEANING.get(name, name.replace("_", " ")), model.replace("_", " "), _with_interval(score), score["n"])
        for name in metrics["scores"]
        for model, table in tables.items()
        if (score := table.get(name)) is not None
    ]


def _with_interval(score: dict[str, Any]) -> str:
    value, low, high = (score[part] for part in ("value", "ci_low", "ci_high"))
    if value is None:
        return "undefined"
    return f"{value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None else "")


def _cell(value: object) -> Markup:
    return Markup(str(escape(" ".join(str(value).split()))).replace("|", "\\|"))  # noqa: S704  escaped before


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
