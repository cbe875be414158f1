"""Reading a Prefect server's events, and its counts, from a stand-in on loopback."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from metering.collecting.errors import Busy, KeyRefused, PrefectError
from metering.collecting.prefect_server import PrefectServer
from metering.period import Month, format_instant, parse_instant
from tests.metering.prefect_double import PrefectDouble, event, prefect_double, row

OCTOBER = Month(2026, 10)


@pytest.fixture
def double() -> Iterator[PrefectDouble]:
    with prefect_double() as made:
        yield made


def server_of(double: PrefectDouble, key: str | None = None) -> PrefectServer:
    return PrefectServer(double.url, key, wait=lambda seconds: None)


def read(double: PrefectDouble) -> list[tuple[list[str], int]]:
    """The pages: ids, and how far each reads."""
    with server_of(double) as server:
        pages = list(server.events(OCTOBER.start, OCTOBER.end))
    return [([each["id"] for each in page.events], page.read_to) for page in pages]


@pytest.mark.parametrize("at_once", [1, 7, 49, 50, 51, 170])
def test_every_event_comes_and_the_reading_only_goes_on(double: PrefectDouble, at_once: int) -> None:
    """Pages end between events of one microsecond, of which there may be more than a page holds."""
    double.events = [
        event(number, end=f"2026-10-03T12:00:00.{number // at_once:06d}Z") for number in range(230)
    ]
    pages = read(double)
    assert Counter(each for ids, _ in pages for each in ids) == Counter(each["id"] for each in double.events)
    reached = [read_to for _, read_to in pages]
    assert reached == sorted(reached)
    assert reached[-1] == OCTOBER.end
    # What a page reads to is not claimed before it is there.
    for place, (_, read_to) in enumerate(pages):
        seen = {each for ids, _ in pages[: place + 1] for each in ids}
        before = [each["id"] for each in double.events if parse_instant(each["occurred"]) < read_to]
        assert set(before) <= seen


def test_what_comes_and_goes_meanwhile_shifts_nothing(double: PrefectDouble) -> None:
    double.events = [event(number, end=f"2026-10-03T12:00:00.{number:06d}Z") for number in range(200)]
    wanted = {each["id"] for each in double.events[60:]}
    seen = set()
    with server_of(double) as server:
        for number, page in enumerate(server.events(OCTOBER.start, OCTOBER.end)):
            seen |= {each["id"] for each in page.events}
            if number == 0:
                del double.events[:45]  # forgotten by the server
    assert wanted <= seen


def test_only_task_runs_of_the_span_are_asked_for_in_order_and_with_the_order_in_the_filter(
    double: PrefectDouble,
) -> None:
    read(double)
    (asked,) = double.asked
    assert asked == {
        "filter": {
            "event": {"prefix": ["prefect.task-run."]},
            "occurred": {"since": "2026-10-01T00:00:00Z", "until": "2026-11-01T00:00:00Z"},
            "order": "ASC",
        },
        "limit": 50,
    }


def test_a_count_leaves_out_what_stands_for_subflows(double: PrefectDouble) -> None:
    """Each that was completed counts twice, and once it is rolled back three times: so that is noticed."""
    double.rows = [row(1), row(2, subflow="child"), row(3), row(4, end="2026-11-01T00:00:00Z")]
    with server_of(double) as server:
        assert server.count(OCTOBER.start, OCTOBER.end) == 4
        double.rows.append(row(5, state="FAILED"))
        assert server.count(OCTOBER.start, OCTOBER.end) == 5
        double.rows[0] = row(1, name="RolledBack")
        assert server.count(OCTOBER.start, OCTOBER.end) == 6


def test_the_servers_clock_is_read(double: PrefectDouble) -> None:
    double.clock = lambda: parse_instant("2026-10-03T12:00:00.7Z")
    with server_of(double) as server:
        assert server.now is None
        told = server.ask_time(OCTOBER.start)
    assert told is not None
    assert format_instant(told) == "2026-10-03T12:00:00Z"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[]", "does not answer with a page of events"),
        (b'{"events": 1}', "does not answer with a page of events"),
        (b'{"events": [1], "next_page": null}', "does not answer with a page of events"),
        (b'{"events": [{"id": "x"}], "next_page": null}', "an event 'x' that cannot be read: occurred is"),
        (b'{"events": [{"occurred": "2026-10-03"}], "next_page": null}', "cannot be read: occurred"),
    ],
)
def test_what_is_no_page_of_events(double: PrefectDouble, body: bytes, says: str) -> None:
    double.answers = [(200, {}, body)]
    with pytest.raises(PrefectError) as caught:
        read(double)
    assert says in str(caught.value)


def test_a_server_that_does_not_sort_is_not_believed(double: PrefectDouble) -> None:
    """It would be, where the order is ignored: the newest come first, and the rest of the span is skipped."""
    events: list[Any] = [event(2, end="2026-10-04T00:00:00Z"), event(1, end="2026-10-03T00:00:00Z")]
    double.answers = [(200, {}, json.dumps({"events": events, "next_page": None}).encode())]
    with pytest.raises(PrefectError, match="does not sort events by occurred"):
        read(double)


@pytest.mark.parametrize("body", [b"{}", b"-1", b"1.5", b'"3"', b"null"])
def test_what_is_no_count(double: PrefectDouble, body: bytes) -> None:
    double.answers = [(200, {}, body)]
    with server_of(double) as server, pytest.raises(PrefectError, match="does not answer with a count"):
        server.count(OCTOBER.start, OCTOBER.end)


def test_a_key_that_is_refused_is_named(double: PrefectDouble) -> None:
    double.key = "pnu_new"
    with (
        PrefectServer(double.url, "pnu_old", key_name="BILLING_PREFECT_API_KEY_EU") as server,
        pytest.raises(KeyRefused, match=r"refuses the API key \(401\); check BILLING_PREFECT_API_KEY_EU"),
    ):
        server.count(OCTOBER.start, OCTOBER.end)


def test_how_long_to_stay_away_is_told(double: PrefectDouble) -> None:
    double.answers = [(429, {"Retry-After": "900"}, b"")] * 2
    waited: list[float] = []
    with (
        PrefectServer(double.url, attempts=2, wait=waited.append) as server,
        pytest.raises(Busy) as caught,
    ):
        server.count(OCTOBER.start, OCTOBER.end)
    assert (caught.value.retry_after_s, waited) == (900, [60])
