"""A month compared with Stripe, through the real SDK to the sandbox; on both engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
import stripe

from billing.credit_notes import credit_note
from billing.invoices import show_invoice
from billing.payments.desk import CLAIM_US
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import Fault, FaultKind, FaultSchedule, RunningSandbox
from billing.reconciliation.fixes import mend
from billing.reconciliation.operation import Reconciliation, reconcile
from billing.repository import outbox
from billing.repository.invoices import Invoice
from billing.tables import accounts, credit_ledger, invoices
from billing.tables import outbox as intents
from billing.voids import void_invoice
from metering.database import reading, writing
from metering.period import DAY_US, HOUR_US, SECOND_US
from tests.billing.months import NOVEMBER, bill, dollars, void
from tests.billing.payments.conftest import Clock
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World

Said = list[tuple[str, str, str, int | None]]
NOT_INVOICED = ("acme", "meter-invoice", "not invoiced", 500)


@pytest.fixture
def clock() -> Clock:
    """Stripe's time is ours."""
    return Clock(NOVEMBER_2 // SECOND_US)


@pytest.fixture
def world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    return _world(engine, sandbox)


@pytest.fixture
def lite(sqlite_databases: NewDatabase, sandbox: RunningSandbox) -> World:
    """On SQLite alone, where storage does not matter."""
    return _world(sqlite_databases(), sandbox)


def _world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    """Acme had five dollars' worth of task runs in October."""
    gateway = StripeGateway(sandbox.api_key, api_base=sandbox.url)
    world = dollars(engine, gateway, email="billing@acme.example")
    world.send(runs(5))
    return world


@pytest.fixture
def client(sandbox: RunningSandbox) -> stripe.StripeClient:
    return stripe_client(sandbox)


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


def test_a_month_that_agrees(world: World, sandbox: RunningSandbox, client: stripe.StripeClient) -> None:
    made = bill(world)
    report = look(world, sandbox)
    assert (report.ok, report.notes) == (True, [])
    assert (report.accounts, report.invoices, report.at_stripe) == (1, 1, 1)
    assert report.to_data()["compared"] == {
        "accounts": 1,
        "invoices": 1,
        "at_stripe": 1,
        "source_runs": None,
        "amounts": [{"currency": "USD", "total": 500, "amount_paid": 0}],
    }
    assert len(sandbox.state.log) and made.stripe_invoice_id
    assert look(world, sandbox, account="acme").ok


def test_hundreds_of_invoices_are_listed_not_fetched(lite: World, sandbox: RunningSandbox) -> None:
    for number in range(120):
        lite.account(f"a{number:03d}", plan="dollar", email="a@example.com")
        lite.send(runs(1, account=f"a{number:03d}", prefix="x"))
    lite.service.run_month(OCTOBER)
    before = len(sandbox.state.log)
    report = look(lite, sandbox)
    assert (report.ok, report.at_stripe) == (True, 121)
    assert len(sandbox.state.log) - before == 2


def test_a_lost_webhook_is_found_and_taken_over(
    world: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(world)
    pay(client, made)
    report = look(world, sandbox)
    assert said(report) == differ("paid state differs", -500)
    assert "its webhook did not arrive" in report.differences[0].message
    report = fix(world)
    assert (report.ok, [each.cause for each in report.fixed]) == (True, ["paid state differs"])
    held = show_invoice(world.engine, made.id)
    assert (held.status, held.amount_paid) == ("paid", 500)


def test_what_a_person_voided_at_stripe_is_taken_over(
    world: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(world)
    client.v1.invoices.void_invoice(made.stripe_invoice_id or "")
    assert said(look(world, sandbox)) == differ("paid state differs", 0)
    report = fix(world)
    assert [each.cause for each in report.fixed] == ["paid state differs"]
    assert show_invoice(world.engine, made.id).status == "void"
    # It is as if it had never been issued: its task runs are to be billed again.
    assert said(report) == [NOT_INVOICED]
    assert "since 2026-10-000001 was voided; bill it: billing run 2026-10" in report.differences[0].message
    assert bill(world).replaces == made.id
    assert look(world, sandbox).ok


def test_what_was_not_sent_is_sent(world: World, sandbox: RunningSandbox) -> None:
    sandbox.state.missing_email = "refused"
    with writing(world.engine) as connection:
        connection.execute(accounts.update().values(email=""))
    made = bill(world)
    report = look(world, sandbox)
    assert said(report) == differ("missing in Stripe", 500)
    assert (
        "has no e-mail address; give it one with: billing accounts update acme"
        in report.differences[0].message
    )
    assert said(fix(world)) == differ("missing in Stripe", 500)
    with writing(world.engine) as connection:
        connection.execute(accounts.update().values(email="billing@acme.example"))
    report = fix(world)
    assert (report.ok, [each.cause for each in report.fixed]) == (True, ["missing in Stripe"])
    assert show_invoice(world.engine, made.id).status == "open"


@pytest.mark.parametrize(
    "route", ["/v1/invoices", "/v1/invoices/{invoice}/add_lines", "/v1/invoices/{invoice}/finalize"]
)
def test_what_was_cut_short_is_done(lite: World, sandbox: RunningSandbox, route: str) -> None:
    lost = [Fault("POST", route, nth=nth, kind=FaultKind.APPLIED_THEN_CLOSES) for nth in (1, 2, 3)]
    sandbox.state.faults = FaultSchedule(lost)
    bill(lite)
    sandbox.state.faults = FaultSchedule([])
    report = look(lite, sandbox)
    cause = "paid state differs" if route.endswith("finalize") else "missing in Stripe"
    assert [each.cause for each in report.differences] == [cause]
    report = fix(lite)
    assert (report.ok, len(report.fixed), report.at_stripe) == (True, 1, 1)


def test_what_another_process_is_at_work_on_is_left_to_it(lite: World, sandbox: RunningSandbox) -> None:
    lite.service.run_month(OCTOBER, send=False)
    made = show_invoice(lite.engine, "2026-10-000001")
    with writing(lite.engine) as connection:
        assert outbox.claim(connection, made.id, lite.instant, lite.instant + CLAIM_US)
    waits: list[int] = []

    def pause() -> None:
        """The other process dies, and its claim lapses."""
        waits.append(len(sandbox.state.log))
        lite.instant += CLAIM_US

    object.__setattr__(lite.service, "pause", pause)
    assert fix(lite).ok
    assert waits and not any(request.method == "POST" for request in list(sandbox.state.log)[: waits[0]])


def test_a_note_that_was_not_given_is_given(
    world: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(world)
    credit_note(world.engine, made.id, "2", "goodwill", "sorry", by="operator", now=world.instant)
    assert said(look(world, sandbox)) == differ("credit notes differ", 200)
    report = fix(world)
    assert (report.ok, [each.cause for each in report.fixed]) == (True, ["credit notes differ"])
    assert client.v1.invoices.retrieve(made.stripe_invoice_id or "").amount_remaining == 300


def test_a_void_that_was_not_done_is_done(world: World, sandbox: RunningSandbox) -> None:
    made = bill(world)
    void(world, made)
    assert said(look(world, sandbox)) == differ("void not done in Stripe", None)
    assert [each.cause for each in fix(world).fixed] == ["void not done in Stripe"]
    assert show_invoice(world.engine, made.id).status == "void"


def _second(client: stripe.StripeClient, made: Invoice, *, finalize: bool = False) -> stripe.Invoice:
    """A second invoice that names ours, as a program gone wrong would make it."""
    held = client.v1.invoices.retrieve(made.stripe_invoice_id or "")
    customer: Any = held.customer
    extra = client.v1.invoices.create(
        {"customer": customer, "auto_advance": False, "metadata": {"invoice_id": made.id}}
    )
    client.v1.invoices.add_lines(extra.id, {"lines": [{"amount": 500, "description": "again"}]})
    return client.v1.invoices.finalize_invoice(extra.id, {"auto_advance": False}) if finalize else extra


def test_a_draft_that_is_one_too_many_is_deleted(
    world: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(world)
    _second(client, made)
    assert said(look(world, sandbox)) == differ("extra in Stripe", -500)
    report = fix(world)
    assert (report.ok, [each.cause for each in report.fixed]) == (True, ["extra in Stripe"])
    assert [each.id for each in client.v1.invoices.list().data] == [made.stripe_invoice_id]
    deleted = [request.path for request in sandbox.state.log if request.method == "DELETE"]
    assert len(deleted) == 1


def test_a_draft_that_is_finalized_meanwhile_is_kept(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    """Between our look and the deletion somebody finalizes it: it is looked at again."""
    extra = _second(client, bill(lite))

    class Meanwhile:
        def __init__(self, gateway: Any) -> None:
            self._gateway = gateway

        def __getattr__(self, name: str) -> Any:
            if name == "delete_draft":
                client.v1.invoices.finalize_invoice(extra.id, {"auto_advance": False})
            return getattr(self._gateway, name)

    gateway: Any = Meanwhile(lite.service.gateway)
    object.__setattr__(lite.service, "gateway", gateway)
    report = reconcile(lite.service, OCTOBER, fix=True)
    assert said(report) == differ("extra in Stripe", -500)
    assert "only delete draft invoices" in report.notes[0]
    assert client.v1.invoices.retrieve(extra.id).status == "open"


def _renamed(lite: World, client: stripe.StripeClient, made: Invoice, extra: stripe.Invoice) -> None:
    client.v1.invoices.update(extra.id, {"metadata": {"invoice_id": "inv_of_others"}})


def _at_work(lite: World, client: stripe.StripeClient, made: Invoice, extra: stripe.Invoice) -> None:
    credit_note(lite.engine, made.id, "1", "goodwill", "sorry", by="operator", now=lite.instant)
    with reading(lite.engine) as connection:
        (due,) = outbox.due(connection, lite.instant)
    with writing(lite.engine) as connection:
        assert outbox.claim(connection, due, lite.instant, lite.instant + CLAIM_US)


def _taken_for_ours(lite: World, client: stripe.StripeClient, made: Invoice, extra: stripe.Invoice) -> None:
    _set(lite, stripe_invoice_id=extra.id)


def _ours_is_a_draft(lite: World, client: stripe.StripeClient, made: Invoice, extra: stripe.Invoice) -> None:
    _set(lite, stripe_invoice_id=_second(client, made).id)


@pytest.mark.parametrize("happens", [_renamed, _at_work, _taken_for_ours, _ours_is_a_draft])
def test_before_a_draft_is_deleted_everything_is_looked_at_again(
    lite: World,
    sandbox: RunningSandbox,
    client: stripe.StripeClient,
    happens: Callable[[World, stripe.StripeClient, Invoice, stripe.Invoice], None],
) -> None:
    made = bill(lite)
    extra = _second(client, made)
    stale = look(lite, sandbox).differences
    assert [each.fix for each in stale] == ["delete draft"]
    happens(lite, client, made, extra)
    assert mend(lite.service, stale) == []
    assert client.v1.invoices.retrieve(extra.id).status == "draft"


def test_a_draft_that_is_gone_already_was_what_was_wanted(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    extra = _second(client, bill(lite))
    stale = look(lite, sandbox).differences
    client.v1.invoices.delete(extra.id)
    assert mend(lite.service, stale) == []


def _nothing(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    """Changes nothing."""


def _issued_twice(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    _second(client, made, finalize=True)


def _by_hand(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    customer: Any = client.v1.invoices.retrieve(made.stripe_invoice_id or "").customer
    extra = client.v1.invoices.create({"customer": customer, "auto_advance": False})
    client.v1.invoices.add_lines(extra.id, {"lines": [{"amount": 700, "description": "by hand"}]})


def _of_other_books(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    extra = _second(client, made)
    client.v1.invoices.update(extra.id, {"metadata": {"invoice_id": "inv_of_others"}})


def _credited_by_hand(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    client.v1.credit_notes.create({"invoice": made.stripe_invoice_id or "", "amount": 100})


def _paid_here_alone(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    _set(world, status="paid", amount_paid=500)


def _void_here_alone(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    _set(world, status="void", voided_at=world.instant, void_reason="by mistake")


def _another_total(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    _set(world, total=600)


def _another_number(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    _set(world, number="2026-10-000009")


def _forgotten_there(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    _set(world, stripe_invoice_id="in_of_another_account")
    client.v1.invoices.update(
        made.stripe_invoice_id or "", {"metadata": {"invoice_id": "", "reconcile": "ignore"}}
    )


def _set(world: World, **values: Any) -> None:
    with writing(world.engine) as connection:
        connection.execute(invoices.update().values(**values))


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        (_nothing, []),
        (_issued_twice, differ("extra in Stripe", -500)),
        (_by_hand, differ("extra in Stripe", -700)),
        (_of_other_books, differ("extra in Stripe", -500)),
        (_credited_by_hand, differ("credit notes differ", -100)),
        (_paid_here_alone, differ("paid state differs", 500)),
        (_void_here_alone, [NOT_INVOICED, *differ("extra in Stripe", -500)]),
        (_another_total, differ("total differs", 100)),
        (_another_number, differ("number differs", 0)),
        (_forgotten_there, differ("missing in Stripe", 500)),
    ],
)
def test_what_is_for_a_person_is_named_and_left_alone(
    world: World,
    sandbox: RunningSandbox,
    client: stripe.StripeClient,
    happens: Callable[[stripe.StripeClient, World, Invoice], None],
    expected: Said,
) -> None:
    happens(client, world, bill(world))
    cannot_be_fixed(world, sandbox, expected)
    assert look(world, sandbox, account="acme").differences == look(world, sandbox).differences


def test_an_invoice_by_hand_may_be_marked_as_no_business_of_ours(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(lite)
    _by_hand(client, lite, made)
    (difference,) = look(lite, sandbox).differences
    assert "mark it there with the metadata reconcile=ignore" in difference.message
    client.v1.invoices.update(difference.stripe_invoice_id or "", {"metadata": {"reconcile": "ignore"}})
    assert look(lite, sandbox).ok
    # Of a customer that stands for no account of ours.
    other = client.v1.customers.create({"name": "Somebody"})
    client.v1.invoices.create({"customer": other.id, "auto_advance": False})
    assert look(lite, sandbox).ok


def test_each_stranger_is_reported_in_one_month(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient, clock: Clock
) -> None:
    lite.send(runs(1, prefix="n", day="2026-11-03"))
    made = bill(lite)
    _by_hand(client, lite, made)
    clock.now += 40 * 86_400
    november = bill(lite, NOVEMBER)
    _by_hand(client, lite, november)
    _second(client, made)  # in December, and for October
    per_month = [reconcile(lite.service, month).differences for month in (OCTOBER, NOVEMBER, NOVEMBER.next())]
    assert [sorted(each.amount or 0 for each in found) for found in per_month] == [[-700, -500], [-700], []]


def test_our_books_may_move_on_while_stripe_is_listed(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    """A webhook comes between the listing and our look at the books: that is no difference."""
    made = bill(lite)

    class Meanwhile:
        def __init__(self, gateway: Any) -> None:
            self._gateway = gateway

        def __getattr__(self, name: str) -> Any:
            return getattr(self._gateway, name)

        def list_invoices(self, *args: Any) -> Any:
            yield from self._gateway.list_invoices(*args)
            pay(client, made)
            _set(lite, status="paid", amount_paid=500)

    gateway: Any = Meanwhile(lite.service.gateway)
    object.__setattr__(lite.service, "gateway", gateway)
    assert reconcile(lite.service, OCTOBER).ok


def test_a_clock_that_is_ahead_of_stripes_hides_nothing(
    lite: World, sandbox: RunningSandbox, clock: Clock
) -> None:
    """What the listing does not hold is asked for before it is called missing."""
    clock.now -= 20 * 86_400
    bill(lite)
    assert reconcile(lite.service, OCTOBER).ok


def test_late_events_until_the_next_invoice_adjusts_them(world: World, sandbox: RunningSandbox) -> None:
    bill(world)
    world.send(runs(2, prefix="late"))
    (difference,) = cannot_be_fixed(
        world, sandbox, [("acme", "meter-invoice", "late events not yet adjusted", 200)]
    ).differences
    assert (difference.quantity, difference.invoice) == (2, "2026-10-000001")
    world.send(runs(1, prefix="n", day="2026-11-03"))
    world.instant = NOVEMBER.end + DAY_US
    bill(world, NOVEMBER)
    assert look(world, sandbox).ok
    world.send([event("run-0000000", state="ROLLED_BACK", end="2026-10-03T12:00:05Z")])
    report = look(world, sandbox)
    assert [(each.quantity, each.amount) for each in report.differences] == [(-1, -100)]


def test_late_events_that_cost_nothing_are_settled_by_the_next_invoice(
    engine: sa.Engine, sandbox: RunningSandbox
) -> None:
    world = World(engine, gateway=StripeGateway(sandbox.api_key, api_base=sandbox.url))
    world.account(email="a@example.com")
    world.send(runs(3), runs(1, prefix="n", day="2026-11-03"))
    world.service.run_month(OCTOBER)
    world.send(runs(2, prefix="late"))
    assert [(each.quantity, each.amount) for each in look(world, sandbox).differences] == [(2, 0)]
    world.instant = NOVEMBER.end + DAY_US
    world.service.run_month(NOVEMBER)
    assert look(world, sandbox).ok
    world.send(runs(1, prefix="later"))
    assert [(each.quantity, each.amount) for each in look(world, sandbox).differences] == [(3, 0)]


def test_what_was_metered_and_not_invoiced(world: World, sandbox: RunningSandbox) -> None:
    world.send(runs(4, account="stranger"))
    report = look(world, sandbox)
    assert [(each.account, each.cause, each.quantity, each.amount) for each in report.differences] == [
        ("acme", "not invoiced", 5, 500),
        ("stranger", "unassigned account", 4, None),
    ]
    world.instant = OCTOBER.end + 23 * HOUR_US
    report = look(world, sandbox)
    assert [each.cause for each in report.differences] == ["unassigned account"]
    assert "2026-10 is not due yet" in report.notes[0]
    world.service.run_month(OCTOBER, early=True)
    world.instant = NOVEMBER_2
    assert "billing invoices approve --month 2026-10" in look(world, sandbox).differences[0].message


def test_without_stripe_the_others_are_compared(engine: sa.Engine) -> None:
    world = dollars(engine)
    world.send(runs(5))
    bill(world)
    report = reconcile(world.service, OCTOBER, fix=True)
    assert (report.ok, report.at_stripe, report.invoices) == (True, None, 1)
    assert "Stripe is not configured" in report.notes[0]


def test_a_void_here_while_paid_there_is_not_taken_over(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(lite)
    pay(client, made)
    _set(lite, status="void", voided_at=lite.instant, void_reason="by mistake")
    report = cannot_be_fixed(lite, sandbox, [NOT_INVOICED, *differ("extra in Stripe", -500)])
    assert "it was paid: give the money back in Stripe" in report.differences[1].message


def test_a_contract_invoice_is_of_the_month_of_its_issue(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(lite)
    _set(lite, kind="contract")
    pay(client, made)
    assert said(look(lite, sandbox, account="acme"))[-1:] == differ("paid state differs", -500)


def test_asked_for_the_void_of_one_that_was_paid_meanwhile(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(lite)
    void_invoice(lite.engine, made.id, "wrong", by="operator", now=lite.instant)
    pay(client, made)
    report = fix(lite)
    assert (report.ok, show_invoice(lite.engine, made.id).status) == (True, "paid")
