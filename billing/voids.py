"""Voiding an invoice: it is as if it had never been issued (docs/rules.md §6).

An invoice that Stripe has, or may have, is void only when Stripe says so: until then there is an intent, and
customers can still pay. What voiding undoes here is one transaction, once, whoever brought it about.
"""

from __future__ import annotations

import sqlalchemy as sa

from billing import credit_use
from billing.audit.trail import change, note
from billing.billing_details import check_text
from billing.errors import Invalid, NotFound, Refused
from billing.notifications.telling import tell_invoices
from billing.repository import accounts, audit, invoices, outbox
from billing.repository.invoices import Invoice
from metering.database import writing


def void_invoice(engine: sa.Engine, id_or_number: str, reason: str, *, by: str, now: int) -> Invoice:
    """Void an invoice at once, if Stripe cannot have it; else ask for it: the answer is then not void yet.
    Asked again before it is done, nothing more happens. Raises NotFound, Invalid for the reason, or Refused
    for a draft, an invoice that is void or paid, and one whose credit was spent."""
    check_reason(reason)
    with writing(engine) as connection:
        invoice = lock_invoice(connection, id_or_number)
        _check(invoice)
        credit_use.require_unspent(connection, invoice)
        if outbox.withdraw_sending(connection, invoice.id, now):
            make_void(connection, invoice.id, by=by, reason=reason, now=now)
        else:
            asked = outbox.get(connection, outbox.void_id(invoice.id))
            if asked is None or asked.status != "pending":
                outbox.add_void(connection, invoice.id, by=by, reason=reason, now=now)
                note(
                    connection,
                    audit.ASKED,
                    "invoice",
                    invoice.id,
                    now=now,
                    by=by,
                    account=invoice.account,
                    reason=reason,
                )
        found = invoices.get(connection, invoice.id)
    assert found is not None
    return found


def make_void(connection: sa.Connection, invoice_id: str, *, by: str, reason: str, now: int) -> None:
    """What voiding does in our books, within the caller's transaction, and once: credit that the invoice used
    is returned, credit that it carried over withdrawn, and nothing is left to do for it at Stripe."""
    invoice = lock_invoice(connection, invoice_id)
    if invoice.status == "void":
        return
    entry = accounts.next_entry(connection, invoice.account)
    assert entry is not None
    with change(
        connection,
        "invoice.voided",
        "invoice",
        invoice.id,
        now=now,
        by=by,
        account=invoice.account,
        reason=reason,
    ):
        invoices.update(
            connection, invoice.id, status="void", void_entry=entry, voided_at=now, void_reason=reason
        )
        credit_use.give_back(connection, invoice, entry, by, now)
        outbox.settle_void(connection, invoice.id)
    tell_invoices(connection, "voided", [invoice], now)


def check_reason(reason: str) -> None:
    """Raises Invalid for a reason that is empty, too long, or cannot be shown."""
    check_text("reason", reason)
    if not reason.strip():
        raise Invalid("say why; the reason is kept with the document", field="reason")


def lock_invoice(connection: sa.Connection, id_or_number: str) -> Invoice:
    """The invoice, which nobody else changes, nor its account's books, before this transaction ends. Raises
    NotFound."""
    invoice = invoices.get(connection, id_or_number)
    if invoice is None:
        raise NotFound(f"there is no invoice {id_or_number!r}; see: billing invoices list")
    accounts.lock(connection, invoice.account)
    locked = invoices.get(connection, invoice.id, lock=True)
    assert locked is not None or invoice.status == "draft", "only drafts are ever deleted"
    return locked or invoice


def _check(invoice: Invoice) -> None:
    """Raises Refused for one that cannot be voided."""
    if invoice.status == "draft":
        raise Refused(
            f"invoice {invoice.id} is a draft, which was never issued; the next billing run makes it anew: "
            f"billing run {invoice.month}"
        )
    if invoice.status == "void":
        raise Refused(f"invoice {invoice.number} is void already")
    if invoice.status == "paid" and invoice.total:
        raise Refused(
            f"invoice {invoice.number} is paid; give the money back with a credit note: "
            f"billing invoices credit-note {invoice.number} AMOUNT --kind usage|goodwill --reason TEXT"
        )
