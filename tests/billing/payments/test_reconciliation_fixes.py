"""What reconciliation mends at Stripe and here, and what it leaves; through the real SDK to the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
import stripe

from billing.accounts import update_account
from billing.credit_notes import credit_note
from billing.invoices import show_invoice
from billing.payments.desk import CLAIM_US
from billing.payments.stripe_sandbox import Fault, FaultKind, FaultSchedule, RunningSandbox
from billing.reconciliation.fixes import mend
from billing.reconciliation.operation import reconcile
from billing.repository import outbox
from billing.repository.invoices import Invoice
from billing.voids import void_invoice
from metering.database import reading, writing
from metering.period import SECOND_US
from tests.billing.months import bill, void
from tests.billing.payments.conftest import Clock
from tests.billing.payments.reconciled import (
    NOT_INVOICED,
    differ,
    fix,
    look,
    owes_five,
    pay,
    said,
    second_invoice,
    set_books,
)
from tests.conftest import NewDatabase
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World


@pytest.fixture
def clock() -> Clock:
    """Stripe's time is ours."""
    return Clock(NOVEMBER_2 // SECOND_US)


@pytest.fixture
def world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    return owes_five(engine, sandbox)


@pytest.fixture
def lite(sqlite_databases: NewDatabase, sandbox: RunningSandbox) -> World:
    """On SQLite alone, where storage does not matter."""
    return owes_five(sqlite_databases(), sandbox)


@pytest.fixture
def client(sandbox: RunningSandbox) -> stripe.StripeClient:
    return stripe_client(sandbox)


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
    update_account(world.engine, "acme", now=world.instant, email="")
    made = bill(world)
    report = look(world, sandbox)
    assert said(report) == differ("missing in Stripe", 500)
    assert (
        "has no e-mail address; give it one with: billing accounts update acme"
        in report.differences[0].message
    )
    assert said(fix(world)) == differ("missing in Stripe", 500)
    update_account(world.engine, "acme", now=world.instant, email="billing@acme.example")
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


def test_a_draft_that_is_one_too_many_is_deleted(
    world: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(world)
    second_invoice(client, made)
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
    extra = second_invoice(client, bill(lite))

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
    set_books(lite, stripe_invoice_id=extra.id)


def _ours_is_a_draft(lite: World, client: stripe.StripeClient, made: Invoice, extra: stripe.Invoice) -> None:
    set_books(lite, stripe_invoice_id=second_invoice(client, made).id)


@pytest.mark.parametrize("happens", [_renamed, _at_work, _taken_for_ours, _ours_is_a_draft])
def test_before_a_draft_is_deleted_everything_is_looked_at_again(
    lite: World,
    sandbox: RunningSandbox,
    client: stripe.StripeClient,
    happens: Callable[[World, stripe.StripeClient, Invoice, stripe.Invoice], None],
) -> None:
    made = bill(lite)
    extra = second_invoice(client, made)
    stale = look(lite, sandbox).differences
    assert [each.fix for each in stale] == ["delete draft"]
    happens(lite, client, made, extra)
    assert mend(lite.service, stale) == []
    assert client.v1.invoices.retrieve(extra.id).status == "draft"


def test_a_draft_that_is_gone_already_was_what_was_wanted(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    extra = second_invoice(client, bill(lite))
    stale = look(lite, sandbox).differences
    client.v1.invoices.delete(extra.id)
    assert mend(lite.service, stale) == []


def test_asked_for_the_void_of_one_that_was_paid_meanwhile(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(lite)
    void_invoice(lite.engine, made.id, "wrong", by="operator", now=lite.instant)
    pay(client, made)
    report = fix(lite)
    assert (report.ok, show_invoice(lite.engine, made.id).status) == (True, "paid")


def test_a_draft_that_somebody_wrote_into_is_kept(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    """Its metadata says that it is ours, as that of a copy made by hand does; its lines do not."""
    made = bill(lite)
    extra = second_invoice(client, made)
    line: Any = [{"amount": 4999, "description": "consulting, by hand"}]
    client.v1.invoices.add_lines(extra.id, {"lines": line})
    (told,) = fix(lite).differences
    assert (told.cause, told.fix) == ("extra in Stripe", None)
    assert client.v1.invoices.retrieve(extra.id).status == "draft"


@pytest.mark.behind_the_back
@pytest.mark.parametrize("column", ["hosted_invoice_url", "invoice_pdf"])
def test_a_link_that_somebody_changed_is_found_and_taken_back(
    lite: World, sandbox: RunningSandbox, column: str
) -> None:
    made = bill(lite)
    assert look(lite, sandbox).ok
    set_books(lite, **{column: "https://evil.example/pay"})
    assert said(look(lite, sandbox)) == differ("link differs", 0)
    fix(lite)
    after = show_invoice(lite.engine, made.id)
    assert (after.hosted_invoice_url, after.invoice_pdf) == (made.hosted_invoice_url, made.invoice_pdf)
    assert look(lite, sandbox).ok
