"""A void and a credit note killed at every step: one effect in ours and at Stripe, credit returned once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
import stripe

from billing.app import Service
from billing.credit_notes import credit_note
from billing.credits import add_credit, show_credit
from billing.errors import BillingError, Refused
from billing.invoices import show_invoice
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import RunningSandbox, StripeSandbox, running_sandbox
from billing.repository import credit_notes, outbox
from billing.repository.invoices import Invoice
from billing.tables import outbox as outbox_table
from billing.voids import void_invoice
from metering.database import make_engine, reading
from metering.period import HOUR_US, SECOND_US
from metering.store.sql import SqlEventStore
from tests.billing.months import bill, dollars
from tests.conftest import NewDatabase
from tests.events import runs
from tests.faults.killing import KillAt, Killed, MortalGateway
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World

Act = Callable[[Service, Invoice], None]


def void(service: Service, invoice: Invoice) -> None:
    void_invoice(service.engine, invoice.id, "wrong plan", by="operator", now=service.now())
    service.send_invoice(invoice.id)


def credit(service: Service, invoice: Invoice) -> None:
    """Started again, the command would give a second note: it is given if there is none."""
    with reading(service.engine) as connection:
        given = credit_notes.of_invoice(connection, invoice.id)
    if not given:
        credit_note(
            service.engine, invoice.id, "2.00", "goodwill", "outage", by="operator", now=service.now()
        )
    service.send_invoice(invoice.id)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    own = StripeSandbox(clock=lambda: NOVEMBER_2 // SECOND_US)
    with running_sandbox(own, deliver_webhooks=False) as running:
        yield running


def every_kill(
    new_database: NewDatabase,
    sandbox: RunningSandbox,
    act: Act,
    prepare: Callable[[World, Invoice], None] = lambda world, invoice: None,
    *,
    send: bool = True,
) -> Iterator[tuple[World, Invoice]]:
    """Each step's world, after the act was killed there, started again, and everything came to rest."""
    step, reached = 0, True
    while reached:  # until the act ends before its turn: then every step has been a kill
        step += 1
        sandbox.state.reset()
        engine = new_database()
        gateway = StripeGateway(sandbox.api_key, api_base=sandbox.url)
        world = dollars(engine, gateway, email="billing@acme.example")
        add_credit(engine, "acme", "1.00", "sorry", by="operator", now=world.instant)
        world.send(runs(5))
        (invoice,) = world.service.run_month(OCTOBER, send=send).invoices
        prepare(world, invoice)
        kill = KillAt(step)
        mortal = make_engine(engine.url.render_as_string(hide_password=False))
        service = replace(
            world.service,
            engine=mortal,
            store=SqlEventStore(mortal),
            gateway=MortalGateway(gateway, kill),  # type: ignore[arg-type]
        )
        kill.listen(mortal)
        with contextlib.suppress(Killed):
            act(service, invoice)
        mortal.dispose()
        world.instant += HOUR_US  # the claim of the dead process has lapsed
        with contextlib.suppress(BillingError):  # it is void already
            act(world.service, invoice)
        world.service.send_due()
        assert open_intents(engine) == []
        yield world, invoice
        engine.dispose()
        reached = kill.reached
    assert step > 8


def open_intents(engine: sa.Engine) -> list[str]:
    query = sa.select(outbox_table.c.id).where(outbox_table.c.status.in_(("pending", "failed")))
    with reading(engine) as connection:
        return list(connection.scalars(query))


def theirs(sandbox: RunningSandbox) -> list[stripe.Invoice]:
    return list(stripe_client(sandbox).v1.invoices.list({"limit": 10}).data)


def kinds(world: World) -> list[object]:
    return [each["kind"] for each in show_credit(world.engine, "acme")["ledger"]]  # type: ignore[attr-defined]


def test_a_void_of_an_open_invoice(new_database: NewDatabase, sandbox: RunningSandbox) -> None:
    for world, invoice in every_kill(new_database, sandbox, void):
        held = show_invoice(world.engine, invoice.id)
        assert (held.status, [each.status for each in theirs(sandbox)]) == ("void", ["void"])
        assert kinds(world) == ["goodwill", "used", "returned"]
        assert bill(world).total == 400


