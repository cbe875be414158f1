"""Counts that are put off: whatever the counters are asked, they answer the same before they are settled."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.schema import upgrade
from metering.database import migrating, writing
from metering.event import TaskRunEvent
from metering.ingestion import GroupCommit
from metering.outcome import Action
from metering.period import DAY_US, HOUR_US, Month, day_start
from metering.store import Correction, EventStore, tables
from metering.store.changes import SETTLE_LOCK, SETTLED_FROM
from metering.store.sql import SqlEventStore
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.world import NOVEMBER_2, OCTOBER

SEPTEMBER = Month.parse("2026-09")
FROM, TO = SEPTEMBER.start, OCTOBER.end
# Longer than what is looked up hour by hour: the months that have runs are asked for first.
# Whole months and parts of one, also with nothing between them.
_SECOND, _THIRD = OCTOBER.start + DAY_US, OCTOBER.start + 2 * DAY_US
STRETCHES = [
    (SEPTEMBER.previous().start, SEPTEMBER.start),
    (SEPTEMBER.start, SEPTEMBER.end),
    (OCTOBER.start, _SECOND),
    (_SECOND, _THIRD),
    (_THIRD + DAY_US, OCTOBER.end),
]
LONG_AGO, AT_LAST = Month.parse("2001-01").start, Month.parse("2031-01").start

# Runs of two accounts, flows and months, on three days; of some, several things are said.
_EVENTS = [
    event(f"run-{number}", account=account, flow=flow, end=end, duration_us=duration_us)
    for number in range(4)
    for account in ("acme", "globex")
    for flow in ("a", "b")
    for end in ("2026-09-30T23:20:00Z", "2026-10-01T00:40:00Z", f"2026-10-02T0{number}:00:00Z")
    for duration_us in (2_000_000, 500_000)
]
_SETTLE, _CORRECT = "settle", "correct"
_STEPS = st.lists(
    st.lists(st.sampled_from(_EVENTS), min_size=1, max_size=8) | st.sampled_from([_SETTLE, _CORRECT]),
    max_size=12,
)


def answers(store: EventStore, cutoff: int) -> list[object]:
    """What every question says that the counters answer."""
    found: list[object] = [
        store.counts_by_account(FROM, TO),
        store.counts_by_account(FROM + HOUR_US, TO),
        sorted(store.accounts_in(FROM, TO)),
        store.accounts_with_runs(["acme", "globex"], FROM, SEPTEMBER.end),
        store.days_of({"acme": FROM, "globex": OCTOBER.start}, TO, cutoff),
    ]
    months = store.billable_months(FROM, TO)
    names = [months.accounts[place] for place in months.account.tolist()]
    found.append(sorted(zip(names, months.month.tolist(), months.billable.tolist(), strict=True)))
    for account in ("acme", "globex"):
        found += [store.usage(account, FROM, TO, by=by) for by in ("hour", "day", "month")]
        found += [store.usage(account, FROM, TO, by=by, group_by="flow") for by in ("hour", "day", "month")]
        found.append(store.billable_days(account, FROM, TO))
        for long in ((LONG_AGO, TO), (FROM, AT_LAST), (OCTOBER.start, AT_LAST), (AT_LAST, AT_LAST)):
            found += [store.usage(account, *long, by=by) for by in ("hour", "day", "month")]
            found.append(store.billable_days(account, *long))
        found.append(store.billable_in(account, STRETCHES))
        days = store.billable_days(account, FROM, TO)
        assert found[-1] == [
            sum(runs for day, runs in days.items() if start <= day_start(day) < end)
            for start, end in STRETCHES
        ]
        found.append(store.names_as_of(account, FROM, TO, None))
        found.append(store.unchanged_since(account, OCTOBER.start, TO, cutoff))
        found.append(store.usage(account, SEPTEMBER.start, SEPTEMBER.end).counts)
    return found


def _take(store: EventStore, step: Sequence[TaskRunEvent] | str) -> None:
    if step == _CORRECT:
        store.correct("acme", ["run-0", "run-1"], Correction(Action.REVERSE, "a test", "jane"), NOVEMBER_2)
    elif not isinstance(step, str):
        store.append(step, NOVEMBER_2)


@pytest.fixture(scope="module")
def both(postgres_databases: NewDatabase, sqlite_databases: NewDatabase) -> tuple[sa.Engine, sa.Engine]:
    return postgres_databases(), sqlite_databases()


@given(_STEPS)
@settings(max_examples=40)
def test_settled_at_any_time_nothing_is_told_differently(
    both: tuple[sa.Engine, sa.Engine], steps: list[Sequence[TaskRunEvent] | str]
) -> None:
    """SQLite, where counters are counted at once, says what is right."""
    here, there = _emptied(both[0]), _emptied(both[1])
    cutoffs = [(0, 0)]
    for step in steps:
        _take(here, step)
        _take(there, step)
        if step == _SETTLE:
            here.settle()
        cutoffs.append((here.cutoff().position, there.cutoff().position))
    cutoff, same_cutoff = cutoffs[len(cutoffs) // 2]
    expected = answers(there, same_cutoff)
    assert answers(here, cutoff) == expected
    here.settle()
    assert waiting(here) == 0
    assert answers(here, cutoff) == expected


def _emptied(engine: sa.Engine) -> SqlEventStore:
    with writing(engine) as connection:
        for table in tables.metadata.sorted_tables:
            connection.execute(table.delete())
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("DELETE FROM usage_changes"))
    return SqlEventStore(engine)


def test_who_reads_while_it_is_settled_sees_every_run_once(postgres_databases: NewDatabase) -> None:
    store = SqlEventStore(postgres_databases())
    other = SqlEventStore(store.engine)
    held = runs(600)
    with ThreadPoolExecutor(1) as pool:
        for start in range(0, len(held), 20):
            store.append(held[start : start + 20], NOVEMBER_2)
            settling = pool.submit(other.settle)
            seen = [store.usage("acme", FROM, TO, by="hour").counts.billable for _ in range(3)]
            settling.result()
            assert seen == [start + 20] * 3
    assert waiting(store) == 0


def test_what_was_settled_leaves_its_place_to_the_next(postgres_databases: NewDatabase) -> None:
    store = SqlEventStore(postgres_databases())
    sizes = []
    for number in range(12):
        batch = [event(f"run-{number}-{flow}", flow=f"flow-{flow}") for flow in range(1500)]
        store.append(batch, NOVEMBER_2)
        store.settle()
        with store.engine.connect() as connection:
            sizes.append(connection.scalar(sa.text("SELECT pg_total_relation_size('usage_changes')")))
    assert sizes[-1] <= 2 * sizes[0], sizes
    assert store.usage("acme", FROM, TO).counts.billable == 12 * 1500


def test_several_settle_at_once_and_count_once(postgres_databases: NewDatabase) -> None:
    stores = [SqlEventStore(postgres_databases())]
    stores += [SqlEventStore(stores[0].engine) for _ in range(3)]
    held = runs(2000)

    def bring(number: int) -> None:
        for start in range(number * 50, len(held), 200):
            stores[number].append(held[start : start + 50], NOVEMBER_2)
            stores[number].settle()

    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(bring, range(len(stores))))
    assert waiting(stores[0]) == 0
    assert stores[0].usage("acme", FROM, TO).counts.billable == len(held)
    with stores[0].engine.connect() as connection:
        for unit in ("hours", "days", "months"):
            assert connection.scalar(sa.text(f"SELECT sum(quantity) FROM usage_{unit}")) == len(held)


def test_a_month_has_the_position_of_its_last_change(postgres_databases: NewDatabase) -> None:
    store = SqlEventStore(postgres_databases())
    store.append([event("run-1")], NOVEMBER_2)
    store.settle()
    before = store.cutoff().position
    store.append([event("run-2")], NOVEMBER_2)
    after = store.cutoff().position
    for _ in range(2):
        assert not store.unchanged_since("acme", OCTOBER.start, OCTOBER.end, before)
        assert store.unchanged_since("acme", OCTOBER.start, OCTOBER.end, after)
        store.settle()


def test_what_a_killed_process_left_is_settled_by_the_next(postgres_databases: NewDatabase) -> None:
    store = SqlEventStore(postgres_databases())
    store.append(runs(5), NOVEMBER_2)
    assert waiting(store) == 1
    writer = GroupCommit(SqlEventStore(store.engine), lambda: NOVEMBER_2)
    writer.close()
    assert waiting(store) == 0


def test_no_batch_waits_for_settling(postgres_databases: NewDatabase) -> None:
    """Another process settles, for as long as it likes."""
    store = SqlEventStore(postgres_databases())
    writer, writers = GroupCommit(store, lambda: NOVEMBER_2), store.writers
    held = runs(writers * SETTLED_FROM + 3)
    with writing(store.engine) as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": SETTLE_LOCK})
        for number in range(writers):
            much = held[number * SETTLED_FROM : (number + 1) * SETTLED_FROM]
            assert all(writer.submit(much).result(30))
        for run in held[-3:]:
            assert writer.submit([run]).result(30) == [True]
        assert waiting(store) == writers + 3
    writer.close()
    assert waiting(store) == 0


def test_much_is_settled_by_who_brings_it(postgres_databases: NewDatabase) -> None:
    store = SqlEventStore(postgres_databases())
    held = runs(SETTLED_FROM + 1)
    store.append(held[:-1], NOVEMBER_2)
    assert waiting(store) == 0
    store.append(held[-1:], NOVEMBER_2)
    assert waiting(store) == 1


def test_an_older_schema_finds_everything_in_the_counters(postgres_databases: NewDatabase) -> None:
    store = SqlEventStore(postgres_databases())
    store.append(_EVENTS[:9], NOVEMBER_2)
    store.settle()
    store.append(_EVENTS, NOVEMBER_2)
    expected = answers(store, 1)
    with migrating(store.engine) as connection:
        command.downgrade(_config(connection), "0014")
    assert not sa.inspect(store.engine).has_table("usage_changes")
    upgrade(store.engine)
    assert waiting(store) == 0
    assert answers(store, 1) == expected


def waiting(store: SqlEventStore) -> int:
    """Commits that are not settled."""
    with store.engine.connect() as connection:
        return connection.scalar(sa.text("SELECT count(*) FROM usage_changes")) or 0


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "alembic"))
    config.attributes["connection"] = connection
    return config
