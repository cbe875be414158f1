"""Webhooks to a real HTTP server: signed, to whoever wants them, and at least once with one id."""

from __future__ import annotations

import contextlib
import json
from itertools import count

import pytest
import sqlalchemy as sa
from standardwebhooks import WebhookVerificationError

import billing.notification_tables as tables
from billing.notifications.endpoints import make_test, rotate_secret
from billing.repository import notifications
from billing.repository.notifications import CLAIM_US
from metering.database import reading, writing
from metering.period import DAY_US, SECOND_US
from tests.billing.alerts.delivering import happen, listen, log, sender, verified
from tests.billing.alerts.receiver import Receiver, receiving
from tests.billing.alerts.small import check, small, use
from tests.conftest import NewDatabase
from tests.faults.killing import KillAt, Killed
from tests.world import World


def test_what_happens_is_told_signed_and_once(world: World, receiver: Receiver) -> None:
    made = listen(world, receiver.url)
    use(world, *range(5))
    check(world)
    assert sender(world).send_due() == {"delivered": 1}
    assert sender(world).send_due() == {}
    assert verified(world, receiver, made.secret) == ["usage.threshold_reached"]
    (request,) = receiver.got
    assert request.path == "/hooks?a=b"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] in receiver.url
    (delivery,) = log(world)
    assert (delivery.status, delivery.attempts, delivery.response_status) == ("delivered", 1, 204)
    assert delivery.event == receiver.ids[0]


def test_of_a_customer_only_their_own_account_is_told(world: World, receiver: Receiver) -> None:
    world.account("other")
    with receiving() as theirs, receiving() as picky:
        listen(world, receiver.url)
        listen(world, theirs.url, "other")
        listen(world, picky.url, None, "invoice.voided")
        happen(world)
        happen(world, account="other")
        happen(world, account="other", type_="invoice.voided")
        happen(world, account="other", type_="webhook_endpoint.disabled")
        sender(world).send_due()
        types = [[json.loads(each.body)["type"] for each in one.got] for one in (receiver, theirs, picky)]
    assert types == [
        ["invoice.paid", "invoice.paid", "invoice.voided", "webhook_endpoint.disabled"],
        ["invoice.paid", "invoice.voided"],
        ["invoice.voided"],
    ]


def test_an_endpoint_is_told_of_what_happens_from_then_on(world: World, receiver: Receiver) -> None:
    with receiving() as first:
        listen(world, first.url)
        happen(world)
        world.instant += SECOND_US
        listen(world, receiver.url)
        sender(world).send_due()
        assert (len(first.got), len(receiver.got)) == (1, 0)


def test_what_nobody_listens_to_is_not_kept(world: World) -> None:
    happen(world)
    with reading(world.engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.events)) == 0


def test_two_secrets_sign_for_a_day(world: World, receiver: Receiver) -> None:
    first = listen(world, receiver.url)
    second = rotate_secret(world.engine, first.endpoint.id, world.instant)
    assert first.secret != second.secret
    happen(world)
    sender(world).send_due()
    assert verified(world, receiver, first.secret) == verified(world, receiver, second.secret)
    world.instant += DAY_US
    receiver.got.clear()
    happen(world)
    sender(world).send_due()
    assert verified(world, receiver, second.secret)
    with pytest.raises(WebhookVerificationError):
        verified(world, receiver, first.secret)


def test_a_test_goes_to_one_endpoint_at_once(world: World, receiver: Receiver) -> None:
    with receiving() as other:
        listen(world, other.url)
        made = listen(world, receiver.url, None, "invoice.paid")
        delivery = sender(world).send_one(make_test(world.engine, made.endpoint.id, world.instant))
        assert delivery.status == "delivered"
        assert verified(world, receiver, made.secret) == ["webhook.test"]
        assert sender(world).send_due() == {} and other.got == []


def test_the_log_is_kept_for_a_while(world: World, receiver: Receiver) -> None:
    listen(world, receiver.url)
    happen(world, 2)
    sender(world).send_due()
    world.instant += DAY_US
    receiver.status = 500
    happen(world)
    sender(world).send_due()
    for instant, left in ((world.instant - DAY_US, 3), (world.instant + 1, 1)):
        with writing(world.engine) as connection:
            notifications.forget_before(connection, instant)
        assert len(log(world)) == left
    assert log(world)[0].status == "pending"


def test_killed_anywhere_it_is_told_at_least_once_with_one_id(
    new_database: NewDatabase, receiver: Receiver
) -> None:
    """At each transaction's beginning and end: so before a request is made, and after it."""

    def work(world: World) -> None:
        check(world)
        sender(world).send_due()

    for step in count(1):
        world = small(new_database())
        listen(world, receiver.url)
        use(world, *range(8))
        receiver.got.clear()
        kill = KillAt(step)
        kill.listen(world.engine)
        with contextlib.suppress(Killed):
            work(world)
        kill.forget(world.engine)
        world.instant += CLAIM_US
        work(world)
        assert {each.status for each in log(world)} == {"delivered"}, step
        thresholds = [json.loads(each.body)["data"]["threshold"] for each in receiver.got]
        assert set(thresholds) == {50, 80} and len(thresholds) <= 3, step
        assert len(set(receiver.ids)) == 2, step
        if not kill.reached:
            assert step > 20
            return
