"""Collecting from a Prefect server that answers as it should, and watermarks."""

from __future__ import annotations

from metering.outcome import Action
from metering.period import DAY_US, HOUR_US, MINUTE_US
from metering.store import Correction
from tests.metering.prefect_double import event, row, run_id
from tests.metering.watched import NOON, Watched, instant
from tests.world import OCTOBER


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
