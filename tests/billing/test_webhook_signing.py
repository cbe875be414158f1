"""Signatures are those that the convention's own library takes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from freezegun import freeze_time
from standardwebhooks import Webhook, WebhookVerificationError

from billing.notifications.backoff import DELIVERY_WAITS_US, DISABLED_AFTER_US, MOST_ATTEMPTS, next_attempt
from billing.notifications.signing import new_secret, signed_headers
from metering.period import DAY_US

BODY = '{"type":"invoice.paid","text":"\\u00e9 é"}'.encode()
OLD, NEW, OTHER = (new_secret(bytes([number]) * 32) for number in range(3))
NOW = datetime(2026, 10, 15, tzinfo=UTC)


def test_either_secret_verifies_while_one_takes_the_place_of_the_other() -> None:
    headers = signed_headers("evt_1", int(NOW.timestamp()), BODY, [NEW, OLD])
    with freeze_time(NOW):
        for secret in (OLD, NEW):
            assert Webhook(secret).verify(BODY, headers)["type"] == "invoice.paid"
        with pytest.raises(WebhookVerificationError):
            Webhook(OTHER).verify(BODY, headers)
        for changed in ({"webhook-id": "evt_2"}, {"webhook-timestamp": str(int(NOW.timestamp()) + 1)}):
            with pytest.raises(WebhookVerificationError):
                Webhook(NEW).verify(BODY, headers | changed)
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(BODY + b" ", headers)


def test_a_delivery_is_tried_for_days_and_an_endpoint_given_longer() -> None:
    at, attempts = 0, 1
    while (again := next_attempt(attempts, at)) is not None:
        assert again > at
        at, attempts = again, attempts + 1
    assert attempts == MOST_ATTEMPTS
    assert 3 * DAY_US < at == sum(DELIVERY_WAITS_US) < DISABLED_AFTER_US
    assert list(DELIVERY_WAITS_US) == sorted(DELIVERY_WAITS_US)
