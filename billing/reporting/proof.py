"""Proof of an invoice: the list of its billed runs, and its recomputation from the stored events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from billing.audit.entry import readable
from billing.billing_month import counts_data
from billing.contract_invoices import invoiced_amounts
from billing.errors import BillingError, Invalid
from billing.invoices import no_invoice, show_invoice
from billing.pricing.books import first_month, month_basis
from billing.pricing.contract_invoice import due_lines
from billing.pricing.invoice import compose
from billing.repository import books, invoice_ids, plans
from billing.repository.invoices import Invoice
from billing.terms import get_account
from metering.database import UNREADABLE, is_no_text, reading
from metering.period import day_of
from metering.run_list import month_usage, run_list
from metering.store import EventStore

log = structlog.get_logger()

_BLOCK_BYTES = 64 << 10


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
    """The CSV of the runs that an invoice bills, line by line, as of its cutoff. Raises NotFound, and
    Invalid for an invoice of a contract."""
    invoice = show_invoice(engine, id_or_number)
    if invoice.cutoff is None:
        raise Invalid(f"invoice {invoice.number} is for a contract, and has no task runs", field="id")
    return run_list(store.runs(invoice.account, invoice.month.start, invoice.month.end, invoice.cutoff))


# What of an invoice is checked against its run list, and by its own arithmetic.
_CHECKED = (
    "id", "number", "account", "kind", "period", "currency", "status", "plan", "rule_version", "cutoff",
    "cutoff_at", "billable", "not_billed", "usage_by_day", "run_list_sha256", "brackets", "contract", "lines",
    "total",
)  # fmt: skip


def checkable(data: Mapping[str, object]) -> dict[str, object]:
    """Of an invoice in the shape of JSON answers, what whoever checks it needs, and nothing else."""
    return {name: data[name] for name in _CHECKED}


def sendable(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines in pieces that are worth sending."""
    held = bytearray()
    for line in lines:
        held += line
        if len(held) >= _BLOCK_BYTES:
            yield bytes(held)
            held.clear()
    yield bytes(held)


_DAMAGED = (*UNREADABLE, BillingError)


def verify(
    engine: sa.Engine, store: EventStore, id_or_number: str, *, account: str | None = None
) -> Verification:
    """Recompute an invoice from the events as of its cutoff, and from the account's books as it found them:
    terms, other documents, credit. One of which something cannot be read differs. Of one account only, where
    given. Raises NotFound."""
    with reading(engine) as connection:
        found = invoice_ids.find(connection, id_or_number)
    if found is None or account not in (None, found.account):
        raise no_invoice(id_or_number)
    try:
        return _verify(engine, store, found.id)
    except sa.exc.DBAPIError as error:
        if not is_no_text(error):
            raise
        return _unreadable(found.id, error)
    except _DAMAGED as error:
        return _unreadable(found.id, error)


def _unreadable(invoice_id: str, error: Exception) -> Verification:
    log.warning("an invoice cannot be computed again", invoice=invoice_id, exc_info=error)
    stored = f"the invoice, or what it is computed from, cannot be read ({in_words(error)})"
    return Verification(invoice_id, (Difference("document", stored, None),))


def in_words(error: Exception) -> str:
    """What could not be read, in one line."""
    says = " ".join(readable(getattr(error, "orig", error)).split())
    return f"{type(error).__name__}: {says}"


def _verify(engine: sa.Engine, store: EventStore, invoice_id: str) -> Verification:
    invoice = show_invoice(engine, invoice_id)
    if invoice.cutoff is None:
        return _verify_contract_invoice(engine, invoice)
    with reading(engine) as connection:
        account = get_account(connection, invoice.account)
        catalogue = plans.catalogue(connection)
        held = books.load(connection, account, before=invoice.entry)
    month = invoice.month
    usage = month_usage(store.runs(invoice.account, month.start, month.end, invoice.cutoff))
    days = store.days(invoice.account, first_month(held, month).start, month.end, invoice.cutoff)
    again = compose(month_basis(held, catalogue, month, days))
    pairs: list[tuple[str, object, object]] = [
        ("billable", invoice.billable, usage.counts.billable),
        ("not_billed", dict(invoice.not_billed), usage.counts.not_billed),
        (
            "usage_by_day",
            {day: dict(counts) for day, counts in invoice.usage_by_day.items()},
            {day: counts_data(counts) for day, counts in usage.by_day.items()},
        ),
        ("run_list_sha256", invoice.run_list_sha256, usage.run_list_sha256),
        ("plan", invoice.plan, again.plan),
        ("drawn", invoice.drawn, None if again.contract is None else again.contract.drawn),
        ("lines", _lines(invoice), [line.to_data() for line in again.lines]),
        ("total", invoice.total, again.total),
        ("total", invoice.total, sum(line.amount for line in invoice.lines)),
    ]
    return Verification(
        invoice.id, tuple(Difference(name, stored, now) for name, stored, now in pairs if stored != now)
    )


def _verify_contract_invoice(engine: sa.Engine, invoice: Invoice) -> Verification:
    """Recompute what was due of the contract, as it was agreed and invoiced before."""
    assert invoice.contract is not None and invoice.cutoff_at is not None
    with reading(engine) as connection:
        account = get_account(connection, invoice.account)
        held = books.load(connection, account, before=invoice.entry).terms
        invoiced = invoiced_amounts(connection, invoice.contract, before=invoice.entry)
    contract = held.find_contract(invoice.contract)
    again = due_lines(contract, invoiced, day_of(invoice.cutoff_at))
    pairs: list[tuple[str, object, object]] = [
        ("lines", _lines(invoice), [line.to_data() for line in again]),
        ("total", invoice.total, sum(line.amount for line in again)),
    ]
    return Verification(
        invoice.id, tuple(Difference(name, stored, now) for name, stored, now in pairs if stored != now)
    )


def _lines(invoice: Invoice) -> list[dict[str, object]]:
    return [line.to_data() for line in invoice.lines]
