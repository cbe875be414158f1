"""Endpoints that fail: tried for days, asked rarely, disabled in the end, and told later what they missed."""

from __future__ import annotations

import json

import pytest

from billing.errors import Refused
from billing.notifications.backoff import DISABLED_AFTER_US, MOST_ATTEMPTS
from billing.notifications.endpoints import make_test, show_endpoint, update_endpoint
from billing.notifications.sending import resend, resend_failed
from metering.period import DAY_US, HOUR_US, MINUTE_US
from tests.billing.alerts.delivering import DEAD, happen, listen, log, sender
from tests.billing.alerts.receiver import Receiver, receiving
from tests.world import World


def test_a_delivery_is_tried_for_days_with_one_id_and_then_given_up(world: World, receiver: Receiver) -> None:
    listen(world, receiver.url)
    happen(world)
    receiver.status, receiver.body = 500, b"it is \xff broken" + b"x" * 2_000
    began = world.instant
    while log(world) == [] or log(world)[0].status == "pending":
        sender(world).send_due()
        (delivery,) = log(world)
        assert delivery.error == "answered 500"
        assert delivery.response is not None
        assert delivery.response.startswith("it is � broken") and len(delivery.response) == 1_000
        world.instant = max(delivery.next_attempt_at, world.instant)
    assert delivery.status == "failed"
    assert delivery.attempts == len(receiver.got) == MOST_ATTEMPTS
    assert len(set(receiver.ids)) == 1
    assert world.instant - began > 3 * DAY_US
    times = [int(each.headers["webhook-timestamp"]) for each in receiver.got]
    assert times == sorted(set(times))
    receiver.status = 200
    sent = resend(world.engine, delivery.id, world.instant)
    assert sender(world).send_one(sent.id).status == "delivered"
    assert len(set(receiver.ids)) == 1
    assert show_endpoint(world.engine, delivery.target).failures == 0


def test_a_dead_endpoint_is_asked_rarely_and_keeps_nobody_waiting(world: World, receiver: Receiver) -> None:
    listen(world, receiver.url)
    with receiving() as dead:
        dead.status = 503
        listen(world, dead.url)
        happen(world, 60)
        for _ in range(24 * 12):
            world.instant += 5 * MINUTE_US
            sender(world).send_due()
            assert len(receiver.got) == 60
        assert 10 < len(dead.got) <= 30
        assert {each.attempts for each in log(world) if each.status == "pending"} <= {0, 1, 2, 3}
        dead.status = 200
        world.instant += HOUR_US
        assert sender(world).send_due()["delivered"] > 0
        world.instant += 5 * HOUR_US
        sender(world).send_due()
        assert {each.status for each in log(world)} == {"delivered"}


def test_an_endpoint_that_fails_for_days_is_disabled_with_a_clear_message(world: World) -> None:
    made = listen(world, DEAD)
    began = world.instant
    with receiving() as mine:
        listen(world, mine.url, None, "webhook_endpoint.disabled")
        while show_endpoint(world.engine, made.endpoint.id).status == "enabled":
            assert world.instant - began < 2 * DISABLED_AFTER_US
            happen(world)
            sender(world).send_due()
            world.instant += 6 * HOUR_US
        sender(world).send_due()
        message = json.loads(mine.got[0].body)["data"]["message"]
    endpoint = show_endpoint(world.engine, made.endpoint.id)
    assert "has failed since 2026-10-15T12:00:00Z" in str(endpoint.disabled_reason)
    assert f"billing webhooks enable {endpoint.id}" in message
    mine_log = [each for each in log(world) if each.endpoint == endpoint.id]
    assert {each.status for each in mine_log} == {"failed"}
    with pytest.raises(Refused, match="billing webhooks enable"):
        resend(world.engine, mine_log[0].id, world.instant)
    with pytest.raises(Refused, match="enable it first"):
        make_test(world.engine, endpoint.id, world.instant)
    with pytest.raises(Refused, match="enable it first"):
        resend_failed(world.engine, endpoint.id, world.instant)


def test_enabled_again_it_gets_what_it_missed(world: World, receiver: Receiver) -> None:
    made = listen(world, receiver.url)
    happen(world, 3)
    receiver.status = 410
    assert sender(world).send_due()["failed"] == 1
    endpoint = show_endpoint(world.engine, made.endpoint.id)
    assert (endpoint.status, endpoint.disabled_reason) == ("disabled", "answered 410: it is gone")
    receiver.status = 200
    happen(world)
    assert sender(world).send_due() == {}
    again = update_endpoint(world.engine, endpoint.id, now=world.instant, status="enabled", private=True)
    assert (again.status, again.disabled_reason, again.failures) == ("enabled", None, 0)
    assert resend_failed(world.engine, endpoint.id, world.instant) == 3
    assert sender(world).send_due() == {"delivered": 3}
    assert len(set(receiver.ids)) == 3


def test_redirects_are_not_followed(world: World, receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.status, receiver.location = 307, elsewhere.url
        listen(world, receiver.url)
        happen(world)
        sender(world).send_due()
        assert elsewhere.got == []
    (delivery,) = log(world)
    assert delivery.error is not None and "redirects are not followed" in delivery.error


def test_an_answer_that_never_ends_is_left(world: World, receiver: Receiver) -> None:
    receiver.drip = True
    listen(world, receiver.url)
    happen(world)
    sender(world, timeout_seconds=0.5).send_due()
    (delivery,) = log(world)
    assert delivery.error == "no answer within 0.5 seconds"
