"""Operations on invoices, the same for every door."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from billing.billing_month import window_counts
from billing.errors import Invalid, NotFound
from billing.payments.dunning import FAILING, collection_data, dunning
from billing.pricing.books import first_month, month_basis
from billing.pricing.currency import minimum_charge
from billing.pricing.errors import PricingError
from billing.pricing.invoice import Document, compose
from billing.pricing.money import format_amount
from billing.pricing.on_demand import ContractMonth
from billing.pricing.rating import notes as rating_notes
from billing.pricing.rating import over_soft_limit
from billing.repository import books, collection, credit_notes, invoices, outbox, plans
from billing.repository.collection import Record
from billing.repository.credit_notes import CreditNote
from billing.repository.invoice_ids import ids_having
from billing.repository.invoices import Invoice
from billing.repository.outbox import Intent
from billing.terms import get_account
from metering.database import reading
from metering.period import Month, format_instant, format_optional
from metering.store import Cutoff, EventStore

STATUSES = ("draft", "finalized", "open", "paid", "void", "uncollectible")
# So many invoices are in memory at once where all of a month are gone through.
_PAGE = 50
# And so many ids are, which are small.
_IDS = 10_000


def show_invoice(engine: sa.Engine, id_or_number: str, *, account: str | None = None) -> Invoice:
    """By our id or by number; of one account only, where given. Raises NotFound."""
    with reading(engine) as connection:
        invoice = invoices.get(connection, id_or_number)
    if invoice is None or account not in (None, invoice.account):
        raise no_invoice(id_or_number)
    return invoice


def no_invoice(id_or_number: str) -> NotFound:
    return NotFound(f"there is no invoice {id_or_number!r}; see: billing invoices list")


def list_invoices(
    engine: sa.Engine,
    *,
    account: str | None = None,
    month: Month | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Invoice]:
    """Invoices in the order in which they were made. Raises Invalid for a status there is not."""
    _check_status(status)
    with reading(engine) as connection:
        return invoices.search(
            connection, account=account, month=month, status=status, after=after, limit=limit
        )


def failing_invoices(
    engine: sa.Engine, now: int, *, account: str | None = None, after: str = "", limit: int | None = None
) -> list[dict[str, object]]:
    """The invoices that are not collected as they should be: a payment failed or waits for the customer, the
    day by which it was due is over, or Stripe could not finalize it. In the shape of JSON answers, with what
    is in the way under `collection`; those after an id, at most so many."""
    with reading(engine) as connection:
        held = collection.failing(connection, now, account, after=after, limit=limit)
        found = [(invoices.get(connection, invoice_id), each) for invoice_id, each in held.items()]
    return [
        invoice_summary(invoice) | {"collection": collection_data(invoice.status, each, now)}
        for invoice, each in found
        if invoice is not None and dunning(invoice.status, each, now) in FAILING
    ]


def each_invoice(
    engine: sa.Engine, *, account: str | None = None, month: Month | None = None, status: str | None = None
) -> Iterator[Invoice]:
    """The same one by one, however many there are: read a page at a time, each as of now."""
    _check_status(status)
    after = None
    while True:
        with reading(engine) as connection:
            ids = ids_having(connection, account, month, status, after, _IDS)
        for at in range(0, len(ids), _PAGE):
            with reading(engine) as connection:
                page = invoices.search(connection, status=status, among=ids[at : at + _PAGE])
            yield from page
        if len(ids) < _IDS:
            return
        after = ids[-1]


def _check_status(status: str | None) -> None:
    if status is not None and status not in STATUSES:
        raise Invalid(f"status {status!r} is not one of {', '.join(STATUSES)}", field="status")


def invoice_data(engine: sa.Engine, invoice: Invoice, now: int) -> dict[str, object]:
    """An invoice in the shape of JSON answers, with how far its sending, its credit notes and its void are at
    Stripe, and what keeps them from being done, if anything does; and where its collection stands."""
    with reading(engine) as connection:
        intents = outbox.of_invoice(connection, invoice.id)
        replaced = None if invoice.replaces is None else invoices.get(connection, invoice.replaces)
        replacing = invoices.replacement_of(connection, invoice.id)
        version = plans.catalogue(connection).get(invoice.plan)
        notes = credit_notes.of_invoice(connection, invoice.id)
        collected = collection.get(connection, invoice.id)
        records = collection.records(connection, invoice.id)
    intent = intents.get(invoice.id)
    void = intents.get(outbox.void_id(invoice.id))
    rated = invoice.billable - (invoice.drawn or 0)
    return invoice_summary(invoice) | {
        **invoice_counts(invoice),
        "rule_version": invoice.rule_version,
        "usage_by_day": {day: dict(counts) for day, counts in invoice.usage_by_day.items()},
        "run_list_sha256": invoice.run_list_sha256,
        "lines": [line.to_data() for line in invoice.lines],
        "brackets": [] if invoice.kind == "contract" else version.to_data()["brackets"],
        "over_soft_limit": over_soft_limit(rated, version),
        "notes": [*rating_notes(rated, version), *_contract_notes(invoice), *_payment_notes(invoice)],
        "contract": None
        if invoice.contract is None
        else {"id": invoice.contract, "drawn": invoice.drawn, "on_demand": rated},
        "credit_notes": [credit_note_data(each, intents.get(each.id)) for each in notes],
        "bill_to": dict(invoice.bill_to),
        "replaces": invoice.replaces,
        "replaces_number": None if replaced is None else replaced.number,
        "replaced_by": None if replacing is None else replacing.number or replacing.id,
        "voided_at": format_optional(invoice.voided_at),
        "void_reason": invoice.void_reason,
        "issued_at": format_optional(invoice.issued_at),
        "invoice_pdf": invoice.invoice_pdf,
        "approved_by": invoice.approved_by,
        "collection": None if collected is None else collection_data(invoice.status, collected, now),
        "stripe_records": [record_data(each) for each in records],
        "sending": None if intent is None else intent.to_data(),
        "voiding": void.to_data() | {"reason": void.reason} if void is not None and void.waits else None,
    }


def credit_note_data(note: CreditNote, intent: Intent | None) -> dict[str, object]:
    """A credit note in the shape of JSON answers, with how far it is at Stripe."""
    return {
        "id": note.id,
        "number": note.number,
        "invoice": note.invoice_id,
        "kind": note.kind,
        "amount": note.amount,
        "reason": note.reason,
        "author": note.author,
        "issued_at": format_instant(note.issued_at),
        "stripe_credit_note_id": note.stripe_credit_note_id,
        "sending": None if intent is None else intent.to_data(),
    }


def record_data(record: Record) -> dict[str, object]:
    """A refund, a dispute or a credit note at Stripe in the shape of JSON answers."""
    return {
        "id": record.id,
        "kind": record.kind,
        "amount": record.amount,
        "currency": record.currency,
        "status": record.status,
        "reason": record.reason,
        "created_at": format_instant(record.created_at),
        "credit_note": record.credit_note_id,
    }


def _contract_notes(invoice: Invoice) -> tuple[str, ...]:
    if invoice.contract is None or invoice.drawn is None:
        return ()
    return ContractMonth(invoice.contract, invoice.drawn, invoice.billable - invoice.drawn).notes


def _payment_notes(invoice: Invoice) -> list[str]:
    """Why an invoice that is paid may show less paid than its total, or more (docs/rules.md §7)."""
    if invoice.status == "paid" and invoice.amount_paid > invoice.total:
        tax = format_amount(invoice.amount_paid - invoice.total, invoice.currency)
        return [f"What was paid has {tax} of tax in it, which Stripe added to the total."]
    least = minimum_charge(invoice.currency)
    if invoice.status != "paid" or least is None or not invoice.amount_paid < invoice.total < least:
        return []
    return [
        f"The total is below {format_amount(least, invoice.currency)}, the least that Stripe charges: "
        "nothing was charged now, and Stripe keeps the amount on the customer's balance."
    ]


def invoice_summary(invoice: Invoice) -> dict[str, object]:
    """An invoice as lists show it."""
    return invoice_head(invoice) | {
        "amount_paid": invoice.amount_paid,
        "stripe_invoice_id": invoice.stripe_invoice_id,
        "hosted_invoice_url": invoice.hosted_invoice_url,
    }


def invoice_head(invoice: Invoice) -> dict[str, object]:
    """What an invoice is: whose, of when, on which plan; how it stands, and what it comes to."""
    return {
        "id": invoice.id,
        "number": invoice.number,
        "account": invoice.account,
        "kind": invoice.kind,
        "period": invoice.month.to_data(),
        "currency": invoice.currency,
        "status": invoice.status,
        "plan": invoice.plan,
        "billable": invoice.billable,
        "total": invoice.total,
    }


def invoice_counts(invoice: Invoice) -> dict[str, object]:
    """As of when its task runs were counted, and those that it does not bill."""
    return {
        "cutoff": invoice.cutoff,
        "cutoff_at": format_optional(invoice.cutoff_at),
        "not_billed": dict(invoice.not_billed),
    }


def preview(engine: sa.Engine, store: EventStore, account_id: str, month: Month) -> dict[str, object]:
    """What an account would owe for a month if it ended now, in the shape of an invoice; from the counters,
    so it costs the same however many events there are. Raises NotFound, Invalid."""
    try:
        with reading(engine) as connection:
            account = get_account(connection, account_id)
            catalogue = plans.catalogue(connection)
            held = books.load(connection, account)
        cutoff = store.cutoff()  # before the counts, which may only be of more than it says
        first = first_month(held, month)
        usage = store.usage(account_id, first.start, month.end, by="day")
        composed = compose(month_basis(held, catalogue, month, window_counts(usage.windows)))
    except PricingError as error:
        raise Invalid(str(error), field="plan") from None
    return {
        **composed.to_data(),
        **preview_head(composed, cutoff),
        "run_list_sha256": None,
        "amount_paid": 0,
        "stripe_invoice_id": None,
    }


def preview_head(composed: Document, cutoff: Cutoff) -> dict[str, object]:
    """What an invoice is that is not made: as `invoice_head` and `invoice_counts` say it of one that is."""
    data = composed.to_data()
    return {
        "id": None,
        "number": None,
        **{name: data[name] for name in ("account", "kind", "period", "currency", "plan", "billable")},
        "not_billed": data["not_billed"],
        "total": data["total"],
        "status": "preview",
        "cutoff": cutoff.position,
        "cutoff_at": format_optional(cutoff.committed_at),
    }
