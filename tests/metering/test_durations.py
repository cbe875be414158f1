"""How many runs would count at other thresholds, and what the counters have of months, on every engine."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter, defaultdict
from datetime import date

import pytest

from metering.durations import DurationsAsked, RunDurations, Tally, counts_from
from metering.event import TaskRunEvent
from metering.outcome import THRESHOLD_US, Action, Outcome, Statement, classify, judged
from metering.period import DAY_US, Month, day_of, parse_instant
from metering.store import Correction, EventStore
from metering.store.buckets import month_number

OCTOBER = Month(2026, 10)
NOW = parse_instant("2026-11-02T00:00:00Z")
THRESHOLDS = (500_000, 1_000_000, 2_000_000)
ASKED = DurationsAsked(OCTOBER.start, OCTOBER.end, (500_000, 1_000_000, 1_500_000, 2_000_000), THRESHOLDS)
_ORDER = ("ROLLED_BACK", "BILLABLE", "SHORT", "CACHED", "CANCELLED", "CRASHED", "FAILED")


def event(
    run: str, state: str, duration_us: int, ended_at: int = OCTOBER.start, account: str = "acme"
) -> TaskRunEvent:
    return TaskRunEvent(account, run, state, 0, ended_at, duration_us)


def test_a_worked_example(store: EventStore) -> None:
    """At half a second 600 ms count, also of a cached run; at two seconds only what takes longer."""
    told = [("a", "COMPLETED", 500_000), ("b", "COMPLETED", 600_000), ("c", "COMPLETED", 1_000_001)]
    told += [("d", "COMPLETED", 2_000_000), ("e", "COMPLETED", 2_000_001), ("f", "CACHED", 600_000)]
    told += [("g", "FAILED", 9_000_000), ("h", "ROLLED_BACK", 9_000_000)]
    store.append([event(*each) for each in told], NOW)
    expected = RunDurations((1, 1, 1, 1, 1), (0, 1, 0, 0, 0), (5, 3, 1))
    assert store.run_durations(ASKED) == {"acme": expected}
    assert store.run_durations(ASKED, ["acme", "nobody"]) == {"acme": expected}
    assert store.run_durations(ASKED, []) == store.run_durations(ASKED, ["nobody"]) == {}
    days = store.days_at(["acme", "nobody"], OCTOBER.start, OCTOBER.end, 500_000)
    assert days == {"acme": {date(2026, 10, 1): 5}, "nobody": {}}
    store.correct("acme", ["e", "h"], Correction(Action.REVERSE, "", ""), NOW)
    store.correct("acme", ["h"], Correction(Action.RESTORE, "", ""), NOW)
    # One that is restored is read as a completion, of nine seconds.
    assert store.run_durations(ASKED)["acme"] == RunDurations((1, 1, 1, 1, 1), (0, 1, 0, 0, 0), (5, 3, 1))
    assert store.days_at(["acme"], OCTOBER.start, OCTOBER.end, 2_000_000) == {"acme": {date(2026, 10, 1): 1}}


def test_whatever_is_said_in_whatever_order(store: EventStore) -> None:
    """Random histories with revisions and corrections, judged one run after the other, state by state."""
    chance = random.Random(11)
    said: dict[tuple[str, str], list[tuple[str, int, int]]] = defaultdict(list)
    actions: dict[tuple[str, str], Action] = {}
    for round_ in range(12):
        batch: dict[tuple[str, str], TaskRunEvent] = {}
        for _ in range(10):
            ended_at = OCTOBER.start + chance.randrange(-20, 50) * DAY_US + chance.randrange(DAY_US)
            one = event(
                f"run-{chance.randrange(14)}",
                chance.choice(["COMPLETED"] * 4 + ["CACHED"] * 2 + ["FAILED", "ROLLED_BACK"]),
                chance.choice([400_000, 500_000, 700_000, 1_000_000, 1_200_000, 2_000_000, 3_000_000]),
                ended_at,
                chance.choice("ab"),
            )
            batch[one.account, one.task_run_id] = one
        store.append(list(batch.values()), NOW + round_)
        for key, one in batch.items():
            said[key].append((one.state, one.duration_us, one.ended_at))
        account, run = chance.choice(list(said))
        action = chance.choice(list(Action))
        store.correct(account, [run], Correction(action, "", ""), NOW + round_)
        held = judged([_statement(each) for each in said[account, run]], actions.get((account, run)))
        if (held.outcome is Outcome.REVERSED) != (action is Action.REVERSE):
            actions[account, run] = action
        assert store.run_durations(ASKED) == _one_after_the_other(said, actions)
        for threshold in THRESHOLDS:
            days = store.days_at(["a", "b"], OCTOBER.start, OCTOBER.end, threshold)
            assert days == {name: _days(name, said, actions, threshold) for name in "ab"}


def _statement(told: tuple[str, int, int]) -> Statement:
    outcome = classify(told[0], told[1])
    assert outcome is not None
    return Statement(outcome, told[2], told[1], "", "", "")


def _at(told: list[tuple[str, int, int]], action: Action | None, threshold: int) -> int | None:
    """By the rules of another threshold, from the states as they were sent."""

    def rank(each: tuple[str, int, int]) -> tuple[int, int, int]:
        state, duration, ended_at = each
        if state in ("COMPLETED", "CACHED"):
            state = "BILLABLE" if duration > threshold else {"COMPLETED": "SHORT"}.get(state, state)
        return _ORDER.index(state), ended_at, duration

    if action is Action.REVERSE:
        return None
    if action is Action.RESTORE:
        others = [each for each in told if each[0] != "ROLLED_BACK"]
        told = others or [("COMPLETED", *each[1:]) for each in told]
    best = min(told, key=rank)
    return best[2] if _ORDER[rank(best)[0]] == "BILLABLE" else None


def _one_after_the_other(
    said: dict[tuple[str, str], list[tuple[str, int, int]]], actions: dict[tuple[str, str], Action]
) -> dict[str, RunDurations]:
    found: dict[str, tuple[list[int], list[int], list[int]]] = {}
    for key, told in said.items():
        bands, cached, billable = found.setdefault(key[0], ([0] * 5, [0] * 5, [0] * 3))
        holds = judged([_statement(each) for each in told], actions.get(key))
        if OCTOBER.start <= holds.ended_at < OCTOBER.end:
            place = bisect_left(ASKED.edges, holds.duration_us)
            bands[place] += holds.outcome in (Outcome.BILLABLE, Outcome.TOO_SHORT)
            cached[place] += holds.outcome is Outcome.CACHED
        for number, threshold in enumerate(THRESHOLDS):
            at = _at(told, actions.get(key), threshold)
            billable[number] += at is not None and OCTOBER.start <= at < OCTOBER.end
    figures = {name: RunDurations(*(tuple(each) for each in sums)) for name, sums in found.items()}
    return {name: each for name, each in figures.items() if any(map(any, each))}


def _days(
    name: str,
    said: dict[tuple[str, str], list[tuple[str, int, int]]],
    actions: dict[tuple[str, str], Action],
    threshold: int,
) -> dict[date, int]:
    days: Counter[date] = Counter()
    for key, told in said.items():
        at = _at(told, actions.get(key), threshold) if key[0] == name else None
        if at is not None and OCTOBER.start <= at < OCTOBER.end:
            days[day_of(at)] += 1
    return {day: days[day] for day in sorted(days)}


def test_at_the_threshold_of_today_nothing_changes() -> None:
    said = [
        Statement(Outcome.BILLABLE, 5, 3_000_000, "", "", ""),
        Statement(Outcome.TOO_SHORT, 1, 9, "", "", ""),
    ]
    assert counts_from(said, None, THRESHOLD_US) == judged(said, None).ended_at == 5
    assert counts_from(said, None, 0) == 1


def test_a_threshold_is_an_edge() -> None:
    with pytest.raises(ValueError, match="an edge"):
        Tally(DurationsAsked(0, 1, (10,), (11,)))


def test_billable_months_in_columns(store: EventStore) -> None:
    september = OCTOBER.previous()
    store.append([event(f"s{n}", "COMPLETED", 2_000_000, september.start) for n in range(3)], NOW)
    store.append([event(f"o{n}", "COMPLETED", 2_000_000, account="b") for n in range(2)], NOW)
    store.append([event("o2", "FAILED", 2_000_000, account="c"), event("o3", "COMPLETED", 2_000_000)], NOW)
    found = store.billable_months(september.start, OCTOBER.end)
    rows = zip(found.account.tolist(), found.month.tolist(), found.billable.tolist(), strict=True)
    assert sorted((found.accounts[account], month, runs) for account, month, runs in rows) == [
        ("acme", month_number(september.start), 3),
        ("acme", month_number(OCTOBER.start), 1),
        ("b", month_number(OCTOBER.start), 2),
    ]
    nothing = store.billable_months(OCTOBER.end, OCTOBER.next().end)
    assert len(nothing.accounts) == len(nothing.account) == len(nothing.billable) == 0
