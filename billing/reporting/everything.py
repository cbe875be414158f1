"""All that can be proved of an installation, at once: after a restore, a move, an upgrade."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from billing.audit.verification import Verified
from billing.audit.verification import verify as verify_trail
from billing.invoices import each_invoice
from billing.reporting.proof import Verification, verify
from metering.period import Month
from metering.store import EventStore


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
    invoices, differing = 0, []
    for invoice in each_invoice(engine, month=month):
        found = verify(engine, store, invoice.id)
        if not found.ok:
            differing.append(found)
        invoices += 1
        progress(invoices)
    return Proved(invoices, tuple(differing), trail)
