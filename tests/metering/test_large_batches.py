"""Batches so large that PostgreSQL is given their runs by COPY, which refuses all where one is held: what is
held is looked up first, and who is overtaken by another writer begins again."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from metering.database import make_engine, writing
from metering.event import TaskRunEvent
from metering.outcome import Outcome
from metering.store.apart import Apart
from metering.store.batch import batch_of, columns_of, in_key_order
from metering.store.postgres_driver import COPIED_FROM, PostgresDriver
from metering.store.sql import SqlEventStore
from tests.conftest import NewDatabase, Stores
from tests.events import event
from tests.examples import share
from tests.world import NOVEMBER_2, OCTOBER

_UUID = "0199a3a4-5b6c-7d8e-9f00-"


def _run(number: int, *, text: bool = False, state: str = "COMPLETED") -> TaskRunEvent:
    return event(f"run-{number}" if text else f"{_UUID}{number:012x}", account=f"a{number % 3}", state=state)


def _runs(*numbers: int, text: bool = False, state: str = "COMPLETED") -> list[TaskRunEvent]:
    return [_run(number, text=text, state=state) for number in numbers]


def _counts(store: SqlEventStore) -> dict[str, dict[Outcome, int]]:
    found = store.counts_by_account(OCTOBER.start, OCTOBER.end)
    return {account: dict(counts.by_outcome) for account, counts in found.items()}


@pytest.mark.parametrize("text", [False, True], ids=["uuids", "texts"])
def test_what_is_held_and_what_is_new_in_one_batch(engine: sa.Engine, text: bool) -> None:
    store = SqlEventStore(engine)
    many = 3 * COPIED_FROM
    store.append(_runs(*range(0, 99, 3), text=text), NOVEMBER_2)
    sent = _runs(*range(many), text=text)
    # Twice in the batch, and of two runs, one of them held, something else as well.
    sent += [sent[5], _run(6, text=text, state="ROLLED_BACK"), _run(7, text=text, state="ROLLED_BACK")]
    accepted = store.append(sent, NOVEMBER_2)
    assert accepted == [number >= 99 or number % 3 > 0 for number in range(many)] + [False, True, True]
    totals = _counts(store)
    assert sum(sum(counts.values()) for counts in totals.values()) == many
    assert sum(counts.get(Outcome.REVERSED, 0) for counts in totals.values()) == 2
    assert not any(store.append(sent, NOVEMBER_2))
    assert _counts(store) == totals
    listed = [
        run.task_run_id for each in totals for run in store.runs(each, OCTOBER.start, OCTOBER.end, 1 << 40)
    ]
    assert sorted(listed) == sorted({each.task_run_id for each in sent})


@share(10)
@given(parts=st.lists(st.tuples(st.integers(0, 600), st.integers(1, 900)), min_size=1, max_size=4))
def test_however_it_is_cut_each_run_is_counted_once(
    postgres_stores: Stores, parts: list[tuple[int, int]]
) -> None:
    store, seen = postgres_stores.new(), set[int]()
    for start, quantity in parts:
        numbers = range(start, start + quantity)
        assert store.append(_runs(*numbers), NOVEMBER_2) == [number not in seen for number in numbers]
        seen |= set(numbers)
    counted = store.counts_by_account(OCTOBER.start, OCTOBER.end)
    expected = Counter(f"a{number % 3}" for number in seen)
    assert {account: counts.billable for account, counts in counted.items()} == expected
    store.close()


def test_who_is_overtaken_by_another_process_begins_again(postgres_databases: NewDatabase) -> None:
    engine = postgres_databases()
    store = SqlEventStore(engine)
    other = make_engine(engine.url.render_as_string(hide_password=False))
    store.append(_runs(0, 1, 2), NOVEMBER_2)  # so that the names are known
    theirs, ours = _runs(*range(3, 1000)), _runs(*range(500, 1500))
    columns = columns_of(theirs)
    with ThreadPoolExecutor(1) as pool:
        with writing(other) as connection:
            driver = PostgresDriver(connection)
            position = driver.next_position()
            numbers = [store._names.known().places[place] for place in columns.places]
            batch = batch_of(columns, numbers)
            leads = in_key_order(batch).leads
            assert driver.insert_runs(batch, leads, position).places == []
            driver.record_commit(position, NOVEMBER_2)
            answer = pool.submit(store.append, ours, NOVEMBER_2)
            while not answer.done() and not _someone_waits(engine):
                pass
            assert not answer.done()
        assert answer.result() == [number >= 1000 for number in range(500, 1500)]
    other.dispose()


def _someone_waits(engine: sa.Engine) -> bool:
    with engine.connect() as connection:
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted")
        return bool(connection.scalar(waiting))


def test_batches_that_share_a_run_are_written_one_after_the_other() -> None:
    apart, order = Apart(), list[str]()
    first, second = threading.Event(), threading.Event()

    def write(name: str, marks: list[int], begun: threading.Event, go_on: threading.Event | None) -> None:
        with apart.from_others(np.array(marks)):
            order.append(f"{name} begins")
            begun.set()
            if go_on is not None:
                assert go_on.wait(10)
            order.append(f"{name} ends")

    with ThreadPoolExecutor(3) as pool:
        held = pool.submit(write, "a", [1, 2], first, second)
        assert first.wait(10)
        shares = pool.submit(write, "b", [2, 3], threading.Event(), None)
        pool.submit(write, "c", [4], second, None).result()  # does not wait for a
        held.result()
        shares.result()
    assert order.index("b begins") > order.index("a ends") > order.index("c begins")
