"""The last section: where every number came from and how to get it again."""

import shlex
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from fmrifm.report.content import MISSING, Code, Section, Table
from fmrifm.report.runs import Run

_FACTS = {
    "started": "started",
    "device": "device",
    "seed": "seed",
    "config_hash": "config",
    "store_fingerprint": "store",
    "git_commit": "commit",
}
DISCLAIMER = "fmrifm is a research tool. Nothing on this page is a medical diagnosis, nor a basis for one."
_REDO = (
    "Commands that redo this page, in order; give each another --out, since a run folder is never overwritten. The "
    "first shows the settings with which the scans were prepared."
)


def provenance_section(runs: Sequence[Run]) -> Section:
    """Show versions, settings and the commands that lead here again."""
    recipes = [
        Code(caption=f"Settings of {run.stage} ({run.name}/config.yaml)", text=run.recipe, folded=True)
        for run in runs
        if run.recipe
    ]
    commands = _commands(runs)
    redo = [Code(caption=_REDO, text="\n".join(commands))] if commands else []
    return Section(
        title="Provenance",
        sentences=[DISCLAIMER],
        tables=[_stages(runs), *_versions(runs)],
        codes=[*redo, *recipes],
    )


def duration(seconds: float) -> str:
    """Write a duration with the two units that matter."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _commands(runs: Sequence[Run]) -> list[str]:
    """What to type, as it was typed: the stores, every stage in the order in which they ran, and this report."""
    told = [run for run in runs if run.provenance.get("command")]
    if not told:
        return []
    told.sort(key=lambda run: str(run.provenance.get("started", "")))
    stores: dict[str, str] = {}  # a store that was called by several paths is shown by the first
    for run in told:
        if store := run.provenance.get("store"):
            stores.setdefault(str(run.provenance.get("store_fingerprint") or store), str(store))
    shown = [word for run in told for word in ("--run", _out(run))]
    return [
        *(shlex.join(["fmrifm", "info", store]) for store in stores.values()),
        *(str(run.provenance["command"]) for run in told),
        shlex.join(["fmrifm", "report", *shown, "--out", "report.html"]),
    ]


def _out(run: Run) -> str:
    """The run folder as its command named it."""
    words = shlex.split(str(run.provenance["command"]))
    given = [after for word, after in pairwise(words) if word == "--out"]
    return given[-1] if given else run.name


def _stages(runs: Sequence[Run]) -> Table:
    rows = []
    for run in runs:
        took = run.provenance.get("wall_time_s")
        facts = [_text(run.provenance.get(key), 10 if key == "git_commit" else 19) for key in _FACTS]
        rows.append([run.stage, run.name, duration(took) if isinstance(took, int | float) else MISSING, *facts])
    columns = ["stage", "run", "took", *_FACTS.values()]
    return Table(caption="Runs behind this page; config, store and commit by their hashes.", columns=columns, rows=rows)


def _versions(runs: Sequence[Run]) -> list[Table]:
    versions = [run.provenance.get("versions") or {} for run in runs]
    names = dict.fromkeys(name for of_run in versions for name in of_run)
    # One value a row where all runs agree, which is the rule.
    rows = [
        [name, ", ".join(dict.fromkeys(str(of_run[name]) for of_run in versions if name in of_run))] for name in names
    ]
    return [Table(caption="Software versions.", columns=["package", "version"], rows=rows)] if rows else []


def _text(value: Any, length: int) -> str:
    return MISSING if value is None else str(value)[:length]
