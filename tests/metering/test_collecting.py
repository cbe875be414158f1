"""Collecting from a Prefect server that answers as it should, and watermarks: from a stand-in on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import structlog

from billing.collecting import Visit, recover_source, visit
from billing.sources import add_source, find_source, server_of
from metering.collecting.collector import Collected, Meter, collect
from metering.collecting.errors import TooSlow
from metering.collecting.prefect_server import PrefectServer
from metering.collecting.source import Source
from metering.outcome import Action
from metering.period import DAY_US, HOUR_US, MINUTE_US, SECOND_US, format_instant, parse_instant
from metering.store import Correction
from tests.metering.prefect_double import PrefectDouble, event, prefect_double, row, run_id
from tests.world import OCTOBER, World

NOON = parse_instant("2026-10-03T12:00:00Z")
DAWN = parse_instant("2026-10-03T00:00:00Z")


class Watched:
    """A world whose account is watched at a server that lives by the same clock."""

    def __init__(self, engine: sa.Engine, double: PrefectDouble) -> None:
        self.world = World(engine, now=NOON)
        self.double = double
        double.clock = lambda: self.world.instant
        server = server_of(double.url, workspace="prod")
        self.source = add_source(engine, "acme", "eu", server, since=DAWN, now=NOON)
        self.waited: list[float] = []

    def visit(self, **more: Any) -> Visit:
        source = find_source(self.world.engine, "eu")
        return visit(
            self.world.service, source, always_check=True, attempts=2, wait=self.waited.append, **more
        )

    def pass_time(self, span_us: int) -> None:
        self.world.instant += span_us

    def held(self) -> dict[str, str]:
        runs = self.world.store.runs("acme", OCTOBER.start, OCTOBER.end, 2**62)
        return {run.task_run_id: run.outcome.reason for run in runs}


@pytest.fixture
def watched(engine: sa.Engine) -> Iterator[Watched]:
    with prefect_double() as double:
        yield Watched(engine, double)


def instant(source: Source) -> str:
    assert source.complete_to is not None
    return format_instant(source.complete_to)


def test_what_ended_is_metered_with_its_labels_and_the_watermark_says_so(watched: Watched) -> None:
    for number in range(130):
        watched.double.finish(number, end=f"2026-10-03T11:{number // 60:02d}:{number % 60:02d}Z")
    watched.double.finish(200, end="2026-10-03T11:10:00Z", state="FAILED", name="TimedOut")
    watched.double.rows.append(row(300, end="2026-10-03T11:20:00Z", subflow="child"))
    made = watched.visit()
    assert (made.error, made.needs_attention, made.collected.finished) == (None, False, True)
    assert watched.held() == {run_id(each): "billable" for each in range(130)} | {run_id(200): "failed"}
    usage = watched.world.store.usage("acme", OCTOBER.start, OCTOBER.end, group_by="workspace")
    assert [window.workspace for window in usage.windows] == ["prod"]
    # Up to the lag of events, and the time in which what ended settles.
    assert instant(made.source) == "2026-10-03T11:54:30Z"
    assert made.source.claim is not None
    assert made.source.claim.runs == 131


def test_the_next_visit_asks_for_what_is_new_and_what_may_be_late(watched: Watched) -> None:
    watched.double.finish(1, end="2026-10-03T11:00:00Z")
    watched.visit()
    watched.double.asked.clear()
    watched.pass_time(MINUTE_US)
    watched.double.finish(2, end="2026-10-03T12:00:10Z")
    made = watched.visit()
    occurred = [each["filter"]["occurred"] for each in watched.double.asked if "filter" in each]
    assert occurred[-1] == {"since": "2026-10-03T11:57:30Z", "until": "2026-10-03T12:00:30Z"}
    assert watched.held().keys() == {run_id(1), run_id(2)}
    assert made.collected.ingested.to_data()["accepted"] == 1


def test_the_operators_word_on_a_run_holds_up_no_source(watched: Watched) -> None:
    """A source is compared with what it sent: it need not agree with the operator."""
    watched.double.finish(1, end="2026-10-03T11:00:00Z", name="RolledBack")
    watched.double.finish(2, end="2026-10-03T11:01:00Z")
    watched.visit()
    store = watched.world.store
    for action, run in ((Action.RESTORE, 1), (Action.REVERSE, 2)):
        store.correct("acme", [run_id(run)], Correction(action, "a dispute", "ann"), NOON)
    watched.double.finish(3, end="2026-10-03T11:02:00Z")  # so that the day is looked at
    watched.pass_time(10 * MINUTE_US)
    made = watched.visit()
    assert (made.source.missing, made.recovered, made.needs_attention) == (0, 0, False)
    counts = store.usage("acme", OCTOBER.start, OCTOBER.end).counts
    assert (counts.billable, counts.not_billed["reversed"]) == (2, 1)


def test_what_is_late_by_hours_is_found_within_the_hour(watched: Watched) -> None:
    watched.visit()
    late = NOON + 2 * HOUR_US
    watched.double.events.append(event(1, end="2026-10-03T12:00:00Z") | {"arrives": late})
    for _ in range(4):
        watched.pass_time(HOUR_US)
        watched.visit()
    assert watched.held().keys() == {run_id(1)}


def test_a_run_that_comes_late_into_what_was_complete_is_noticed_and_fetched(watched: Watched) -> None:
    """Days late: no pass goes back that far, the counts tell."""
    watched.double.finish(1, end="2026-10-03T11:00:00Z")
    watched.visit()
    for _ in range(5):
        watched.pass_time(DAY_US)
        watched.visit()
    watched.double.finish(2, end="2026-10-03T10:00:00Z", arrives=watched.world.instant)
    watched.pass_time(MINUTE_US)
    made = watched.visit()
    assert watched.held().keys() == {run_id(1), run_id(2)}
    assert made.source.claim is not None
    assert (made.source.claim.runs, made.source.missing) == (2, 0)
    assert instant(made.source) == "2026-10-08T11:55:30Z"


def test_a_watermark_stands_still_at_what_is_missing_and_moves_back_to_it(watched: Watched) -> None:
    watched.double.finish(1, end="2026-10-03T11:00:00Z")
    watched.visit()
    written = "2026-10-03T12:09:40Z"  # so that their events may be on their way
    watched.double.rows.append(row(2, end="2026-10-03T11:20:00Z", updated=written))
    watched.double.rows.append(row(3, end="2026-10-03T11:30:00Z", updated="2026-10-03T12:19:40Z"))
    watched.pass_time(10 * MINUTE_US)
    with structlog.testing.capture_logs() as logs:
        made = watched.visit()
    assert instant(made.source) == "2026-10-03T11:20:00Z"
    assert (made.source.missing, made.source.missing_ids) == (2, (run_id(3), run_id(2)))
    assert made.needs_attention
    assert [each["event"] for each in logs if each["log_level"] == "error"] == [
        "task runs are missing: the source has them, and gives no events of them"
    ]
    # One of them comes after all.
    watched.double.events.append(event(2, end="2026-10-03T11:20:00Z"))
    watched.pass_time(10 * MINUTE_US)
    made = watched.visit()
    assert (instant(made.source), made.source.missing) == ("2026-10-03T11:30:00Z", 1)
    assert watched.held().keys() == {run_id(1), run_id(2)}


def test_what_has_no_events_for_a_minute_is_metered_from_the_servers_records(watched: Watched) -> None:
    """A server that was killed may have kept a record and lost the event."""
    told = {"flow_run_id": "flow-run-1", "updated": "2026-10-03T11:59:00Z"}
    watched.double.rows.append(row(1, end="2026-10-03T11:30:00Z", **told))
    made = watched.visit()
    assert (made.recovered, made.source.missing, watched.held()) == (0, 1, {})
    watched.pass_time(MINUTE_US)
    with structlog.testing.capture_logs() as logs:
        made = watched.visit()
    assert (made.recovered, made.source.missing, made.needs_attention) == (1, 0, True)
    assert watched.held() == {run_id(1): "billable"}
    assert [each["event"] for each in logs if each["log_level"] == "error"] == [
        "task runs without events were metered from the source's records"
    ]
    assert instant(made.source) == "2026-10-03T11:55:30Z"
    assert not watched.visit().needs_attention


def test_what_ended_just_now_is_metered_from_records_before_it_is_claimed(watched: Watched) -> None:
    watched.double.rows.append(row(1, end="2026-10-03T11:58:00Z"))
    watched.double.rows.append(row(2, end="2026-10-03T11:59:00Z"))
    made = watched.visit()
    assert (made.recovered, made.source.missing) == (1, 0)
    assert watched.held() == {run_id(1): "billable"}
    assert made.source.claim is not None
    assert (instant(made.source), made.source.claim.runs) == ("2026-10-03T11:54:30Z", 0)


def test_a_record_that_was_metered_and_changed_since_is_right_in_the_end(watched: Watched) -> None:
    """Before it has settled, and after; with its events lost, and with events that come much later."""
    for number, end in ((1, "11:58:00"), (2, "11:58:01"), (3, "11:58:02"), (4, "11:58:03")):
        state = "FAILED" if number == 3 else "COMPLETED"
        watched.double.rows.append(row(number, end=f"2026-10-03T{end}Z", state=state))
    watched.visit()
    assert set(watched.held().values()) == {"billable", "failed"}
    watched.double.rows[0] = row(1, end="2026-10-03T11:58:00Z", name="RolledBack")
    watched.pass_time(10 * MINUTE_US)
    watched.visit()
    assert watched.held()[run_id(1)] == "reversed"
    watched.pass_time(DAY_US)
    watched.double.rows[1] = row(2, end="2026-10-03T11:58:01Z", name="RolledBack")
    watched.double.rows[2] = row(3, end="2026-10-03T11:58:02Z")
    watched.visit()
    late = {"end": "2026-10-03T11:58:03Z", "name": "RolledBack"}
    watched.double.events.append(event(4, **late) | {"occurred": format_instant(watched.world.instant)})
    watched.pass_time(DAY_US)
    watched.visit()
    runs = {run_id(1): "reversed", run_id(2): "reversed", run_id(3): "billable", run_id(4): "reversed"}
    assert watched.held() == runs


def test_a_source_that_was_away_is_compared_at_once(watched: Watched) -> None:
    """It may have been killed; as long as all is well, only every few minutes."""
    due = {"attempts": 1, "wait": watched.waited.append}
    source = find_source(watched.world.engine, "eu")
    visit(watched.world.service, source, **due)
    watched.double.rows.append(row(1, end="2026-10-03T11:58:00Z"))
    watched.pass_time(MINUTE_US)
    source = find_source(watched.world.engine, "eu")
    assert visit(watched.world.service, source, **due).recovered == 0
    watched.double.answers = [(503, {}, b"restarting")]
    source = visit(watched.world.service, source, **due).source
    assert source.error is not None
    assert visit(watched.world.service, source, **due).recovered == 1


def test_a_run_of_which_only_a_lesser_state_was_heard_is_missing(watched: Watched) -> None:
    """Its completion was heard, and its transaction was rolled back since."""
    watched.double.finish(1, end="2026-10-03T11:30:00Z")
    watched.visit()
    told = {"name": "RolledBack", "updated": "2026-10-03T12:09:00Z"}
    watched.double.rows[0] = row(1, end="2026-10-03T11:30:00Z", **told)
    watched.pass_time(10 * MINUTE_US)
    made = watched.visit()
    assert (instant(made.source), made.source.missing_ids) == ("2026-10-03T11:30:00Z", (run_id(1),))
    watched.pass_time(MINUTE_US)
    watched.visit()
    assert watched.held() == {run_id(1): "reversed"}


def test_more_may_have_been_heard_than_the_server_remembers(watched: Watched) -> None:
    watched.double.finish(1, end="2026-10-03T11:00:00Z")
    watched.double.rows[0] = row(1, end="2026-10-03T11:00:00Z", state="FAILED")
    assert not watched.visit().source.missing


def test_task_runs_that_are_deleted_at_the_server_hold_nothing_up(watched: Watched) -> None:
    for number in (1, 2):
        watched.double.finish(number, end=f"2026-10-03T1{number - 1}:00:00Z")
    watched.visit()
    del watched.double.rows[0]
    watched.pass_time(HOUR_US)
    made = watched.visit()
    assert made.source.claim is not None
    assert (instant(made.source), made.source.claim.runs) == ("2026-10-03T12:54:30Z", 1)


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


def test_an_event_that_is_rejected_is_told_and_its_run_is_missing(watched: Watched) -> None:
    watched.double.finish(1, end="2026-10-03T11:00:00Z")
    watched.double.rows[0]["updated"] = "2026-10-03T11:59:00Z"
    watched.double.events[0]["payload"]["task_run"]["start_time"] = "2026-10-03T11:30:00Z"
    with structlog.testing.capture_logs() as logs:
        made = watched.visit()
    rejected = next(each for each in logs if each["event"] == "event rejected")
    assert rejected["message"] == "end_time is before start_time; a run ends after it starts"
    assert (made.needs_attention, made.source.missing_ids) == (True, (run_id(1),))


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


def test_a_turn_ends_and_the_next_one_goes_on_where_it_was(watched: Watched) -> None:
    for number in range(200):
        watched.double.finish(number, end=f"2026-10-03T11:00:{number // 10:02d}.{number % 10}Z")
    first = watched.visit(stop=lambda: True)
    assert not first.collected.finished
    assert first.source.claim is None
    visits = 1
    while not watched.visit(stop=lambda: True).collected.finished:
        visits += 1
        assert visits < 10
    assert len(watched.held()) == 200


def test_a_person_may_have_what_has_no_events_metered_from_records_at_once(watched: Watched) -> None:
    """Once, and equal to what its event would have said."""
    watched.double.finish(1, end="2026-10-03T11:00:00Z")
    lost = [
        {"number": 2, "seconds": 1.25},
        {"number": 3, "seconds": 0.5},
        {"number": 4, "state": "FAILED", "seconds": 3},
        {"number": 5, "name": "RolledBack"},
        {"number": 6, "name": "Cached", "seconds": 0.01},
    ]
    for place, each in enumerate(lost):
        end = f"2026-10-03T10:0{place}:00Z"
        told = {"flow_run_id": "flow-run-1", "updated": "2026-10-03T10:29:00Z"}
        watched.double.rows.append(row(**each, end=end, **told))
    watched.world.instant = parse_instant("2026-10-03T10:30:00Z")
    watched.double.events.clear()
    watched.double.rows[0]["end_time"] = "2026-10-03T09:59:00Z"
    watched.double.events.append(event(1, end="2026-10-03T09:59:00Z"))
    assert watched.visit().source.missing == 5
    recovered, made = recover_source(watched.world.service, find_source(watched.world.engine, "eu"))
    assert (recovered, made.source.missing, made.needs_attention) == (5, 0, False)
    assert made.recovered == 0
    assert watched.held() == {
        run_id(1): "billable",
        run_id(2): "billable",
        run_id(3): "too_short",
        run_id(4): "failed",
        run_id(5): "reversed",
        run_id(6): "cached",
    }
    # Should the events come after all, they say the same.
    for place, each in enumerate(lost):
        watched.double.events.append(event(**each, end=f"2026-10-03T10:0{place}:00Z"))
    watched.pass_time(DAY_US)
    watched.visit()
    usage = watched.world.store.usage("acme", OCTOBER.start, OCTOBER.end, by="month", group_by="flow")
    assert [(each.flow, each.counts.total) for each in usage.windows] == [("etl", 6)]
    assert recover_source(watched.world.service, made.source)[0] == 0


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
