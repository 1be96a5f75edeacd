"""Which of the scans found are kept: conditions on their columns, and the first subjects for a trial run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fmrifm.data.scan import Found, ScanRecord, Value, parse_value
from fmrifm.errors import ConfigError

_FIELDS = ("subject", "session", "run", "site")
_TRUTH = {"true": True, "false": False}
_FORM = re.compile(r"\s*(?P<column>[^=!]*[^=!\s])\s*(?P<sign>!?=)\s*(?P<asked>[^=\s].*?)\s*")


@dataclass(frozen=True)
class Condition:
    """`column=asked`, or `column!=asked` where not `equal`."""

    column: str
    """A column of the scans, or subject, session, run or site."""
    equal: bool
    """False asks for every other value."""
    asked: str
    """Value as written; `n/a` stands for a missing one."""

    def __str__(self) -> str:
        return f"{self.column}{'=' if self.equal else '!='}{self.asked}"

    def holds(self, value: Value) -> bool:
        """True where a scan with this value is kept."""
        same = value == self.asked or value == _TRUTH.get(self.asked.lower(), parse_value(self.asked))
        return same == self.equal


def parse_condition(text: str) -> Condition:
    """Read a condition such as `qc_rest=1` or `site!=NYU`.

    Raises:
        ConfigError: It has another form.
    """
    if not (match := _FORM.fullmatch(text)):
        raise ConfigError(f"keep has {text!r}; expected COLUMN=VALUE or COLUMN!=VALUE, e.g. qc_rest=1 or site!=NYU.")
    return Condition(match["column"].strip(), match["sign"] == "=", match["asked"])


def keep_scans(found: Found, keep: Sequence[str]) -> Found:
    """Keep the scans for which every condition holds; the others are refused with the first that does not.

    Raises:
        ConfigError: A condition has another form, or names a column that no scan has.
    """
    conditions = [parse_condition(text) for text in keep]
    columns = [*_FIELDS, *sorted({name for record in found.records for name in record.columns} - set(_FIELDS))]
    for condition in conditions:
        if found.records and condition.column not in columns:
            raise ConfigError(
                f"keep has {str(condition)!r}, but no scan has a column {condition.column!r}; "
                f"choose one of {', '.join(columns)}."
            )
    kept, refused = [], list(found.refused)
    for record in found.records:
        if reason := _reason(record, conditions):
            refused.append((record.path, reason))
        else:
            kept.append(record)
    return replace(found, records=kept, refused=refused)


def first_subjects(found: Found, n_subjects: int | None) -> Found:
    """Keep the scans of the first subjects, by identifier, and count those of the others."""
    first = set(sorted({record.subject for record in found.records})[:n_subjects])
    kept = [record for record in found.records if record.subject in first]
    return replace(found, records=kept, n_beyond=len(found.records) - len(kept))


def _reason(record: ScanRecord, conditions: Sequence[Condition]) -> str | None:
    for condition in conditions:
        value = _value(record, condition.column)
        if not condition.holds(value):
            shown = "missing" if value is None else value
            return f"left out by keep: {condition.column} is {shown}, asked {condition}"
    return None


def _value(record: ScanRecord, column: str) -> Value:
    return getattr(record, column) if column in _FIELDS else record.columns.get(column)