def test_a_void_of_an_invoice_whose_sending_is_killed(
    new_database: NewDatabase, sandbox: RunningSandbox
) -> None:
    """The process dies somewhere on the way to Stripe; then the invoice is voided."""

    def send_then_void(service: Service, invoice: Invoice) -> None:
        if isinstance(service.gateway, MortalGateway):
            service.send_invoice(invoice.id, kinds=("send",))
        else:
            void(service, invoice)

    for world, invoice in every_kill(new_database, sandbox, send_then_void, send=False):
        assert show_invoice(world.engine, invoice.id).status == "void"
        assert [each.status for each in theirs(sandbox)] in ([], ["void"])
        assert kinds(world) == ["goodwill", "used", "returned"]
        again = bill(world)
        assert [each.number for each in theirs(sandbox) if each.status == "open"] == [again.number]


def test_a_credit_note_on_an_open_invoice(new_database: NewDatabase, sandbox: RunningSandbox) -> None:
    for world, invoice in every_kill(new_database, sandbox, credit):
        (held,) = theirs(sandbox)
        assert (held.status, held.amount_remaining, held.pre_payment_credit_notes_amount) == (
            "open",
            200,
            200,
        )
        assert kinds(world) == ["goodwill", "used"]
        assert_noted_once(world, invoice, sandbox)


def test_a_credit_note_on_a_paid_invoice(new_database: NewDatabase, sandbox: RunningSandbox) -> None:
    def pay(_world: World, invoice: Invoice) -> None:
        stripe_id = stripe_client(sandbox).v1.invoices.list().data[0].id
        stripe_client(sandbox).v1.invoices.pay(stripe_id, {"paid_out_of_band": True})

    for world, invoice in every_kill(new_database, sandbox, credit, pay):
        assert (kinds(world), show_credit(world.engine, "acme")["balance"]) == (
            ["goodwill", "used", "credit_note"], 200
        )  # fmt: skip
        assert show_invoice(world.engine, invoice.id).status == "paid"
        assert_noted_once(world, invoice, sandbox)


def test_eight_voids_at_once_and_a_month_run_meanwhile(
    new_database: NewDatabase, sandbox: RunningSandbox
) -> None:
    """Of an open invoice that used credit: it is void once, and its month billed once more."""
    sandbox.state.reset()
    gateway = StripeGateway(sandbox.api_key, api_base=sandbox.url)
    world = dollars(new_database(), gateway, email="billing@acme.example")
    add_credit(world.engine, "acme", "1.00", "sorry", by="operator", now=world.instant)
    world.send(runs(5))
    (invoice,) = world.service.run_month(OCTOBER).invoices
    errors: list[BaseException] = []
    gate = threading.Barrier(12)

    def work(act: Callable[[Service], object]) -> None:
        engine = make_engine(world.engine.url.render_as_string(hide_password=False))
        gate.wait()
        try:
            with contextlib.suppress(Refused):  # it is void already
                act(replace(world.service, engine=engine, store=SqlEventStore(engine)))
        except BaseException as error:
            errors.append(error)
        engine.dispose()

    acts = [lambda service: void(service, invoice)] * 8 + [lambda service: service.run_month(OCTOBER)] * 4
    threads = [threading.Thread(target=work, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    again = bill(world)
    assert (show_invoice(world.engine, invoice.id).status, again.replaces) == ("void", invoice.id)
    assert (kinds(world), again.total) == (["goodwill", "used", "returned", "used"], 400)
    assert sorted(str(each.status) for each in theirs(sandbox)) == ["open", "void"]
    assert open_intents(world.engine) == []


def assert_noted_once(world: World, invoice: Invoice, sandbox: RunningSandbox) -> None:
    (held,) = stripe_client(sandbox).v1.credit_notes.list({"limit": 10}).data
    with reading(world.engine) as connection:
        (note,) = credit_notes.of_invoice(connection, invoice.id)
        intent = outbox.get(connection, note.id)
    assert (note.stripe_credit_note_id, note.amount, held.amount) == (held.id, 200, 200)
    assert intent is not None
    assert intent.status == "done"
