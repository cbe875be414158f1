"""The event store on ClickHouse: what is its own. What all stores must do is in test_store.py."""

from __future__ import annotations

import itertools
from uuid import UUID, uuid4

import pytest

from metering.database import writing
from metering.store import run_key
from metering.store.clickhouse.address import Address
from metering.store.clickhouse.append import insert
from metering.store.clickhouse.block import COLUMNS, insert_block
from metering.store.clickhouse.connection import Connection
from metering.store.clickhouse.schema import MARKS, STATEMENTS
from metering.store.clickhouse.statements import FIRST_MS, LAST_MS, Statements
from metering.store.clickhouse.store import ClickHouseEventStore
from metering.store.tables import commits
from tests.events import event
from tests.stores import Stores
from tests.world import NOVEMBER_2, OCTOBER


def test_what_is_said_of_a_run_lies_in_one_partition_whenever_it_ended(address: Address) -> None:
    """By the month of its creation, where its id tells: a UUID of version 7 of a sane year."""
    clickhouse = Connection(address)
    october = f"{OCTOBER.start // 1000:012x}"
    ids = {
        f"{october[:8]}-{october[8:]}-7000-8000-000000000001": 202610,
        "00000000-0000-7000-8000-00000000000a": 0,
        "ffffffff-ffff-7fff-bfff-ffffffffffff": 0,
        str(uuid4()): 0,
        "run-1": 0,
    }
    events = [event(run, end=end) for run in ids for end in ("2026-10-31T23:00:00Z", "2027-03-01T00:00:00Z")]
    clickhouse.insert(STATEMENTS, COLUMNS, insert_block(Statements.of(events), [1] * 10), token="1")
    found = clickhouse.rows(
        f"SELECT run_key, groupUniqArray(run_month) FROM {STATEMENTS} GROUP BY run_key", binary=["run_key"]
    )
    assert {run_key.decode(key): months for key, months in found} == {
        run: [month] for run, month in ids.items()
    }


