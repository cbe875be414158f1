"""Proof of an invoice: the list of its billed runs, and its recomputation from the stored events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from billing.billing_month import counts_data, document
from billing.invoices import show_invoice
from billing.repository import plans
from billing.repository.invoices import Invoice
from metering.database import reading
from metering.run_list import month_usage, run_list
from metering.store import EventStore


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of an invoice that its events do not bear out."""

    field: str
    stored: object
    recomputed: object


@dataclass(frozen=True, slots=True)
class Verification:
    id: str
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        return not self.differences

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "id": self.id,
            "ok": self.ok,
            "differences": [
                {"field": each.field, "stored": each.stored, "recomputed": each.recomputed}
                for each in self.differences
            ],
        }


def invoice_run_list(engine: sa.Engine, store: EventStore, id_or_number: str) -> Iterator[bytes]:
    """The CSV of the runs that an invoice bills, line by line, as of its cutoff. Raises NotFound."""
    invoice = show_invoice(engine, id_or_number)
    return run_list(store.runs(invoice.account, invoice.month.start, invoice.month.end, invoice.cutoff))


def verify(engine: sa.Engine, store: EventStore, id_or_number: str) -> Verification:
    """Recompute an invoice from the events as of its cutoff and the plan version it was priced by. Raises
    NotFound."""
    invoice = show_invoice(engine, id_or_number)
    with reading(engine) as connection:
        version = plans.catalogue(connection).get(invoice.plan)
    usage = month_usage(store.runs(invoice.account, invoice.month.start, invoice.month.end, invoice.cutoff))
    again = document(invoice.account, invoice.currency, invoice.month, usage.counts, version)
    pairs: list[tuple[str, object, object]] = [
        ("billable", invoice.billable, usage.counts.billable),
        ("not_billed", dict(invoice.not_billed), usage.counts.not_billed),
        (
            "usage_by_day",
            {day: dict(counts) for day, counts in invoice.usage_by_day.items()},
            {day: counts_data(counts) for day, counts in usage.by_day.items()},
        ),
        ("run_list_sha256", invoice.run_list_sha256, usage.run_list_sha256),
        ("lines", _lines(invoice), [line.to_data() for line in again.lines]),
        ("total", invoice.total, again.total),
        ("total", invoice.total, sum(line.amount for line in invoice.lines)),
    ]
    return Verification(
        invoice.id, tuple(Difference(name, stored, now) for name, stored, now in pairs if stored != now)
    )


def _lines(invoice: Invoice) -> list[dict[str, object]]:
    return [line.to_data() for line in invoice.lines]
