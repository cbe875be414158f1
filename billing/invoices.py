"""Operations on invoices, the same for every door."""

from __future__ import annotations

import sqlalchemy as sa

from billing.accounts import show_account
from billing.billing_month import document
from billing.errors import Invalid, NotFound
from billing.pricing.currency import minimum_charge
from billing.pricing.errors import PricingError
from billing.pricing.money import format_amount
from billing.pricing.rating import notes, over_soft_limit
from billing.repository import invoices, outbox, plans
from billing.repository.invoices import Invoice
from metering.database import reading
from metering.period import Month, format_instant
from metering.store import EventStore

STATUSES = ("draft", "finalized", "open", "paid", "void", "uncollectible")


def show_invoice(engine: sa.Engine, id_or_number: str, *, account: str | None = None) -> Invoice:
    """By our id or by number; of one account only, where given. Raises NotFound."""
    with reading(engine) as connection:
        invoice = invoices.get(connection, id_or_number)
    if invoice is None or account not in (None, invoice.account):
        raise NotFound(f"there is no invoice {id_or_number!r}; see: billing invoices list")
    return invoice


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
    if status is not None and status not in STATUSES:
        raise Invalid(f"status {status!r} is not one of {', '.join(STATUSES)}", field="status")
    with reading(engine) as connection:
        return invoices.search(
            connection, account=account, month=month, status=status, after=after, limit=limit
        )


def invoice_data(engine: sa.Engine, invoice: Invoice) -> dict[str, object]:
    """An invoice in the shape of JSON answers, with what keeps it from being sent, if anything does."""
    with reading(engine) as connection:
        intent = outbox.get(connection, invoice.id)
        version = plans.catalogue(connection).get(invoice.plan)
    return invoice_summary(invoice) | {
        "cutoff": invoice.cutoff,
        "cutoff_at": None if invoice.cutoff_at is None else format_instant(invoice.cutoff_at),
        "rule_version": invoice.rule_version,
        "not_billed": dict(invoice.not_billed),
        "usage_by_day": {day: dict(counts) for day, counts in invoice.usage_by_day.items()},
        "run_list_sha256": invoice.run_list_sha256,
        "lines": [line.to_data() for line in invoice.lines],
        "over_soft_limit": over_soft_limit(invoice.billable, version),
        "notes": [*notes(invoice.billable, version), *_payment_notes(invoice)],
        "replaces": invoice.replaces,
        "issued_at": None if invoice.issued_at is None else format_instant(invoice.issued_at),
        "invoice_pdf": invoice.invoice_pdf,
        "sending": None
        if intent is None
        else {
            "status": intent.status,
            "step": intent.step,
            "attempts": intent.attempts,
            "error": intent.error,
        },
    }


def _payment_notes(invoice: Invoice) -> list[str]:
    """Why an invoice that is paid may show less paid than its total (docs/rules.md §7)."""
    least = minimum_charge(invoice.currency)
    if invoice.status != "paid" or least is None or not invoice.amount_paid < invoice.total < least:
        return []
    return [
        f"The total is below {format_amount(least, invoice.currency)}, the least that Stripe charges: "
        "nothing was charged now, and Stripe keeps the amount on the customer's balance."
    ]


def invoice_summary(invoice: Invoice) -> dict[str, object]:
    """An invoice as lists show it."""
    return {
        "id": invoice.id,
        "number": invoice.number,
        "account": invoice.account,
        "kind": invoice.kind,
        "period": {"start": format_instant(invoice.month.start), "end": format_instant(invoice.month.end)},
        "currency": invoice.currency,
        "status": invoice.status,
        "plan": invoice.plan,
        "billable": invoice.billable,
        "total": invoice.total,
        "amount_paid": invoice.amount_paid,
        "stripe_invoice_id": invoice.stripe_invoice_id,
        "hosted_invoice_url": invoice.hosted_invoice_url,
    }


def preview(engine: sa.Engine, store: EventStore, account_id: str, month: Month) -> dict[str, object]:
    """What an account would owe for a month if it ended now, in the shape of an invoice; from the counters,
    so it costs the same however many events there are. Raises NotFound, Invalid."""
    account = show_account(engine, account_id)
    usage = store.usage(account_id, month.start, month.end, by="day")
    try:
        with reading(engine) as connection:
            version = plans.catalogue(connection).get(account.enrolment(month).plan_id)
        composed = document(account_id, account.currency, month, usage.counts, version)
    except PricingError as error:
        raise Invalid(str(error), field="plan") from None
    cutoff = store.cutoff()
    return {
        "id": None,
        "number": None,
        **composed.to_data(),
        "status": "preview",
        "cutoff": cutoff.position,
        "cutoff_at": None if cutoff.committed_at is None else format_instant(cutoff.committed_at),
        "run_list_sha256": None,
        "amount_paid": 0,
        "stripe_invoice_id": None,
    }
