"""Mends what can be mended without a person: nothing here charges, voids, credits, or changes a document that
was issued, unless that was decided before and is what the outbox still has to do. Safe to repeat, and beside
other processes: the outbox's claims and the lock of an invoice see to that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from billing.app import Service
from billing.payments.errors import Missing, PaymentError
from billing.payments.state import EVERYTHING, refresh
from billing.payments.tax import lines_at_stripe
from billing.reconciliation.difference import Difference
from billing.reconciliation.drafts import is_our_draft
from billing.repository import invoices, outbox
from metering.database import reading, writing

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway


def mend(service: Service, differences: Iterable[Difference]) -> list[str]:
    """Mend what can be; answers what did not go. Where nothing can be, Stripe is not asked."""
    gateway = service.gateway
    mendable = [each for each in differences if each.fix is not None]
    if gateway is None or not mendable:
        return []
    for invoice_id in sorted({each.invoice_id or "" for each in mendable if each.fix == "send"}):
        _send(service, invoice_id)
    problems: list[str] = []
    for each in mendable:
        try:
            if each.fix == "refresh":
                assert each.invoice_id is not None and each.stripe_invoice_id is not None
                ids = each.invoice_id, each.stripe_invoice_id
                refresh(service.engine, gateway, *ids, service.now(), EVERYTHING)
            elif each.fix == "delete draft":
                _delete_draft(service, gateway, each)
        except PaymentError as error:
            problems.append(f"{each.invoice or each.stripe_invoice_id}: {error}")
    service.reward_referrals()
    return problems


def _send(service: Service, invoice_id: str) -> None:
    """Do what the outbox has for an invoice, also what failed before. What is in the way is kept with it."""
    with writing(service.engine) as connection:
        outbox.retry_invoice(connection, invoice_id, service.now())
    service.send_invoice(invoice_id, kinds=("send", "credit_note", "void"))


def _delete_draft(service: Service, gateway: StripeGateway, extra: Difference) -> None:
    """Delete a draft that names an invoice of ours which Stripe has under another id, issued. All of that is
    looked at again. Raises PaymentError."""
    assert extra.invoice_id is not None and extra.stripe_invoice_id is not None
    with reading(service.engine) as connection:
        mine = invoices.get(connection, extra.invoice_id)
        busy = outbox.claimed(connection, service.now(), outbox.Wanted(invoice=extra.invoice_id))
    if mine is None or busy or mine.stripe_invoice_id in (None, extra.stripe_invoice_id):
        return
    issued = gateway.get_invoice(mine.stripe_invoice_id)
    try:
        draft = gateway.get_invoice(extra.stripe_invoice_id)
        ours = tuple((line.description, line.amount) for line in mine.lines)
        taxed = lines_at_stripe(mine.lines, mine.currency, automatic=True)
        to_tax = tuple((line.description, line.amount) for line in taxed)
        is_ours = draft.invoice_id == mine.id and is_our_draft(draft.lines, ours, to_tax)
        if issued.status != "draft" and draft.status == "draft" and is_ours:
            gateway.delete_draft(draft.id)
    except Missing:
        return  # it is gone, which is what was wanted
