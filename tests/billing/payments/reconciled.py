"""Looking at October, and mending it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
import stripe

from billing.audit.trail import changed_many
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import RunningSandbox
from billing.reconciliation.operation import Reconciliation, reconcile
from billing.repository.audited import digests
from billing.repository.invoices import Invoice
from billing.tables import accounts, credit_ledger, invoices
from billing.tables import outbox as intents
from metering.database import reading, writing
from tests.billing.months import dollars
from tests.events import runs
from tests.world import OCTOBER, World

Said = list[tuple[str, str, str, int | None]]
NOT_INVOICED = ("acme", "meter-invoice", "not invoiced", 500)


def owes_five(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    """Acme had five dollars' worth of task runs in October."""
    gateway = StripeGateway(sandbox.api_key, api_base=sandbox.url)
    world = dollars(engine, gateway, email="billing@acme.example")
    world.send(runs(5))
    return world


def said(report: Reconciliation) -> Said:
    return [(each.account, each.between, each.cause, each.amount) for each in report.differences]


def differ(cause: str, amount: int | None, account: str = "acme") -> Said:
    return [(account, "invoice-stripe", cause, amount)]


def look(world: World, sandbox: RunningSandbox, **more: Any) -> Reconciliation:
    """Reconcile October without mending: nothing is written anywhere, and no invoice is asked for alone
    unless something about it is in doubt."""
    before, held = len(sandbox.state.log), _books(world)
    report = reconcile(world.service, OCTOBER, **more)
    asked = list(sandbox.state.log)[before:]
    assert {request.method for request in asked} <= {"GET"}
    assert _books(world) == held
    if report.ok:
        assert {request.path for request in asked} <= {"/v1/invoices"}
    return report


def _books(world: World) -> list[Any]:
    with reading(world.engine) as connection:
        return [
            connection.execute(sa.select(table).order_by(*table.primary_key.columns)).all()
            for table in (invoices, intents, credit_ledger, accounts)
        ]


def fix(world: World) -> Reconciliation:
    report = reconcile(world.service, OCTOBER, fix=True)
    again = reconcile(world.service, OCTOBER, fix=True)
    assert (again.fixed, said(again)) == ([], said(report)), "mended once, it stays mended"
    return report


def cannot_be_fixed(world: World, sandbox: RunningSandbox, expected: Said) -> Reconciliation:
    """With --fix, too, nothing is written anywhere."""
    report = look(world, sandbox)
    assert said(report) == expected
    assert said(look(world, sandbox, fix=True)) == expected
    return report


def pay(client: stripe.StripeClient, invoice: Invoice) -> None:
    client.v1.invoices.pay(invoice.stripe_invoice_id or "", {"paid_out_of_band": True})


def second_invoice(client: stripe.StripeClient, made: Invoice, *, finalize: bool = False) -> stripe.Invoice:
    """A second invoice that names ours, as a program gone wrong would make it."""
    held = client.v1.invoices.retrieve(made.stripe_invoice_id or "")
    customer: Any = held.customer
    extra = client.v1.invoices.create(
        {"customer": customer, "auto_advance": False, "metadata": {"invoice_id": made.id}}
    )
    lines: Any = [{"amount": each.amount, "description": each.description} for each in made.lines]
    client.v1.invoices.add_lines(extra.id, {"lines": lines})
    return client.v1.invoices.finalize_invoice(extra.id, {"auto_advance": False}) if finalize else extra


def set_books(world: World, **values: Any) -> None:
    """What our invoices say, as if the service had written it."""
    with writing(world.engine) as connection:
        ids = list(connection.scalars(sa.select(invoices.c.id)))
        was = digests(connection, "invoice", ids)
        connection.execute(invoices.update().values(**values))
        changed_many(connection, "invoice.issued", "invoice", ids, now=world.instant, was=was)
