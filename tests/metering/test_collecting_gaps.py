"""What a server forgot before it was read: told with its window, as long as something may be missing."""

from __future__ import annotations

import structlog

from metering.period import DAY_US, format_instant, parse_instant
from tests.metering.prefect_double import run_id
from tests.metering.watched import Watched, instant


def test_a_gap_longer_than_the_retention_is_told_with_its_window(watched: Watched) -> None:
    watched.double.retention_us = 7 * DAY_US
    watched.double.finish(1, end="2026-10-03T11:00:00Z")
    watched.visit()
    watched.double.finish(2, end="2026-10-04T11:00:00Z")
    watched.double.finish(3, end="2026-10-14T11:00:00Z")
    watched.pass_time(12 * DAY_US)
    with structlog.testing.capture_logs() as logs:
        made = watched.visit()
    lost = next(each for each in logs if each["event"].startswith("events may be lost"))
    assert (lost["lost_from"], lost["lost_to"]) == ("2026-10-03T11:59:30Z", "2026-10-08T11:59:30Z")
    assert made.collected.lost == (parse_instant(lost["lost_from"]), parse_instant(lost["lost_to"]))
    # Its events are gone, the server's record of it is not.
    assert (made.needs_attention, made.recovered, made.source.lost) == (True, 1, None)
    assert watched.held().keys() == {run_id(1), run_id(2), run_id(3)}


def test_a_gap_is_told_as_long_as_something_of_it_may_be_missing(watched: Watched) -> None:
    watched.double.retention_us = 7 * DAY_US
    watched.visit()
    watched.pass_time(12 * DAY_US)
    # The server is killed before it can be asked what ended.
    watched.double.fail_at["/api/task_runs/count"] = (500, {}, b"")
    made = watched.visit()
    assert made.error is not None
    assert made.source.lost is not None
    assert format_instant(made.source.lost.end) == "2026-10-08T11:59:30Z"


def test_a_gap_in_which_nothing_ended_has_lost_nothing(watched: Watched) -> None:
    watched.double.retention_us = 7 * DAY_US
    watched.visit()
    watched.pass_time(12 * DAY_US)
    made = watched.visit()
    assert (made.source.lost, made.recovered) == (None, 0)
    assert instant(made.source) == "2026-10-15T11:54:30Z"
    assert not watched.visit().needs_attention
