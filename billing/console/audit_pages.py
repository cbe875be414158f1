"""The audit trail: who changed what, from what to what."""

from __future__ import annotations

from starlette.responses import Response

from billing.audit.reading import changes, entry_data, list_entries, show_entry
from billing.console.visit import Visit, paged
from billing.errors import NotFound
from billing.repository.audit import Wanted

PAGE = 50
_FILTERS = ("account", "deed", "by")
_LONGEST_NUMBER = 18


def list_(visit: Visit) -> Response:
    asked = {name: visit.query(name) for name in _FILTERS}
    before = visit.query("before", _LONGEST_NUMBER)
    wanted = Wanted(asked["account"] or None, deed=asked["deed"] or None, by=asked["by"] or None)
    number = _number(before) if before else None
    found = list_entries(visit.service.engine, wanted, before=number, limit=PAGE + 1)
    shown, more = paged(found, PAGE, lambda last: asked | {"before": last.number})
    return visit.page("audit.html", entries=shown, asked=asked, more=more, is_first=not before)


def show(visit: Visit) -> Response:
    entry = show_entry(visit.service.engine, _number(visit.param("number")))
    return visit.page("audit_entry.html", entry=entry, changes=changes(entry_data(entry)))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _LONGEST_NUMBER:
        raise NotFound(f"the audit trail has no entry {text!r}")
    return int(text)
