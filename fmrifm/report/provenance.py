"""The last section: where every number came from and how to get it again."""

from collections.abc import Sequence
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
_REDO = "Commands that redo these runs; give each another --out, since a run folder is never overwritten."


def provenance_section(runs: Sequence[Run]) -> Section:
    """Show versions, settings and the commands that lead here again."""
    commands = [str(run.provenance["command"]) for run in runs if run.provenance.get("command")]
    recipes = [
        Code(caption=f"Settings of {run.stage} ({run.name}/config.yaml)", text=run.recipe, folded=True)
        for run in runs
        if run.recipe
    ]
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
