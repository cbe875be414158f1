"""Webhooks: who is believed, and that any order and repetition of them ends in the state that Stripe has."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from billing.invoices import show_invoice
from billing.payments.errors import BadWebhook, Forged, Stale, Unreadable
from billing.payments.state import apply, refresh, version
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_objects import PaymentFailure, StripeInvoice, StripeRecord
from billing.payments.stripe_sandbox import TEST_KEY, Fault, FaultKind, FaultSchedule
from billing.payments.stripe_sandbox.webhooks import signature
from billing.payments.webhooks import EVENTS, KEPT_AT_STRIPE_US, catch_up
from billing.stripe_tables import stripe_events
from metering.database import writing
from metering.period import DAY_US, SECOND_US
from tests.billing.payments.till import SECRET, Till
from tests.conftest import NewDatabase
from tests.faults.in_process import Wire

DAY = 86_400
PERMUTATIONS = 1000


@pytest.fixture
def till(engine: sa.Engine) -> Till:
    return Till(engine)


@pytest.fixture
def lite(sqlite_databases: NewDatabase) -> Till:
    return Till(sqlite_databases())


def test_a_webhook_makes_us_fetch_what_changed(till: Till) -> None:
    till.pay()
    webhooks = till.webhooks()
    # Newest first, and all of them twice: the end is what Stripe has.
    for webhook in [*reversed(webhooks), *webhooks]:
        till.receive(webhook)
    assert (till.invoice.status, till.invoice.amount_paid) == ("paid", 2500)
    assert {till.receive(webhook) for webhook in webhooks} == {"repeated"}


def test_forged_and_stale_webhooks_are_refused(lite: Till) -> None:
    body, good = lite.webhooks()[0]
    now = lite.world.instant
    late = now + 900 * SECOND_US
    for bad_body, bad_signature, secret, at, error in [
        (body, good, "whsec_other", now, Forged),
        (body + b" ", good, SECRET, now, Forged),
        (body, "", SECRET, now, Forged),
        (body, "t=1,v1=00", SECRET, now, Forged),
        (body, "nonsense", SECRET, now, Forged),
        (body, "t=1,v1=é", SECRET, now, Forged),
        (b"\xff", good, SECRET, now, Forged),
        (body, f"{good},t={now // SECOND_US + 900}", SECRET, late, Forged),
        (body, good.replace("t=", "t= ") + f",t={now // SECOND_US + 900}", SECRET, late, Forged),
        (body, good.replace("t=", "t=+"), SECRET, late, Forged),
        (body, good.replace(",", "=x,", 1), SECRET, late, Forged),
        (body, f"t={late // SECOND_US}, {good}", SECRET, late, Forged),
        (body, good, SECRET, late, Stale),
        (body, good, SECRET, now + 301 * SECOND_US, Stale),
        (body, good, SECRET, now - 301 * SECOND_US, Stale),
    ]:
        lite.world.instant = at
        with pytest.raises(error):
            lite.receive((bad_body, bad_signature), secret)
    for off in (300, -300):
        lite.world.instant = now + off * SECOND_US
        assert lite.receive((body, good)) in ("applied", "not ours", "repeated")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"id": 1}',
        json.dumps({"id": "evt_1", "type": "x", "data": {"object": {"id": 1, "object": "invoice"}}}).encode(),
        json.dumps({"id": "evt_1", "type": "\n", "data": {"object": {"object": "invoice"}}}).encode(),
        json.dumps({"id": "evt_1", "type": "x", "data": {"object": "in_1"}}).encode(),
    ],
)
def test_what_is_signed_and_no_event_is_refused(lite: Till, body: bytes) -> None:
    signed = signature(body, lite.world.instant // SECOND_US, (SECRET,))
    with pytest.raises(Unreadable):
        lite.receive((body, signed))


def test_two_secrets_are_good_while_one_takes_the_place_of_the_other(lite: Till) -> None:
    """Stripe signs with both for a day; or an endpoint takes the place of another."""
    endpoint = lite.sandbox.webhooks.add_endpoint("http://127.0.0.1:9/new", secrets=["whsec_new"])
    lite.pay()
    mine = [webhook for webhook in lite.webhooks() if b'"invoice.paid"' in webhook[0]]
    old, new = mine
    assert endpoint.secrets == ("whsec_new",)
    assert lite.receive(new, SECRET, "whsec_new") == "applied"
    assert lite.receive(old, SECRET, "whsec_new") == "repeated"
    for webhook, secret in ((old, "whsec_new"), (new, SECRET)):
        with pytest.raises(BadWebhook):
            lite.receive(webhook, secret)
    both = signature(old[0], lite.world.instant // SECOND_US, ("whsec_older", "whsec_new"))
    assert lite.receive((old[0], both), "whsec_new") == "repeated"


def test_an_invoice_that_is_not_made_yet_is_no_matter_of_ours(lite: Till) -> None:
    event = {"id": "evt_9", "type": "invoice.upcoming", "data": {"object": {"object": "invoice"}}}
    body = json.dumps(event).encode()
    assert lite.receive((body, signature(body, lite.world.instant // SECOND_US, (SECRET,)))) == "not ours"


def test_where_stripe_cannot_be_asked_the_webhook_is_not_taken_in(lite: Till) -> None:
    lite.pay()
    (paid,) = [each for each in lite.webhooks() if b'"invoice.paid"' in each[0]]
    route = "/v1/invoices/{invoice}"
    faults = [Fault("GET", route, nth=nth, kind=FaultKind.CLOSED_BEFORE_APPLYING) for nth in (1, 2, 3)]
    lite.sandbox.faults = FaultSchedule(faults)
    with pytest.raises(Exception, match=r"closed|connect"):
        lite.receive(paid)
    assert lite.invoice.status == "open"
    assert lite.receive(paid) == "applied"
    assert lite.invoice.status == "paid"


def test_an_answer_that_was_overtaken_is_not_stored(till: Till) -> None:
    """Asked before, answered after: the newer state stays, whatever it is."""
    while_open = till.gateway.get_invoice(till.stripe_id)
    seen = version(till.world.engine, till.id)
    till.pay()
    refresh(till.world.engine, till.gateway, till.id, till.stripe_id, till.world.instant)
    assert not apply(till.world.engine, till.id, while_open, till.world.instant, seen=seen)
    assert till.invoice.status == "paid"


def eventful(till: Till) -> None:
    """An invoice to which everything happens that can."""
    with pytest.raises(Exception, match="declined"):
        till.pay("pm_card_chargeCustomerFail")
    note: Any = {"invoice": till.stripe_id, "amount": 100, "memo": "by hand"}
    made = till.client.v1.credit_notes.create(note)
    till.client.v1.credit_notes.void_credit_note(made.id)
    till.client.v1.invoices.mark_uncollectible(till.stripe_id)
    till.pass_time(60)
    till.pay()
    first = till.client.v1.refunds.create({"charge": till.charge(), "amount": 300, "reason": "duplicate"})
    till.sandbox.fail_refund(first.id)
    till.client.v1.refunds.create({"charge": till.charge(), "amount": 200})
    dispute = till.sandbox.open_dispute(till.charge(), 1000, "fraudulent")
    till.sandbox.close_dispute(dispute["id"], "lost")
    after: Any = {"invoice": till.stripe_id, "amount": 50, "out_of_band_amount": 50}
    till.client.v1.credit_notes.create(after)


class StandingStill(StripeGateway):
    """Nothing changes at Stripe meanwhile: what was asked once is not asked again. The same answers, and a
    thousand orders take seconds."""

    @functools.cache  # noqa: B019 - lives as long as the test
    def get_invoice(self, stripe_invoice_id: str) -> StripeInvoice:
        return super().get_invoice(stripe_invoice_id)

    @functools.cache  # noqa: B019
    def payment_failure(self, stripe_invoice_id: str) -> PaymentFailure | None:
        return super().payment_failure(stripe_invoice_id)

    @functools.cache  # noqa: B019
    def invoices_paid_by(self, payment_intent: str) -> list[str]:
        return super().invoices_paid_by(payment_intent)

    def reversals(self, stripe_invoice_id: str) -> list[StripeRecord]:
        return list(self._reversals(stripe_invoice_id))

    def credit_notes_of(self, stripe_invoice_id: str) -> list[StripeRecord]:
        return list(self._credit_notes(stripe_invoice_id))

    @functools.cache  # noqa: B019
    def _reversals(self, stripe_invoice_id: str) -> tuple[StripeRecord, ...]:
        return tuple(super().reversals(stripe_invoice_id))

    @functools.cache  # noqa: B019
    def _credit_notes(self, stripe_invoice_id: str) -> tuple[StripeRecord, ...]:
        return tuple(super().credit_notes_of(stripe_invoice_id))


def test_a_thousand_orders_end_in_one_state(lite: Till) -> None:
    eventful(lite)
    # The last of each kind: that of an invoice's updates alone are eight.
    kinds = {json.loads(each[0])["type"]: each for each in lite.webhooks()}
    stream = [webhook for kind, webhook in kinds.items() if kind in EVENTS]
    assert len(stream) > 10
    before = _remember(lite.world.engine)
    lite.gateway = StandingStill(TEST_KEY, wire=Wire(lite.sandbox))
    ends = set()
    for seed in range(PERMUTATIONS):
        order = random.Random(seed)
        again = [*stream, *order.choices(stream, k=4)]
        order.shuffle(again)
        for webhook in again:
            lite.receive(webhook)
        ends.add(json.dumps(lite.state, sort_keys=True))
        assert len(ends) == 1, f"permutation {seed} ends differently"
        before()
    (end,) = map(json.loads, ends)
    assert (end["status"], end["amount_paid"], end["collection"]["dunning"]) == ("paid", 2500, "none")
    assert sorted((each["kind"], each["amount"], each["status"]) for each in end["records"]) == [
        ("credit_note", 50, "issued"),
        ("credit_note", 100, "void"),
        ("dispute", 1000, "lost"),
        ("refund", 200, "succeeded"),
        ("refund", 300, "failed"),
    ]


def _remember(engine: sa.Engine) -> Callable[[], None]:
    """Brings the tables of what Stripe reported back to what they are now."""
    names = ("stripe_records", "invoice_reversals", "invoice_payments", "collections", "stripe_events")
    columns = ("status", "amount_paid", "stripe_status")
    with engine.connect() as connection:
        kept = {
            name: [dict(row._mapping) for row in connection.execute(sa.text(f"SELECT * FROM {name}"))]
            for name in names
        }
        (invoice,) = connection.execute(sa.text(f"SELECT id, {', '.join(columns)} FROM invoices"))

    def restore() -> None:
        with writing(engine) as connection:
            for name in ("invoice_reversals", *names):
                connection.execute(sa.text(f"DELETE FROM {name}"))
                for row in kept[name]:
                    fields = ", ".join(f":{column}" for column in row)
                    connection.execute(sa.text(f"INSERT INTO {name} VALUES ({fields})"), row)
            values = ", ".join(f"{column} = :{column}" for column in columns)
            connection.execute(sa.text(f"UPDATE invoices SET {values} WHERE id = :id"), invoice._asdict())

    return restore


def test_lost_webhooks_are_found_in_the_list_of_events(till: Till) -> None:
    eventful(till)
    stream = till.webhooks()
    order = random.Random(7)
    for webhook in order.sample(stream, k=len(stream) // 2):
        till.receive(webhook)
    found = catch_up(till.world.engine, till.gateway, 0, till.world.instant)
    assert found > 0
    held = till.state
    refresh(till.world.engine, till.gateway, till.id, till.stripe_id, till.world.instant)
    assert till.state == held
    assert (held["status"], len(held["records"])) == ("paid", 5)
    assert catch_up(till.world.engine, till.gateway, 0, till.world.instant) == 0
    assert {till.receive(webhook) for webhook in stream if json.loads(webhook[0])["type"] in EVENTS} == {
        "repeated"
    }


def test_events_are_asked_for_only_as_long_as_stripe_keeps_them(lite: Till) -> None:
    lite.sandbox.log.clear()
    now = lite.world.instant
    assert catch_up(lite.world.engine, lite.gateway, 0, now) >= 0
    asked = [entry for entry in lite.sandbox.log if entry.route == "/v1/events"]
    assert int(asked[0].params["created"]["gte"]) == (now - KEPT_AT_STRIPE_US) // SECOND_US
    catch_up(lite.world.engine, lite.gateway, now - DAY_US, now)
    asked = [entry for entry in lite.sandbox.log if entry.route == "/v1/events"]
    assert int(asked[-1].params["created"]["gte"]) == (now - DAY_US) // SECOND_US


def test_many_lost_webhooks_of_an_invoice_cost_one_look_at_it(lite: Till) -> None:
    for number in range(10):
        lite.client.v1.invoices.update(lite.stripe_id, {"metadata": {"number": str(number)}})
    lite.sandbox.log.clear()
    assert catch_up(lite.world.engine, lite.gateway, 0, lite.world.instant) >= 10
    assert [entry.route for entry in lite.sandbox.log].count("/v1/invoices/{invoice}") == 1


def test_a_draft_deleted_at_stripe_is_told_and_changes_nothing_here(lite: Till) -> None:
    """The outbox makes another (see test_sending)."""
    made: Any = lite.client.v1.invoices.create({"customer": str(_customer(lite)), "auto_advance": False})
    with writing(lite.world.engine) as connection:
        connection.execute(sa.text("UPDATE invoices SET stripe_invoice_id = :id"), {"id": made.id})
    lite.client.v1.invoices.delete(made.id)
    (deleted,) = [each for each in lite.webhooks() if b'"invoice.deleted"' in each[0]]
    before = show_invoice(lite.world.engine, lite.id)
    assert lite.receive(deleted) == "applied"
    assert show_invoice(lite.world.engine, lite.id) == before


def test_payments_of_others_are_not_ours(lite: Till) -> None:
    customer = lite.client.v1.customers.create({"name": "someone else"})
    method = lite.client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    theirs = lite.client.v1.invoices.create({"customer": customer.id, "auto_advance": False})
    lines: Any = {"lines": [{"amount": 500, "description": "theirs"}]}
    lite.client.v1.invoices.add_lines(theirs.id, lines)
    lite.client.v1.invoices.finalize_invoice(theirs.id)
    lite.client.v1.invoices.pay(theirs.id, {"payment_method": method.id})
    lite.client.v1.refunds.create({"charge": lite.charge()})
    lite.sandbox.open_dispute(lite.charge(), 1, "general")
    hooks = [each for each in lite.webhooks() if theirs.id.encode() in each[0] or b'"dispute"' in each[0]]
    assert {lite.receive(each) for each in hooks} == {"not ours"}
    assert lite.shown["stripe_records"] == []


def test_events_are_forgotten_once_stripe_cannot_repeat_them(lite: Till) -> None:
    from billing.jobs import Jobs

    lite.deliver()
    lite.world.instant += 91 * DAY_US
    work = Jobs(lite.world.service, "test")
    work.stripe_events()
    with lite.world.engine.connect() as connection:
        assert connection.execute(sa.select(stripe_events)).all() == []


def _customer(till: Till) -> str:
    return str(till.client.v1.invoices.retrieve(till.stripe_id).customer)


def test_the_events_to_choose_at_stripe_are_those_that_we_take_in() -> None:
    text = (Path(__file__).parents[3] / "docs" / "stripe.md").read_text()
    listed = text.partition("Choose these events:")[2].split("```")[1].split()
    assert sorted(listed) == sorted(EVENTS)
