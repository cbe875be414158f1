"""Task runs that a server has and gave no events of: missing, then metered from its records."""

from __future__ import annotations

import structlog

from billing.collecting import recover_source, visit
from billing.sources import find_source
from metering.period import DAY_US, HOUR_US, MINUTE_US, format_instant, parse_instant
from tests.metering.prefect_double import event, row, run_id
from tests.metering.watched import Watched, instant
from tests.world import OCTOBER


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


def test_an_event_that_is_rejected_is_told_and_its_run_is_missing(watched: Watched) -> None:
    watched.double.finish(1, end="2026-10-03T11:00:00Z")
    watched.double.rows[0]["updated"] = "2026-10-03T11:59:00Z"
    watched.double.events[0]["payload"]["task_run"]["start_time"] = "2026-10-03T11:30:00Z"
    with structlog.testing.capture_logs() as logs:
        made = watched.visit()
    rejected = next(each for each in logs if each["event"] == "event rejected")
    assert rejected["message"] == "end_time is before start_time; a run ends after it starts"
    assert (made.needs_attention, made.source.missing_ids) == (True, (run_id(1),))


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
