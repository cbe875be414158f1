"""What must hold of a month once everything has come to rest, whatever went wrong on the way."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
import stripe

from billing.invoices import list_invoices
from billing.payments.stripe_sandbox import RunningSandbox
from billing.repository.invoices import Invoice
from billing.tables import outbox
from metering.database import reading


def stripe_client(sandbox: RunningSandbox) -> stripe.StripeClient:
    """The real SDK, pointed at the sandbox."""
    base = sandbox.url
    return stripe.StripeClient(
        sandbox.api_key,
        base_addresses={"api": base, "connect": base, "files": base, "meter_events": base},
        max_network_retries=0,
    )


def assert_settled(engine: sa.Engine, sandbox: RunningSandbox, accounts: Iterable[str]) -> list[Invoice]:
    """One invoice an account in ours and in Stripe, equal to the cent; numbers without gaps; nothing left to
    send. Answers ours."""
    ours = list_invoices(engine)
    assert sorted(invoice.account for invoice in ours) == sorted(accounts)
    numbers = sorted(invoice.number or "" for invoice in ours)
    assert numbers == [f"2026-10-{place + 1:06d}" for place in range(len(ours))]
    client = stripe_client(sandbox)
    theirs = list(client.v1.invoices.list({"limit": 100}).auto_paging_iter())
    sent = {invoice.id: invoice for invoice in ours if invoice.total}
    assert sorted(_invoice_id(each) for each in theirs) == sorted(sent)
    for each in theirs:
        mine = sent[_invoice_id(each)]
        assert (each.id, each.number) == (mine.stripe_invoice_id, mine.number)
        assert (each.total, each.currency) == (mine.total, "usd")
        lines = [(line.description, line.amount) for line in each.lines.auto_paging_iter()]
        assert sorted(lines) == sorted((line.description, line.amount) for line in mine.lines)
        assert (each.status, each.amount_paid) == (mine.status, mine.amount_paid)
        assert each.status in ("open", "paid")
    with reading(engine) as connection:
        rows = connection.execute(sa.select(outbox.c.invoice_id, outbox.c.status)).all()
    assert sorted((row.invoice_id, row.status) for row in rows) == sorted((id, "done") for id in sent)
    return ours


def _invoice_id(invoice: stripe.Invoice) -> str:
    assert invoice.metadata is not None
    return str(invoice.metadata["invoice_id"])
