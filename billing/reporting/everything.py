"""All that can be proved of an installation, at once: after a restore, a move, an upgrade."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from billing.audit.verification import Verified
from billing.audit.verification import verify as verify_trail
from billing.reporting.proof import Verification, verify
from billing.repository import invoice_ids
from metering.database import reading
from metering.period import Month
from metering.store import EventStore

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Proved:
    """`invoices` were computed again, `differing` of them come to something else."""

    invoices: int
    differing: tuple[Verification, ...]
    trail: Verified

    @property
    def ok(self) -> bool:
        return not self.differing and not self.trail.count

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "ok": self.ok,
            "invoices": self.invoices,
            "differing": [each.to_data() for each in self.differing],
            "audit": self.trail.to_data(),
        }


def prove(
    engine: sa.Engine,
    store: EventStore,
    *,
    month: Month | None = None,
    seal: str | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Proved:
    """Every invoice, or those of a month, computed again from the events as of its cutoff, and the audit
    trail. `progress` is told how many invoices are done. Raises Invalid for a seal that can be none."""
    trail = verify_trail(engine, seal)
    count, differing = 0, []
    for invoice_id in _each_id(engine, month):
        found = verify(engine, store, invoice_id)
        if not found.ok:
            differing.append(found)
        count += 1
        progress(count)
    return Proved(count, tuple(differing), trail)


def _each_id(engine: sa.Engine, month: Month | None) -> Iterator[str]:
    """Only the ids: what else is stored of an invoice may be damaged, and each is proved by itself."""
    last = None
    while True:
        with reading(engine) as connection:
            page = invoice_ids.ids(connection, month=month, after=last, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        last = page[-1]
