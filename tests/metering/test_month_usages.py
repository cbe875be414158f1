"""A month of many accounts at once: the counts, days and digests that one run after the other gives."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from metering.event import TaskRunEvent
from metering.outcome import Outcome
from metering.period import DAY_US, SECOND_US, Month, parse_instant
from metering.run_columns import Runs, Tallies, lines
from metering.run_list import MonthUsage, month_usage, run_list
from metering.store import EventStore
from metering.store.months import Months, _stretches
from metering.store.names import Names
from metering.store.question import Question
from metering.store.revised import revised_runs
from metering.store.sql import SqlEventStore
from metering.usage import Run
from tests.conftest import STORES
from tests.examples import share
from tests.stores import Stores

OCTOBER = Month.parse("2026-10")
NOW = parse_instant("2026-11-30T00:00:00Z")

_INSTANTS = st.integers(OCTOBER.start, OCTOBER.end - 1) | st.builds(
    lambda second, rest: OCTOBER.start + second * SECOND_US + rest,
    st.integers(0, 31 * 86_400 - 1),
    st.sampled_from([0, 1, 10, 1000, 999_999]),
)
_DURATIONS = (
    st.integers(SECOND_US + 1, 100 * SECOND_US)
    | st.sampled_from([10**power - less for power in range(19) for less in (0, 1)])
    | st.integers(0, 2**63 - 1)
)


@given(st.dictionaries(st.uuids(), st.tuples(_INSTANTS, _DURATIONS), min_size=1, max_size=30))
def test_lines_of_columns_are_those_of_runs(billed: dict[Any, tuple[int, int]]) -> None:
    ids = sorted(billed)
    runs = [Run(str(id), Outcome.BILLABLE, *billed[id], "", "") for id in ids]
    text, ends = lines(_columns([id.bytes for id in ids], [billed[id] for id in ids]))
    one_by_one = list(run_list(runs))[1:]
    assert [bytes(text[start:end]) for start, end in pairwise(ends.tolist())] == one_by_one


def _columns(keys: list[bytes], said: list[tuple[int, int]]) -> Runs:
    ended_at, duration_us = (np.array(column, dtype=np.int64) for column in zip(*said, strict=True))
    return Runs(
        np.zeros(len(keys), dtype=np.int64),
        np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, 16),
        np.full(len(keys), int(Outcome.BILLABLE)),
        ended_at,
        duration_us,
    )


def test_runs_in_another_order_are_not_added() -> None:
    tallies = Tallies()
    tallies.add(_columns([b"b" * 16], [(OCTOBER.start, 2 * SECOND_US)]))
    with pytest.raises(ValueError, match="order of their ids"):
        tallies.add(_columns([b"a" * 16], [(OCTOBER.start, 2 * SECOND_US)]))


_ACCOUNTS = st.sampled_from(["a", "b", "c"])
# Ids that tell a time, of three buckets, and one that does not and lies between them.
_IDS = st.sampled_from(
    [
        f"{begin}-9f00-11223344556{digit}"
        for begin in ("0192d3a4-5b6c-7d8e", "0192d3b4-5b6c-7d8e", "0192d3b5-5b6c-4d8e", "0192d3d4-5b6c-7d8e")
        for digit in "0123"
    ]
)
# Before all of those, between them, and after; some that a CSV file quotes, and one that is as long as a key.
_TEXTS = st.sampled_from(
    [
        "r",
        "r!",
        "!",
        "00000000-0000-7000-8000-00000000000A",
        "0192d3a4-5b6c-7d8e-9f00-11223344556",
        "0192d3b4-5b6c-7d8e-9f00-112233445561!",
        "0192d3b5",
        'a "task", mapped',
        "a,b",
        "exactly15chars.",
        "ä",
    ]
)
_ENDS = st.sampled_from(
    [OCTOBER.start - 1, OCTOBER.start, OCTOBER.start + 12_345_678, OCTOBER.end - 1, OCTOBER.end]
)
_STATES = st.sampled_from(["COMPLETED", "COMPLETED", "CACHED", "FAILED", "CANCELLED", "ROLLED_BACK"])


def _event(account: str, run: str, state: str, end: int, seconds: int, flow: str) -> TaskRunEvent:
    duration = seconds * SECOND_US
    return TaskRunEvent(account, run, state, end - duration, end, duration, "", flow)


def _batches(ids: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[TaskRunEvent]]]:
    events = st.builds(
        _event, _ACCOUNTS, ids, _STATES, _ENDS, st.sampled_from([1, 2, 61]), st.sampled_from(["", "f"])
    )
    return st.lists(st.lists(events, min_size=1, max_size=12), max_size=5)


@pytest.fixture(scope="module", params=STORES)
def shared_store(request: pytest.FixtureRequest) -> Iterator[EventStore]:
    stores: Stores = request.getfixturevalue(f"{request.param}_stores")
    store = stores.new()
    yield store
    store.close()


_examples = itertools.count()
_LETTERS = "abc"


def _renamed(batches: list[list[TaskRunEvent]]) -> tuple[dict[str, str], list[list[TaskRunEvent]]]:
    """Accounts of their own for each example."""
    number = next(_examples)
    names = {each: f"{number}{each}" for each in _LETTERS}
    renamed = [
        [msgspec.structs.replace(event, account=names[event.account]) for event in batch] for batch in batches
    ]
    return names, renamed


@share(15)
@given(batches=_batches(_IDS) | _batches(_IDS | _TEXTS))
def test_a_month_of_many_accounts_is_the_month_of_each(
    shared_store: EventStore, batches: list[list[TaskRunEvent]]
) -> None:
    """Runs that several events speak of, in other months too, UUIDs and other ids; as of every cutoff."""
    store = shared_store
    names, batches = _renamed(batches)
    cutoffs = [store.cutoff().position]
    for batch in batches:
        store.append(batch, NOW)
        cutoffs.append(store.cutoff().position)
    asked = [*names.values(), "never"]
    since = dict(zip(asked, (OCTOBER.start - DAY_US, OCTOBER.start, OCTOBER.end - DAY_US, 0), strict=True))
    for cutoff in cutoffs:
        found = dict(store.month_usages(asked, OCTOBER.start, OCTOBER.end, cutoff))
        assert found == {each: _one_after_the_other(store, each, cutoff) for each in asked}
        assert store.days_of(since, OCTOBER.end, cutoff) == {
            each: store.days(each, since[each], OCTOBER.end, cutoff) for each in asked
        }
    now = {each: usage.counts for each, usage in found.items()}
    assert store.accounts_with_runs(asked, OCTOBER.start, OCTOBER.end) == {
        each for each in asked if now[each].total
    }
    assert set(store.accounts_in(OCTOBER.start, OCTOBER.end)) == {
        *store.counts_by_account(OCTOBER.start, OCTOBER.end)
    }
    for each in asked:
        days = store.billable_days(each, OCTOBER.start, OCTOBER.end)
        assert sum(days.values()) == now[each].billable
        assert {f"{day:%Y-%m-%d}": quantity for day, quantity in days.items()} == {
            day: counts.billable for day, counts in found[each].by_day.items() if counts.billable
        }


def _one_after_the_other(store: EventStore, account: str, cutoff: int) -> MonthUsage:
    return month_usage(store.runs(account, OCTOBER.start, OCTOBER.end, cutoff))


def _timed(number: int, chance: random.Random) -> str:
    """An id made while the month went by."""
    milliseconds = OCTOBER.start // 1000 + number * 1_000_000
    digits = f"{milliseconds:012x}7{chance.getrandbits(12):03x}8{chance.getrandbits(60):015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@pytest.mark.parametrize("kind", ["timed", "random", "both", "texts", "one text", "one revised text"])
def test_a_large_account_is_read_in_parts(engine: sa.Engine, kind: str) -> None:
    """Runs that were revised are in every part, those of another month before among them."""
    chance = random.Random(7)
    store = SqlEventStore(engine)
    made = [False] if kind == "random" else [True, False] if kind == "both" else [True]
    named = [
        _timed(number, chance)
        if made[number % len(made)]
        else str(uuid.UUID(int=chance.getrandbits(128), version=4))
        for number in range(2000)
    ]
    if "text" in kind:
        texts = range(2000) if kind == "texts" else [7] if kind == "one revised text" else [8]
        for number in texts:
            named[number] = f"run {number}"
    ends = [OCTOBER.start - 1 if number % 50 == 7 else OCTOBER.start + number for number in range(2000)]
    states = ["FAILED" if number % 7 == 0 else "COMPLETED" for number in range(2000)]
    store.append([_event("large", *each, 2, "") for each in zip(named, states, ends, strict=True)], NOW)
    store.append([_event("small", named[0], "COMPLETED", OCTOBER.start, 2, "")], NOW)
    later = range(7, 2000, 25)
    store.append(
        [
            _event(
                "large",
                named[number],
                ["ROLLED_BACK", "COMPLETED", "CACHED"][number % 3],
                ends[number] + DAY_US,
                3,
                "",
            )
            for number in later
        ],
        NOW,
    )
    asked = Question(OCTOBER.start, OCTOBER.end, store.cutoff().position)
    numbers = Names(engine).account_ids(["small", "large"])
    found = dict(Months(engine, part=100).usages(list(numbers.values()), asked))
    expected = {each: _one_after_the_other(store, each, asked.cutoff) for each in numbers}
    assert expected["large"].counts.total > 1900
    # Ids of several kinds, and texts, cannot be told apart by parts: such an account is read run by run.
    assert found[numbers["large"]] == (expected["large"] if kind in ("timed", "random") else None)
    assert found[numbers["small"]] == expected["small"]
    assert dict(store.month_usages(["small", "large"], *asked)) == expected


# More than what comes from ClickHouse at once.
_BLOCK = 66_000


def test_a_large_account_comes_in_blocks(store: EventStore) -> None:
    """Runs that were revised are where one may end, and the next begin."""
    chance = random.Random(7)
    ids = sorted(f"{chance.getrandbits(128):032x}" for _ in range(2 * _BLOCK + 1))
    named = ["-".join((each[:8], each[8:12], each[12:16], each[16:20], each[20:])) for each in ids]
    events = [
        _event("large", run, "FAILED" if number % 7 == 0 else "COMPLETED", OCTOBER.start + number, 2, "")
        for number, run in enumerate(named)
    ]
    store.append(events, NOW)
    store.append([_event("small", "r", "COMPLETED", OCTOBER.start, 2, "")], NOW)
    edges = {0, *range(_BLOCK - 3, _BLOCK + 3), *range(2 * _BLOCK - 3, 2 * _BLOCK + 1)}
    later = [
        _event(
            "large",
            named[number],
            "ROLLED_BACK" if number % 2 else "COMPLETED",
            OCTOBER.start + DAY_US + number,
            3,
            "",
        )
        for number in edges
    ]
    store.append(later, NOW)
    cutoff = store.cutoff().position
    found = dict(store.month_usages(["small", "large"], OCTOBER.start, OCTOBER.end, cutoff))
    assert found["large"].counts.total == 2 * _BLOCK + 1
    assert found == {each: _one_after_the_other(store, each, cutoff) for each in ("small", "large")}


def test_text_ids_of_one_account_say_nothing_of_others(engine: sa.Engine) -> None:
    """Revised runs whose keys are as long together as those of two UUIDs."""
    store = SqlEventStore(engine)
    ids = {"a": "x" * 14, "b": "0192d3a4-5b6c-7d8e-9f00-112233445566", "c": "y" * 15}
    for state in ("FAILED", "COMPLETED"):
        store.append([_event(account, run, state, OCTOBER.start, 2, "") for account, run in ids.items()], NOW)
    asked = Question(OCTOBER.start, OCTOBER.end, store.cutoff().position)
    found = dict(store.month_usages(list(ids), *asked))
    assert found == {each: _one_after_the_other(store, each, asked.cutoff) for each in ids}
    numbers = Names(engine).account_ids(list(ids))
    assert dict(Months(engine).usages(list(numbers.values()), asked)) == {
        numbers[each]: usage for each, usage in found.items()
    }, "none is read one by one"


def test_an_account_between_others_is_not_read_with_them_if_it_is_large() -> None:
    """Nobody asked for it; and what is read at once is bounded."""
    assert list(_stretches([1, 3, 4], {1: 1, 2: 30, 3: 1, 4: 1}, 20)) == [[1], [3, 4]]
    assert list(_stretches([1, 3, 4], {1: 1, 2: 3, 3: 1, 4: 1}, 20)) == [[1, 3, 4]]


def test_more_accounts_than_a_statement_takes_parameters(engine: sa.Engine) -> None:
    """PostgreSQL takes 65,535."""
    with engine.connect() as connection:
        assert revised_runs(connection, range(70_000), OCTOBER.start, OCTOBER.end, 1) == {}
