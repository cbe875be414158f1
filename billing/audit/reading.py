"""The audit trail as it is read and handed to an auditor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from billing.audit.entry import Entry, canonical, said_in
from billing.errors import NotFound
from billing.repository import audit
from billing.repository.audit import Wanted
from metering.database import reading, reading_anything
from metering.period import format_instant


def list_entries(
    engine: sa.Engine, wanted: Wanted, *, before: int | None = None, limit: int | None = None
) -> list[Entry]:
    """Entries, the last first, with numbers below `before`."""
    with reading(engine) as connection:
        return audit.search(connection, wanted, before=before, limit=limit)


def show_entry(engine: sa.Engine, number: int) -> Entry:
    """Raises NotFound."""
    with reading(engine) as connection:
        found = audit.get(connection, number)
    if found is None:
        raise NotFound(f"the audit trail has no entry {number}; see: billing audit list")
    return found


# Longer values are cut where people read them.
_VALUE = 100


def entry_data(entry: Entry) -> dict[str, object]:
    """An entry in the shape of JSON answers. `before` and `after` hold the rows that changed, of each the
    columns that differ."""
    said = {} if entry.detail is None else said_in(entry.detail)
    if said is None:
        said = {"unreadable": "the detail was edited; see: billing audit verify"}
    said.pop("salt", None)
    before, after = said.pop("before", None), said.pop("after", None)
    return {
        "number": entry.number,
        "at": format_instant(entry.at),
        "by": entry.by,
        "request": entry.request,
        "deed": entry.deed,
        "kind": entry.kind,
        "subject": entry.subject or None,
        "subjects": len(entry.states or ()) or None,
        "account": entry.account,
        "reason": entry.reason or None,
        "before": before,
        "after": after,
        "more": said or None,
        "erased": entry.detail is None,
        "seal": entry.seal,
    }


def changes(data: Mapping[str, Any]) -> list[str]:
    """What changed, a line a value."""
    before, after = data["before"] or {}, data["after"] or {}
    lines = []
    for place in sorted({*before, *after}):
        old, new = before.get(place, {}), after.get(place, {})
        lines += [f"{place}: {column}: {_change(old, new, column)}" for column in sorted({*old, *new})]
    lines += [f"{name}: {value}" for name, value in (data["more"] or {}).items()]
    return lines


def _change(old: dict[str, Any], new: dict[str, Any], column: str) -> str:
    if column not in old:
        return _short(new[column])
    return f"{_short(old[column])} → {_short(new[column]) if column in new else 'removed'}"


def _short(value: object) -> str:
    text = "nothing" if value in (None, "") else str(value)
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 1]}…"


def export_lines(engine: sa.Engine) -> Iterator[bytes]:
    """The whole trail as lines of JSON: `line` and `detail` are the texts that are sealed, byte by byte, so
    that whoever has the file can check it without this service."""
    with reading_anything(engine) as connection:
        for entry in audit.every(connection):
            row = {
                "number": entry.number,
                "line": entry.line(),
                "detail": entry.detail,
                "detail_sha256": entry.detail_sha256,
                "seal": entry.seal,
            }
            yield canonical(row).encode("utf-8", "backslashreplace") + b"\n"
