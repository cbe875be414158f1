"""Servers that refuse, are busy, slow, or of another clock: nothing is skipped."""

from __future__ import annotations

import json

import httpx
import pytest

from billing.sources import find_source
from metering.collecting.collector import Collected, Meter, collect
from metering.collecting.errors import TooSlow
from metering.collecting.prefect_server import PrefectServer
from metering.period import DAY_US, HOUR_US, MINUTE_US, SECOND_US, parse_instant
from tests.metering.prefect_double import PrefectDouble, run_id
from tests.metering.watched import NOON, Watched, instant


def test_a_key_that_expired_is_told_and_nothing_is_skipped_when_it_is_replaced(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.double.key = "pnu_2"
    monkeypatch.setenv("BILLING_PREFECT_API_KEY", "pnu_1")
    watched.double.finish(1, end="2026-10-03T11:00:00Z")
    made = watched.visit()
    assert made.error is not None
    assert "refuses the API key (401); check BILLING_PREFECT_API_KEY" in made.error
    assert (made.source.error, made.source.failing_since) == (made.error, NOON)
    watched.pass_time(3 * DAY_US)
    assert watched.visit().source.failing_since == NOON
    monkeypatch.setenv("BILLING_PREFECT_API_KEY", "pnu_2")
    made = watched.visit()
    assert (made.error, made.source.error, made.source.failing_since) == (None, None, None)
    assert watched.held().keys() == {run_id(1)}


def test_a_server_that_is_busy_is_left_alone_for_as_long_as_it_says(watched: Watched) -> None:
    watched.double.answers = [(429, {"Retry-After": "300"}, b"")] * 2
    made = watched.visit()
    assert watched.waited == [60]
    assert made.source.retry_at == NOON + 300 * SECOND_US
    assert "answers 429; try again later" in (made.error or "")


def test_a_clock_of_ours_that_is_ahead_moves_no_cursor_into_the_future(watched: Watched) -> None:
    true = [NOON]
    watched.double.clock = lambda: true[0]
    watched.pass_time(2 * HOUR_US)
    made = watched.visit()
    assert made.source.reading is not None
    assert made.source.reading.read_to == NOON - 30 * SECOND_US
    assert instant(made.source) == "2026-10-03T11:54:30Z"
    watched.double.finish(1, end="2026-10-03T12:00:00Z", arrives=NOON + SECOND_US)
    true[0] += 10 * MINUTE_US
    watched.pass_time(10 * MINUTE_US)
    watched.visit()
    assert watched.held().keys() == {run_id(1)}


class _Slow(httpx.BaseTransport):
    """A server that answers questions about more than so much time too late."""

    def __init__(self, double: PrefectDouble, longest_us: int) -> None:
        self._double = double
        self._longest_us = longest_us
        self.asked_us: list[int] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        bounds = asked["filter"]["occurred"]
        self.asked_us.append(parse_instant(bounds["until"]) - parse_instant(bounds["since"]))
        if self.asked_us[-1] > self._longest_us:
            raise httpx.ReadTimeout("timed out", request=request)
        status, headers, body = self._double.answer(request.method, request.url.path, None, asked)
        return httpx.Response(status, headers=headers, content=body)


def test_a_server_that_is_too_slow_is_asked_for_less_at_once(watched: Watched) -> None:
    for number in range(120):
        watched.double.finish(number, end=f"2026-10-03T{number // 10:02d}:{number % 10 * 6:02d}:00Z")
    watched.world.instant += HOUR_US
    world = watched.world
    meter, source = Meter(world.engine, world.store, world.service.now), find_source(world.engine, "eu")
    slow = _Slow(watched.double, 2 * HOUR_US)
    with PrefectServer(
        watched.double.url, http=httpx.Client(transport=slow), attempts=1, wait=watched.waited.append
    ) as server:
        collect(meter, source, server, Collected())
    assert len(watched.held()) == 120
    assert slow.asked_us[:2] == [0, 6 * HOUR_US]
    assert max(slow.asked_us[2:]) <= HOUR_US
    # One that answers no question is given up.
    watched.pass_time(DAY_US)
    never = PrefectServer(
        watched.double.url, http=httpx.Client(transport=_Slow(watched.double, 0)), attempts=1
    )
    with pytest.raises(TooSlow, match="cannot be reached"):
        collect(meter, find_source(world.engine, "eu"), never, Collected())
