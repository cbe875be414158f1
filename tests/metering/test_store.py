"""The event store, on every engine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from metering.database import make_engine, writing
from metering.outcome import Action, Outcome
from metering.period import HOUR_US, Month, parse_instant
from metering.store import Correction, EventStore, run_key
from metering.store.postgres_driver import PostgresDriver
from metering.store.sql import SqlEventStore
from metering.usage import Run
from tests.conftest import NewDatabase
from tests.events import event

OCTOBER = Month.parse("2026-10")
NOW = parse_instant("2026-11-02T00:00:00Z")


def october(store: EventStore, account: str = "acme") -> dict[str, int]:
    counts = store.usage(account, OCTOBER.start, OCTOBER.end).counts
    return {outcome.reason: quantity for outcome, quantity in counts.by_outcome.items()}


def test_an_event_is_accepted_once_and_is_a_duplicate_ever_after(store: EventStore) -> None:
    assert store.append([event(), event(), event("run-2")], NOW) == [True, False, True]
    assert store.append([event("run-2"), event("run-3"), event()], NOW) == [False, True, False]
    assert october(store) == {"billable": 3}


def test_an_event_that_differs_in_a_field_that_decides_nothing_is_accepted_and_counts_nothing(
    store: EventStore,
) -> None:
    store.append([event(task="load")], NOW)
    assert store.append([event(task="extract")], NOW) == [True]
    assert store.append([event(task="extract"), event(task="load")], NOW) == [False, False]
    assert october(store) == {"billable": 1}


def test_a_replay_with_another_end_is_not_billed_twice(store: EventStore) -> None:
    store.append([event(end="2026-10-03T02:00:05Z")], NOW)
    store.append([event(end="2026-10-07T02:00:05Z"), event(end="2026-11-07T02:00:05Z")], NOW)
    usage = store.usage("acme", OCTOBER.start, OCTOBER.end)
    assert [(window.start, window.counts.billable) for window in usage.windows] == [
        (parse_instant("2026-10-03T00:00:00Z"), 1)
    ]
    assert store.usage("acme", OCTOBER.end, OCTOBER.next().end).counts.total == 0


def test_a_later_event_moves_the_count(store: EventStore) -> None:
    store.append([event(state="FAILED", end="2026-10-31T23:59:59Z", flow="etl")], NOW)
    assert october(store) == {"failed": 1}
    store.append([event(end="2026-11-01T00:00:01Z", flow="elt")], NOW)
    assert october(store) == {}
    november = store.usage("acme", OCTOBER.end, OCTOBER.next().end, by="hour", group_by="flow")
    assert [(w.start, w.flow, w.counts.billable) for w in november.windows] == [(OCTOBER.end, "elt", 1)]
    store.append([event(state="ROLLED_BACK", end="2026-10-31T23:00:00Z")], NOW)
    assert october(store) == {"reversed": 1}


def test_events_of_one_run_within_one_batch(store: EventStore) -> None:
    batch = [event(state="FAILED"), event(state="ROLLED_BACK"), event(), event(state="FAILED")]
    assert store.append(batch, NOW) == [True, True, True, False]
    assert october(store) == {"reversed": 1}


def test_the_same_run_id_under_two_accounts_is_two_runs(store: EventStore) -> None:
    store.append([event(account="a"), event(account="b")], NOW)
    assert store.counts_by_account(OCTOBER.start, OCTOBER.end).keys() == {"a", "b"}


def test_runs_as_of_a_cutoff_are_those_of_the_commits_before_it(store: EventStore) -> None:
    assert store.cutoff() == (0, None)
    store.append([event("b"), event("a", state="FAILED")], NOW)
    first = store.cutoff()
    assert first.committed_at == NOW
    store.append([event("c"), event("a"), event("b", state="ROLLED_BACK")], NOW + 1)
    second = store.cutoff()
    assert second.position > first.position

    def outcomes(cutoff: int) -> list[tuple[str, Outcome]]:
        return [(r.task_run_id, r.outcome) for r in store.runs("acme", OCTOBER.start, OCTOBER.end, cutoff)]

    assert outcomes(0) == []
    assert outcomes(first.position) == [("a", Outcome.FAILED), ("b", Outcome.BILLABLE)]
    assert outcomes(second.position) == [
        ("a", Outcome.BILLABLE),
        ("b", Outcome.REVERSED),
        ("c", Outcome.BILLABLE),
    ]


def test_duplicates_alone_do_not_move_the_cutoff(store: EventStore) -> None:
    store.append([event()], NOW)
    before = store.cutoff()
    store.append([event()], NOW + 1)
    assert store.cutoff() == before


def test_runs_come_in_the_order_of_the_bytes_of_their_ids(store: EventStore) -> None:
    ids = [
        "00000000-0000-7000-8000-00000000000a",
        "00",
        "0192d3a4-5b6c-7d8e-9f00-112233445566",
        "ff",
        "zz",
        "é",
        "exactly15chars.",
        "exactly15chars.x",
        "FFFFFFFF-0000-7000-8000-00000000000a",
        "ffffffff-0000-7000-8000-00000000000a",
        "𝔘",
        "\uffee",
    ]
    store.append([event(run) for run in ids], NOW)
    store.append([event(run, state="ROLLED_BACK") for run in ids[::3]], NOW)
    got = [r.task_run_id for r in store.runs("acme", OCTOBER.start, OCTOBER.end, store.cutoff().position)]
    assert got == sorted(ids, key=str.encode)
    everywhere = [*ids, "", "0", "0192d3a4-5", "0192d3a4-5b6c-7d8e-9f00-112233445567", "g", "0192d3a4.", "􏿿"]
    cutoff = store.cutoff().position
    for begin in everywhere:
        listed = store.runs("acme", OCTOBER.start, OCTOBER.end, cutoff, from_id=begin)
        assert [r.task_run_id for r in listed] == [each for each in got if each.encode() >= begin.encode()]


def test_runs_are_found_by_their_ids_as_of_a_cutoff(store: EventStore) -> None:
    uuid = "0192d3a4-5b6c-7d8e-9f00-112233445566"
    held = [event(uuid, flow="load", workspace="prod"), event("run-2", end="2026-01-03T02:00:05Z")]
    store.append([*held, event("run-3", account="globex")], NOW)
    before = store.cutoff().position
    store.append([event(uuid, state="ROLLED_BACK"), event("run-4")], NOW)
    asked = [uuid, "run-2", "run-3", "run-4", uuid, "", *(f"other-{number}" for number in range(1200))]
    found = store.find("acme", asked, before)
    assert found.keys() == {uuid, "run-2"}
    first = held[0]
    expected = Run(uuid, Outcome.BILLABLE, first.ended_at, 5_000_000, "prod", "load")
    assert found[uuid] == expected
    now = store.find("acme", asked, store.cutoff().position)
    assert now.keys() == {uuid, "run-2", "run-4"}
    assert now[uuid].outcome is Outcome.REVERSED
    assert store.find("acme", [], before) == store.find("nobody", [uuid], before) == {}


def test_usage_by_hour_day_month_workspace_and_flow(store: EventStore) -> None:
    store.append(
        [
            event("1", end="2026-10-03T02:10:00Z", workspace="prod", flow="etl"),
            event("2", end="2026-10-03T02:59:59.999999Z", workspace="prod", flow="elt"),
            event("3", end="2026-10-03T03:00:00Z", workspace="dev", flow="etl", source="x"),
            event("4", end="2026-10-04T03:00:00Z", workspace="dev", flow="etl", source="y", state="CRASHED"),
        ],
        NOW,
    )

    def windows(**how: str) -> list[tuple[str | None, int, int]]:
        usage = store.usage("acme", OCTOBER.start, OCTOBER.end, **how)  # type: ignore[arg-type]
        return [
            (w.workspace or w.flow, (w.start - OCTOBER.start) // HOUR_US, w.counts.total)
            for w in usage.windows
        ]

    assert windows(by="hour") == [(None, 50, 2), (None, 51, 1), (None, 75, 1)]
    assert windows(by="day") == [(None, 48, 3), (None, 72, 1)]
    assert windows(by="month") == [(None, 0, 4)]
    assert windows(by="month", group_by="workspace") == [("dev", 0, 2), ("prod", 0, 2)]
    assert windows(by="day", group_by="flow") == [("elt", 48, 1), ("etl", 48, 2), ("etl", 72, 1)]
    both = store.usage("acme", OCTOBER.start, OCTOBER.end, group_by="both").windows
    assert [(w.start, w.workspace, w.flow, w.counts.total) for w in both] == [
        (OCTOBER.start + 48 * HOUR_US, "dev", "etl", 1),
        (OCTOBER.start + 48 * HOUR_US, "prod", "elt", 1),
        (OCTOBER.start + 48 * HOUR_US, "prod", "etl", 1),
        (OCTOBER.start + 72 * HOUR_US, "dev", "etl", 1),
    ]
    with pytest.raises(ValueError, match="from must be on a whole hour"):
        store.usage("acme", OCTOBER.start + 1, OCTOBER.end)


def test_names_as_of_a_cutoff_are_those_of_the_runs_then(store: EventStore) -> None:
    """What comes, is told again or is corrected later changes nothing of it; nor does another account."""
    month = OCTOBER.start, OCTOBER.end
    assert store.names_as_of("acme", *month, 0) == {}
    store.append(
        [event("a", flow="etl", workspace="prod"), event("b", flow="etl"), event("f", state="FAILED")], 1
    )
    store.append(
        [event("b", flow="elt"), event("n", end="2026-11-01T00:00:00Z"), event("o", account="other")], 2
    )
    first = store.cutoff().position
    then = {("prod", "etl"): 1, ("", "elt"): 1}
    assert store.names_as_of("acme", *month, first) == then
    assert store.unchanged_since("acme", *month, first)
    assert store.unchanged_since("nobody", *month, first)
    assert store.names_as_of("nobody", *month, first) == {}

    store.append([event("c", flow="etl"), event("a", flow="etl", workspace="prod", state="ROLLED_BACK")], 3)
    second = store.cutoff().position
    store.correct("acme", ["c", "b"], Correction(Action.REVERSE, "x", "test"), 4)
    third = store.cutoff().position
    assert store.names_as_of("acme", *month, first) == then
    assert store.names_as_of("acme", *month, second) == {("", "elt"): 1, ("", "etl"): 1}
    assert store.names_as_of("acme", *month, third) == {}
    assert not store.unchanged_since("acme", *month, first)
    assert not store.unchanged_since("acme", *month, second)
    assert store.unchanged_since("acme", *month, third)
    for cutoff, counted in ((first, 2), (second, 2), (third, 0)):
        assert sum(store.names_as_of("acme", *month, cutoff).values()) == counted
        listed = [run for run in store.runs("acme", *month, cutoff) if run.outcome is Outcome.BILLABLE]
        assert len(listed) == counted


def test_an_account_without_events_has_no_usage(store: EventStore) -> None:
    assert store.usage("nobody", OCTOBER.start, OCTOBER.end).counts.total == 0
    assert list(store.runs("nobody", OCTOBER.start, OCTOBER.end, 10)) == []


def test_a_cutoff_waits_for_writers_that_took_a_position_before_it(postgres_databases: NewDatabase) -> None:
    """PostgreSQL, two writers: the earlier position commits later. A cutoff above it that is taken in between
    would let an event appear below itself afterwards."""
    engine = postgres_databases()
    store = SqlEventStore(engine)
    store.append([event("known")], NOW)
    slow = make_engine(engine.url.render_as_string(hide_password=False))
    with ThreadPoolExecutor(1) as pool:
        with writing(slow) as connection:
            driver = PostgresDriver(connection)
            position = driver.next_position()
            driver.record_commit(position, NOW)
            store.append([event("fast")], NOW)
            cutoff = pool.submit(store.cutoff)
            while not cutoff.done() and not _someone_waits_for_a_lock(engine):
                pass
            assert not cutoff.done()
        assert cutoff.result().position > position
    slow.dispose()


def _someone_waits_for_a_lock(engine: sa.Engine) -> bool:
    with engine.connect() as connection:
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(connection.scalar(waiting))


def test_sqlite_finds_held_runs_by_their_key(sqlite_databases: NewDatabase) -> None:
    """A batch that was sent before costs by its own size, not by what is held: no statement of it may read a
    table from end to end."""
    engine = sqlite_databases()
    store = SqlEventStore(engine)
    store.append([event("a"), event("b", state="FAILED")], NOW)
    store.append([event("b")], NOW)
    said: list[str] = []
    sa.event.listen(engine, "begin", lambda c: c.connection.driver_connection.set_trace_callback(said.append))
    assert store.append([event("a"), event("b"), event("b", state="CRASHED")], NOW) == [False, False, True]
    selects = [text for text in said if text.startswith("SELECT") and "task_run" in text]
    assert len(selects) == 3
    with engine.connect() as connection:
        for text in selects:
            plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
            assert any("USING PRIMARY KEY" in step for step in plan), plan
            assert not any(step.startswith("SCAN t") for step in plan), plan


def test_held_runs_are_told_with_the_highest_of_what_was_said(store: SqlEventStore) -> None:
    uuid = "0192d3a4-5b6c-7d8e-9f00-112233445566"
    store.append([event("run-1"), event(uuid, state="FAILED"), event("run-2", state="CANCELLED")], NOW)
    store.append([event(uuid, end="2026-10-04T00:00:00Z"), event("run-1", state="FAILED")], NOW)
    store.append([event("run-3", account="globex")], NOW)
    many = [f"other-{number}" for number in range(1200)]
    assert store.held("acme", ["run-1", uuid, "run-3", *many, "run-2"]) == {
        "run-1": Outcome.BILLABLE,
        uuid: Outcome.BILLABLE,
        "run-2": Outcome.CANCELLED,
    }
    assert store.held("acme", []) == {}
    assert store.held("nobody", ["run-1"]) == {}


def test_what_is_listed_from_an_id_on_and_found_by_ids_is_corrected_too(store: EventStore) -> None:
    store.append([event(run) for run in ("run-1", "run-2", "run-3")], NOW)
    before = store.cutoff().position
    store.correct("acme", ["run-1", "run-3"], Correction(Action.REVERSE, "a test", "us"), NOW)
    after = store.cutoff().position
    for cutoff, outcome in ((before, Outcome.BILLABLE), (after, Outcome.REVERSED)):
        listed = store.runs("acme", OCTOBER.start, OCTOBER.end, cutoff, from_id="run-2")
        expected = [("run-2", Outcome.BILLABLE), ("run-3", outcome)]
        assert [(run.task_run_id, run.outcome) for run in listed] == expected
        found = store.find("acme", ["run-3", "run-2", "run-4"], cutoff)
        assert {name: run.outcome for name, run in found.items()} == dict(expected)


@given(st.text("0129af-g./A\U0001f600", max_size=6), st.text("0af", min_size=1, max_size=3))
def test_the_least_uuid_from_a_text_on(tail: str, head: str) -> None:
    """It is not before the text, and the one below it is."""
    text = head + tail
    least = run_key.least_uuid(text)
    highest = run_key.decode(b"\xff" * 16)
    if least is None:
        assert highest.encode() < text.encode()
        return
    assert run_key.decode(least).encode() >= text.encode()
    if number := int.from_bytes(least):
        assert run_key.decode((number - 1).to_bytes(16)).encode() < text.encode()
