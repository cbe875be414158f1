"""Months in which a task run costs a dollar, billed and voided."""

from __future__ import annotations

import sqlalchemy as sa

from billing.invoices import show_invoice
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_objects import StripeInvoice
from billing.plans import load_plan_text
from billing.pricing.line import LineKind
from billing.repository.invoices import Invoice
from billing.voids import void_invoice
from metering.period import HOUR_US, Month
from tests.world import OCTOBER, World

DOLLAR_A_RUN = """{"plan": "dollar", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
    "brackets": [{"up_to": null, "unit_price": "1"}]}"""
NOVEMBER, DECEMBER = OCTOBER.next(), OCTOBER.next().next()


def dollars(engine: sa.Engine, gateway: StripeGateway | None = None, *, email: str = "") -> World:
    """The account `acme` pays a dollar a run."""
    world = World(engine, gateway=gateway)
    load_plan_text(engine, DOLLAR_A_RUN, "dollar.json", world.instant)
    world.account(plan="dollar", email=email)
    return world


def bill(world: World, month: Month = OCTOBER) -> Invoice:
    (invoice,) = bill_all(world, month)
    return show_invoice(world.engine, invoice.id)


def bill_all(world: World, month: Month = OCTOBER) -> list[Invoice]:
    world.instant = max(world.instant, month.end + 24 * HOUR_US)
    return list(world.service.run_month(month).invoices)


def void(world: World, invoice: Invoice, reason: str = "wrong plan") -> Invoice:
    return void_invoice(world.engine, invoice.id, reason, by="operator", now=world.instant)


def lines(invoice: Invoice) -> list[tuple[LineKind, Month | None, int]]:
    return [(line.kind, line.month, line.amount) for line in invoice.lines]


def stripe_invoice(invoice: Invoice, status: str, paid: int) -> StripeInvoice:
    """An invoice of ours as Stripe has it, with so much paid in minor units."""
    return StripeInvoice(
        id=f"in_{invoice.id}",
        status=status,
        number=invoice.number,
        currency=invoice.currency,
        total_excluding_tax=invoice.total,
        amount_paid=paid,
        amount_remaining=invoice.total - paid,
        charge_automatically=False,
        invoice_id=invoice.id,
        hosted_invoice_url=None,
        invoice_pdf=None,
    )
