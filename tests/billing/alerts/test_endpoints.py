"""Endpoints: where they may be, and how they are changed and removed."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

import billing.notification_tables as tables
from billing.errors import Invalid, NotFound, Refused
from billing.notifications.endpoints import (
    add_endpoint,
    endpoint_data,
    list_endpoints,
    make_test,
    remove_endpoint,
    rotate_secret,
    show_endpoint,
    update_endpoint,
)
from billing.notifications.sending import resend, resend_failed, show_delivery
from metering.database import reading
from metering.period import MINUTE_US
from tests.billing.alerts.delivering import DEAD, happen, listen, log, sender
from tests.billing.alerts.receiver import Receiver
from tests.world import World


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://example.com/", "must begin with https://"),
        ("https://127.0.0.1/", "not on the public internet"),
        ("https://[::1]/", "not on the public internet"),
        ("https://[::ffff:10.0.0.1]/", "not on the public internet"),
        ("https://[64:ff9b::7f00:1]/", "not on the public internet"),
        ("https://169.254.169.254/latest", "not on the public internet"),
        ("https://user:password@example.com/", "must not hold a user"),
        ("https://example.com/#part", "a fragment"),
        ("ftp://example.com/", "such as https://"),
        ("https:///x", "such as https://"),
        ("example.com", "such as https://"),
        ("https://example.com:99999/", "is not an address"),
        ("https://[::1/", "is not an address"),
        ("https://exa mple.com/", "without spaces"),
        ("https://example.com/é", "without spaces"),
        (f"https://example.com/{'x' * 2000}", "at most 2000"),
    ],
)
def test_addresses_that_are_not_asked(world: World, url: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as raised:
        add_endpoint(world.engine, url, private=False, by="test", now=world.instant)
    assert raised.value.field == "url"
    assert "password@" not in str(raised.value)
    assert list_endpoints(world.engine) == []


def test_a_name_that_leads_inside_is_not_asked(world: World, receiver: Receiver) -> None:
    """As one may that led elsewhere when it was registered."""
    url = receiver.url.replace("http://127.0.0.1", "https://localhost")
    add_endpoint(world.engine, url, private=False, by="test", now=world.instant)
    listen(world, "http://nowhere.invalid/")
    happen(world)
    sender(world, private=False).send_due()
    assert receiver.got == []
    first, second = log(world)
    assert first.error is not None and "not on the public internet" in first.error
    assert second.error is not None and "https://" in second.error
    world.instant += MINUTE_US
    sender(world).send_due()
    assert "not found" in str(log(world)[1].error)


def test_endpoints_are_changed_and_removed(world: World, receiver: Receiver) -> None:
    made = listen(world, receiver.url)
    shown = endpoint_data(made.endpoint)
    assert made.secret.startswith("whsec_") and made.secret not in json.dumps(shown)
    changed = update_endpoint(
        world.engine,
        made.endpoint.id,
        event_types=["invoice.paid"],
        description="books",
        private=False,
        now=world.instant,
    )
    assert (changed.event_types, changed.description) == (("invoice.paid",), "books")
    for wrong, field in (
        ({"event_types": ["invoice.lost"]}, "event_types"),
        ({"status": "lost"}, "status"),
        ({"description": "a\x00"}, "description"),
        ({"url": DEAD}, "url"),
        ({}, None),
    ):
        with pytest.raises(Invalid) as raised:
            update_endpoint(world.engine, made.endpoint.id, now=world.instant, private=False, **wrong)  # type: ignore[arg-type]
        assert raised.value.field == field
    happen(world)
    sender(world).make_deliveries()
    remove_endpoint(world.engine, made.endpoint.id, now=world.instant)
    assert list_endpoints(world.engine) == []
    assert sender(world).send_due() == {}
    (delivery,) = log(world)
    assert (delivery.status, delivery.error) == ("failed", "the endpoint was removed")
    with reading(world.engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.webhook_secrets)) == 0
    with pytest.raises(Refused, match="was removed"):
        resend(world.engine, delivery.id, world.instant)
    for missing, says in (
        (lambda: show_endpoint(world.engine, made.endpoint.id), "no webhook endpoint"),
        (lambda: remove_endpoint(world.engine, made.endpoint.id, now=world.instant), "no webhook endpoint"),
        (lambda: rotate_secret(world.engine, made.endpoint.id, world.instant), "no webhook endpoint"),
        (lambda: make_test(world.engine, "whe_0", world.instant), "no webhook endpoint"),
        (lambda: resend_failed(world.engine, "whe_0", world.instant), "no webhook endpoint"),
        (lambda: show_delivery(world.engine, "dlv_0"), "no delivery"),
        (lambda: show_delivery(world.engine, delivery.id, account="acme"), "no delivery"),
        (lambda: listen(world, receiver.url, "nobody"), "no account"),
    ):
        with pytest.raises(NotFound, match=says):
            missing()
