"""What Stripe reports about the collection of an invoice, as operators see it; on both engines."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from billing.cli.documents import collection_line, record_line
from billing.invoices import failing_invoices, invoice_data, show_invoice
from billing.payments.dunning import FAILING, dunning
from billing.payments.errors import Declined, Missing, PaymentError, TryAgain
from billing.payments.stripe_sandbox import Fault, FaultKind, FaultSchedule
from billing.repository.collection import Collection, failing, not_collected, put
from billing.repository.invoices import update
from metering.period import DAY_US, parse_instant
from tests.billing.payments.interrupted import interrupted
from tests.billing.payments.till import Till
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import OCTOBER

DAY = 86_400
OPEN = Collection(2500, 2500, True, 0, None, None, None, False, None, 0)


@pytest.fixture(scope="module")
def till(sqlite_databases: NewDatabase) -> Till:
    """What is changed here is not kept."""
    return Till(sqlite_databases())


@pytest.mark.parametrize(
    ("status", "changes", "state"),
    [
        ("finalized", {}, "none"),
        ("finalized", {"finalization_error": "no address"}, "not finalized"),
        ("open", {}, "waiting"),
        ("open", {"attempts": 1, "next_attempt_at": 200}, "retrying"),
        ("open", {"attempts": 4}, "exhausted"),
        ("open", {"attempts": 1, "next_attempt_at": 200, "action_required": True}, "action required"),
        ("open", {"charge_automatically": False, "due_at": 100}, "waiting"),
        ("open", {"charge_automatically": False, "due_at": 99}, "past due"),
        ("open", {"charge_automatically": False, "due_at": 101, "attempts": 1}, "waiting"),
        ("uncollectible", {"attempts": 4}, "uncollectible"),
        ("paid", {"attempts": 2}, "none"),
        ("void", {"attempts": 2, "due_at": 1}, "none"),
    ],
)
def test_where_a_collection_stands(till: Till, status: str, changes: dict[str, Any], state: str) -> None:
    held = Collection(**{name: getattr(OPEN, name) for name in Collection.__dataclass_fields__} | changes)
    assert dunning(status, held, 100) == state
    assert (state in FAILING) == (state not in ("none", "waiting", "uncollectible"))
    # And so does the database, where it is asked which they are.
    with till.world.engine.connect() as connection:
        update(connection, till.id, status=status)
        put(connection, till.id, held)
        assert (till.id in failing(connection, 100, "acme")) == (state in FAILING)
        assert (till.id in not_collected(connection, "acme")) == (status in ("open", "finalized"))
        assert failing(connection, 100, "other") == failing(connection, 100, after=till.id) == {}


def test_a_card_that_says_no_is_tried_again_until_stripe_gives_up(engine: sa.Engine) -> None:
    till = Till(engine, card="pm_card_chargeCustomerFail")
    till.deliver()
    begun = till.world.instant
    assert till.collection | {"due_at": None} == {
        "dunning": "retrying",
        "amount_due": 2500,
        "amount_remaining": 2500,
        "tax": 0,
        "method": "charge_automatically",
        "attempts": 1,
        "next_attempt_at": "2026-11-05T00:00:00Z",
        "due_at": None,
        "failure": "Your card was declined.",
    }
    assert collection_line(till.shown["collection"], "USD") == (
        "retrying, 25.00 USD left, 1 failed attempt, Your card was declined, next attempt "
        "2026-11-05 00:00 UTC"
    )
    for days, attempts in ((3, 2), (5, 3), (7, 4)):
        till.pass_time(days * DAY)
        till.deliver()
        assert till.collection["attempts"] == attempts
    assert (till.collection["dunning"], till.collection["next_attempt_at"]) == ("exhausted", None)
    (failing,) = failing_invoices(engine, till.world.instant)
    assert (failing["number"], failing["collection"]) == ("2026-10-000001", till.shown["collection"])
    assert failing_invoices(engine, till.world.instant, account="acme") == [failing]
    assert failing_invoices(engine, till.world.instant, account="other") == []
    till.pay()
    till.deliver()
    assert till.world.instant == begun + 15 * DAY_US
    assert failing_invoices(engine, till.world.instant) == []
    assert (till.invoice.status, till.collection["dunning"]) == ("paid", "none")
    assert (till.collection["failure"], till.collection["amount_remaining"]) == (None, 0)


def test_why_the_first_attempt_failed_is_known_without_any_webhook(engine: sa.Engine) -> None:
    till = Till(engine, card="pm_card_chargeCustomerFail")
    assert (till.collection["dunning"], till.collection["failure"]) == ("retrying", "Your card was declined.")


@pytest.mark.parametrize("error", [TryAgain("the network"), Declined("no permission"), Missing("no route")])
def test_an_invoice_is_sent_even_if_nobody_says_why_its_payment_failed(
    sqlite_databases: NewDatabase, error: PaymentError
) -> None:
    till = Till(sqlite_databases())
    customer: Any = {"name": "bell", "email": "bell@example.com", "metadata": {"account": "bell"}}
    made = till.client.v1.customers.create(customer)
    method = till.client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": made.id})
    settings: Any = {"invoice_settings": {"default_payment_method": method.id}}
    till.client.v1.customers.update(made.id, settings)
    world = till.world
    world.account("bell", email="bell@example.com")
    world.customer("bell", made.id)
    world.send(runs(20_000, account="bell"))

    def fail() -> None:
        raise error

    report = interrupted(world, "payment_failure", fail).run_month(OCTOBER)
    assert (report.sent, report.failed) == (1, [])
    assert len(till.client.v1.invoices.list({"customer": made.id}).data) == 1
    assert show_invoice(world.engine, "2026-10-000002").status == "open"


def test_a_payment_that_the_customer_has_to_confirm(engine: sa.Engine) -> None:
    till = Till(engine, card="pm_card_authenticationRequired")
    till.deliver()
    assert till.collection["dunning"] == "action required"
    assert "requires additional user action" in till.collection["failure"]


def test_an_invoice_that_was_sent_is_past_due_after_its_day(engine: sa.Engine) -> None:
    till = Till(engine)
    assert till.collection["dunning"] == "waiting"
    assert till.collection["method"] == "send_invoice"
    due = parse_instant(till.collection["due_at"])
    assert due == till.world.instant + 30 * DAY_US
    till.world.instant = due
    assert till.collection["dunning"] == "waiting"
    till.world.instant = due + 1
    assert till.collection["dunning"] == "past due"


def test_marked_uncollectible_and_paid_after_all(engine: sa.Engine) -> None:
    till = Till(engine)
    till.client.v1.invoices.mark_uncollectible(till.stripe_id)
    till.deliver()
    assert (till.invoice.status, till.collection["dunning"]) == ("uncollectible", "uncollectible")
    till.client.v1.invoices.pay(till.stripe_id, {"paid_out_of_band": True})
    till.deliver()
    assert (till.invoice.status, till.collection["dunning"]) == ("paid", "none")


def test_an_invoice_that_stripe_could_not_finalize(engine: sa.Engine) -> None:
    """Stripe says why in the answer to our call; a webhook brings it again, and it is shown."""
    till = Till(engine)
    world = till.world
    route = "/v1/invoices/{invoice}/finalize"
    times = [Fault("POST", route, nth=nth, kind=FaultKind.CLOSED_BEFORE_APPLYING) for nth in (1, 2, 3)]
    till.sandbox.faults = FaultSchedule(times)
    world.account("bell", email="bell@example.com")
    world.send(runs(10_400, account="bell"))
    world.service.run_month(OCTOBER)
    held = show_invoice(world.engine, "2026-10-000002")
    client = till.client.v1.invoices
    client.update(held.stripe_invoice_id or "", {"automatic_tax": {"enabled": True}})
    with pytest.raises(Exception, match="location"):
        client.finalize_invoice(held.stripe_invoice_id or "")
    till.deliver()
    shown: Any = invoice_data(world.engine, show_invoice(world.engine, held.id), world.instant)
    assert (shown["status"], shown["collection"]["dunning"]) == ("finalized", "not finalized")
    assert "location isn't recognized" in shown["collection"]["failure"]


def test_refunds_disputes_and_credit_notes_by_hand_are_recorded(engine: sa.Engine) -> None:
    till = Till(engine, card="pm_card_visa")
    till.deliver()
    refund: Any = {"charge": till.charge(), "amount": 300, "reason": "requested_by_customer"}
    till.client.v1.refunds.create(refund)
    dispute = till.sandbox.open_dispute(till.charge(), None, "fraudulent")
    till.deliver()
    kinds = [(each["kind"], each["amount"], each["status"]) for each in till.shown["stripe_records"]]
    assert sorted(kinds) == [("dispute", 2500, "needs_response"), ("refund", 300, "succeeded")]
    till.sandbox.close_dispute(dispute["id"], "won")
    till.deliver()
    lines = sorted(record_line(each) for each in till.shown["stripe_records"])
    assert [line.rpartition(" (")[0] for line in lines] == [
        "Dispute at Stripe, 2026-11-02: 25.00 USD, won, fraudulent",
        "Refund at Stripe, 2026-11-02: 3.00 USD, succeeded, requested by customer",
    ]
    # What was paid stays paid: what comes of the money afterwards is told beside it.
    assert (till.invoice.status, till.invoice.amount_paid) == ("paid", 2500)


def test_our_credit_note_voided_by_hand_at_stripe_is_told(engine: sa.Engine) -> None:
    from billing.credit_notes import credit_note

    till = Till(engine)
    credit_note(till.world.engine, till.id, "2.00", "goodwill", "sorry", by="ann", now=till.world.instant)
    till.world.service.send_due()
    till.deliver()
    (record,) = till.shown["stripe_records"]
    assert (record["status"], record["amount"]) == ("issued", 200)
    assert record["credit_note"] == till.shown["credit_notes"][0]["id"]
    till.client.v1.credit_notes.void_credit_note(record["id"])
    till.deliver()
    (record,) = till.shown["stripe_records"]
    assert (record["status"], till.collection["amount_remaining"]) == ("void", 2500)