def test_duplicates_are_looked_for_among_the_newest_runs_only(clickhouse_stores: Stores) -> None:
    """However much is held: the projection by creation is read, and of it little."""
    store = clickhouse_stores.new()
    assert isinstance(store, ClickHouseEventStore)
    hour = 3_600_000
    old = [event(str(_uuid7(OCTOBER.start // 1000 + number * hour // 20))) for number in range(10_000)]
    store.append(old, NOVEMBER_2)
    slot = (OCTOBER.start // 1000 + 400 * hour) // 1000
    plan = store.connection.rows(
        f"EXPLAIN indexes = 1 SELECT fingerprint FROM {MARKS}"
        f" WHERE (run_second, fingerprint) IN (({slot}, 5))"
    )
    text = "\n".join(row[0] for row in plan)
    assert "Granules: 1/10" in text, text


def _uuid7(milliseconds: int) -> UUID:
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | uuid4().int >> 68)


def test_marks_tell_runs_apart_and_when_they_were_created() -> None:
    """0 where the id does not tell: those are looked for among all like them."""
    october = OCTOBER.start // 1000
    dated = [_uuid7(each) for each in (october, october + 999, october + 1000, FIRST_MS, LAST_MS)]
    sane = [_uuid7(each) for each in (FIRST_MS - 1, LAST_MS + 1, 0, (1 << 48) - 1)]
    uuids = [*dated, *sane, uuid4()]
    for ids in (list(map(str, uuids)), [*map(str, uuids), "run-1", "run-2"]):
        said = Statements.of([event(run) for run in ids])
        seconds = said.run_seconds().tolist()
        first = october // 1000
        assert seconds[:5] == [first, first, first + 1, FIRST_MS // 1000, LAST_MS // 1000]
        assert not any(seconds[5:])
        tails = said.key_tails().tolist()
        assert tails[: len(uuids)] == [each.int & 0xFFFFFFFF for each in uuids]
        assert len(set(tails)) == len(ids)


def test_a_fingerprint_that_two_runs_share_makes_no_duplicate(clickhouse_stores: Stores) -> None:
    """By chance, some day: what is held of one run is not taken for the other's."""
    store = clickhouse_stores.new()
    assert isinstance(store, ClickHouseEventStore)
    one, other = (Statements.of([event(run)]) for run in ("a", "b"))
    alike = other._replace(fingerprint=one.fingerprint)
    insert(store.connection, alike, [1], token="1")
    with writing(store.engine) as connection:
        connection.execute(commits.insert().values(position=1, committed_at=NOVEMBER_2))
    assert store.append([event("a")], NOVEMBER_2) == [True]
    assert store.append([event("a")], NOVEMBER_2) == [False]


def test_a_batch_of_many_names_comes_back_as_it_was(clickhouse_stores: Stores) -> None:
    """Places in a dictionary take one byte, two, or four."""
    for quantity in (1, 256, 257, 65_537):
        store = clickhouse_stores.new()
        batch = [event(f"{number:06d}", flow=f"flow-{number}") for number in range(quantity)]
        assert all(store.append(batch, NOVEMBER_2))
        runs = store.runs("acme", OCTOBER.start, OCTOBER.end, store.cutoff().position)
        assert [(run.task_run_id, run.flow) for run in runs] == [
            (f"{number:06d}", f"flow-{number}") for number in range(quantity)
        ]
        store.close()


def test_an_account_that_is_not_read_whole_has_the_same_usage(
    clickhouse_stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question learns how much an account has besides; the next one goes by partitions."""
    store = clickhouse_stores.new()
    assert isinstance(store, ClickHouseEventStore)
    months = ("2026-08", "2026-09", "2026-10")
    store.append(
        [event(f"{each}-{n}", end=f"{each}-05T00:00:00Z") for each in months for n in (1, 2)], NOVEMBER_2
    )
    store.append([event("2026-09-1", state="ROLLED_BACK", end="2026-10-05T00:00:00Z")], NOVEMBER_2)
    monkeypatch.setattr("metering.store.clickhouse.store._MUCH", 2)
    asked: list[str] = []
    rows = store.connection.rows
    monkeypatch.setattr(
        store.connection, "rows", lambda query, **more: asked.append(query) or rows(query, **more)
    )
    first, second = (store.usage("acme", OCTOBER.start, OCTOBER.end) for _ in range(2))
    assert first == second
    assert (first.counts.billable, first.counts.not_billed["reversed"]) == (2, 1)
    assert ["DISTINCT run_month" in query for query in asked] == [False, True]


def test_long_texts_and_any_characters_come_back_as_they_were(clickhouse_stores: Stores) -> None:
    store = clickhouse_stores.new()
    long = "ü" * 128
    store.append([event("é", workspace=long, flow="'\\\t\n", source="𝔘"), event("x" * 128)], NOVEMBER_2)
    runs = list(store.runs("acme", OCTOBER.start, OCTOBER.end, store.cutoff().position))
    assert [(run.task_run_id, run.workspace, run.flow, run.source) for run in runs] == [
        ("x" * 128, "", "", ""),
        ("é", long, "'\\\t\n", "𝔘"),
    ]


def test_accounts_that_once_had_runs_in_a_period_are_those_of_the_sql_store(
    clickhouse_stores: Stores, sqlite_stores: Stores
) -> None:
    """One whose run moved away is listed with nothing; one of which an event never held is not. Of events
    that come at once, the SQL store may list where one of them was for a moment, with nothing."""
    orders = itertools.permutations(
        [
            event("r", account="a", state="FAILED", end="2026-10-03T00:00:00Z"),
            event("r", account="a", end="2026-11-03T00:00:00Z"),
            event("r", account="a", state="FAILED", end="2026-10-01T00:00:00Z"),
        ]
    )
    for order in orders:
        for at_once, batches in ((False, [[each] for each in order]), (True, [order])):
            seen = []
            for stores in (clickhouse_stores, sqlite_stores):
                store = stores.new()
                for batch in batches:
                    store.append(batch, NOVEMBER_2)
                months = (OCTOBER.previous(), OCTOBER, OCTOBER.next())
                found = [store.counts_by_account(each.start, each.end) for each in months]
                seen.append(
                    [{name: has for name, has in each.items() if has.total or not at_once} for each in found]
                )
                store.close()
            assert seen[0] == seen[1]
