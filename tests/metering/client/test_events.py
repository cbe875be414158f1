"""An event as the client writes it down: what the service reads, and what it would never take."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from metering.client import EventError
from metering.client.events import encode
from metering.period import parse_instant
from metering.sources import Admission, decode

EVENT: dict[str, object] = {
    "account": "acme",
    "task_run_id": "run-1",
    "state": "COMPLETED",
    "started_at": "2026-10-03T02:00:00Z",
    "ended_at": "2026-10-03T02:00:04.25Z",
}
NOW = parse_instant("2026-10-04T00:00:00Z")


def test_what_python_has_is_written_as_the_service_reads_it() -> None:
    line = encode(
        EVENT
        | {
            "task_run_id": UUID("0192d3a4-5b6c-7d8e-9f00-112233445566"),
            "started_at": datetime(2026, 10, 3, 4, 0, tzinfo=timezone(timedelta(hours=2))),
            "ended_at": datetime(2026, 10, 3, 2, 0, 4, 250_000, tzinfo=UTC),
            "duration": timedelta(seconds=4, microseconds=125),
            "flow": "straße",
            "task": None,
        }
    )
    (event,) = decode(line, format="task-run", framing="ndjson", admission=Admission(NOW)).events
    assert event.task_run_id == "0192d3a4-5b6c-7d8e-9f00-112233445566"
    assert event.started_at == parse_instant("2026-10-03T02:00:00Z")
    assert event.ended_at == parse_instant("2026-10-03T02:00:04.25Z")
    assert (event.duration_us, event.flow, event.task) == (4_000_125, "straße", "")


class Odd(timedelta):
    """As pendulum's, which Prefect has: it cannot be divided by a plain one."""

    def __floordiv__(self, other: object) -> Any:
        raise AttributeError


@pytest.mark.parametrize(
    ("duration", "written"),
    [
        (Odd(seconds=1, microseconds=202_059), "1.202059"),
        (timedelta(microseconds=1_000_001), "1.000001"),
        (timedelta(days=400), "34560000.000000"),
        (Decimal("4.25"), "4.25"),
        ("4.25", "4.25"),
    ],
)
def test_no_digit_of_a_duration_is_lost(duration: object, written: str) -> None:
    assert json.loads(encode(EVENT | {"duration": duration}))["duration"] == written


def test_an_account_is_given_to_those_that_name_none() -> None:
    without = {name: value for name, value in EVENT.items() if name != "account"}
    assert json.loads(encode(without, "globex"))["account"] == "globex"
    assert json.loads(encode(EVENT, "globex"))["account"] == "acme"


def test_a_line_is_one_line() -> None:
    assert encode(EVENT | {"flow": "a\nb\r\u2028c"}).count(b"\n") == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"account": None}, "account is missing; every event needs it"),
        ({"task_run_id": None}, "task_run_id is missing; every event needs it"),
        ({"ended_at": datetime(2026, 10, 3)}, "ended_at has no time zone; give it one"),  # noqa: DTZ001
        ({"duration": float("nan")}, "cannot be written as JSON"),
        ({"flow": object()}, "cannot be written as JSON"),
        ({"flow": "x" * 70_000}, "larger than 64 KiB; leave out what is not metered"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_where_it_was_made(change: dict[str, Any], says: str) -> None:
    with pytest.raises(EventError, match=says.replace("(", r"\(").replace(")", r"\)")):
        encode(EVENT | change)
