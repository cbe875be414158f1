"""Rate limits: by key, apart for events, by address for everybody else; told in every answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from billing.api.quotas import MOST_SUBJECTS, Quota
from billing.api.rate_limits import QUOTA_EXCEEDED, network_of
from metering.period import SECOND_US
from metering.settings import Settings
from tests.billing.api.client import Client, assert_problem, running
from tests.conftest import NewDatabase
from tests.metering.wire import native
from tests.world import World

TOLD = re.compile(r'"(key|events|address)";r=(\d+);t=(\d+)').fullmatch


@contextmanager
def limited(databases: NewDatabase, **limits: str) -> Iterator[Client]:
    world = World(databases())
    world.account("acme")
    for name, value in limits.items():
        setattr(world.service.settings, f"rate_limit_{name}", value)
    with running(world) as client:
        yield client


def test_a_key_has_its_own_quota_and_is_told(sqlite_databases: NewDatabase) -> None:
    with limited(sqlite_databases, key="3/60", address="off") as client:
        first, second = client.key("read").secret, client.key("read").secret
        assert "ratelimit" not in client.get("/v1/accounts", key=first).headers  # not known yet
        client.get("/v1/accounts", key=second)
        for left in (2, 1, 0):
            answer = client.get("/v1/accounts", key=first)
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"key";q=3;w=60'
            assert answer.headers["ratelimit"] == f'"key";r={left};t=60'
        client.world.instant += 20 * SECOND_US + 1
        answer = client.get("/v1/accounts", key=first)
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "40"
        assert answer.headers["ratelimit"] == '"key";r=0;t=40'
        body = answer.json()
        assert body["type"] == QUOTA_EXCEEDED and body["violated-policies"] == ["key"]
        assert body["request_id"] == answer.headers["x-request-id"] and "3 requests" in body["detail"]
        assert client.get("/v1/accounts", key=second).status_code == 200  # nobody else is held up
        client.world.instant += 40 * SECOND_US
        assert client.get("/v1/accounts", key=first).status_code == 200


def test_events_are_counted_apart_and_not_by_default(sqlite_databases: NewDatabase) -> None:
    with limited(sqlite_databases, key="2/60", events="5/60") as client:
        key = client.key("admin").secret
        client.post("/v1/events", json=native(), key=key)
        for left in (4, 3, 2, 1, 0):
            answer = client.post("/v1/events", json=native(), key=key)
            assert answer.headers["ratelimit"] == f'"events";r={left};t=60'
        refused = client.post("/v1/events", json=native(), key=key)
        assert_problem(refused, 429) if refused.json()["type"] == "about:blank" else None
        assert refused.status_code == 429 and refused.json()["violated-policies"] == ["events"]
        assert client.get("/v1/accounts", key=key).status_code == 200
    with limited(sqlite_databases) as client:
        for _ in range(2):
            assert "ratelimit" not in client.post("/v1/events", json=native()).headers or _ == 0
    assert Settings(_env_file=None).rate_limit_events == "off"


def test_who_has_no_good_key_is_counted_by_address_however_many_they_try(
    sqlite_databases: NewDatabase,
) -> None:
    with limited(sqlite_databases, address="5/60") as client:
        good = client.key("read").secret
        assert client.get("/v1/accounts", key=good).status_code == 200  # the first of the five
        for number in range(4):
            assert client.get("/v1/accounts", key=f"bk_admin_{number}").status_code == 401
        for place in ("/v1/accounts", "/console/", "/c/x/", "/v1/stripe/webhook", "/openapi.json"):
            answer = client.get(place, key="bk_admin_again")
            assert answer.status_code == 429 and answer.headers["retry-after"] == "60"
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.get("/console/", key=None).text == (
            "More than 5 requests in 60 seconds; try again in 60 seconds.\n"
        )
        assert client.get("/v1/accounts", key=good).status_code == 200  # it is known
        for place in ("/healthz", "/readyz"):
            assert client.get(place, key=None).status_code == 200


def test_a_key_that_ended_stays_counted_as_itself(sqlite_databases: NewDatabase) -> None:
    with limited(sqlite_databases, key="2/60") as client:
        key = client.key("read")
        client.get("/v1/accounts", key=key.secret)
        client.world.instant += SECOND_US
        from billing.access import revoke_key

        revoke_key(client.world.engine, key.key.id, client.world.instant)
        assert [client.get("/v1/accounts", key=key.secret).status_code for _ in range(3)] == [401, 401, 429]


@pytest.mark.parametrize("wrong", ["", "0/60", "10", "10/0", "x", "10/60s", "-1/60", "1/1000000"])
def test_what_is_no_limit_is_no_setting(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, rate_limit_key=wrong)


@given(
    st.integers(1, 5),
    st.integers(1, 3),
    st.lists(st.integers(0, 2 * SECOND_US), min_size=1, max_size=60),
)
def test_a_window_holds_its_quota_and_no_stretch_more_than_two(
    requests: int, seconds: int, steps: list[int]
) -> None:
    limit, now, taken = Quota("key", requests, seconds), 0, []
    for step in steps:
        now += step
        told = limit.take("a", now)
        assert 0 <= told.left < requests or (told.left == 0 and not told.allowed)
        assert 1 <= told.seconds <= seconds
        if told.allowed:
            taken.append(now)
        else:  # and what is told is true
            again = Quota("key", requests, seconds)
            again._counts = dict(limit._counts)
            assert again.take("a", now + told.seconds * SECOND_US).allowed
    length = seconds * SECOND_US
    for at in taken:
        assert sum(at <= other < at + length for other in taken) <= 2 * requests
    assert all(limit.take("b", now).allowed for _ in range(requests))


def test_a_clock_that_goes_back_locks_nobody_out() -> None:
    limit = Quota("key", 1, 60)
    assert limit.take("a", 10**15).allowed and limit.take("a", 5).allowed


def test_a_flood_from_everywhere_takes_no_memory() -> None:
    limit = Quota("address", 1, 60)
    for number in range(3 * MOST_SUBJECTS):
        limit.take(str(number), number)
    assert len(limit._counts) <= MOST_SUBJECTS


@given(st.ip_addresses().map(str) | st.text(max_size=20))
def test_any_address_is_somebody(address: str) -> None:
    assert network_of(network_of(address)) == network_of(address)
