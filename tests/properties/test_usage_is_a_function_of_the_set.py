"""Usage and invoices depend on which events were sent, and on nothing else: not on their order, batching,
duplication or the engine (docs/rules.md §2). Checked against an outcome computed here, another way."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.plans import shipped_catalogue
from billing.pricing.invoice import Basis, compose
from metering.event import TaskRunEvent
from metering.period import HOUR_US, SECOND_US, Month, hour_of, parse_instant
from metering.run_list import month_usage, run_list
from metering.store import EventStore
from metering.usage import WindowSize
from tests.stores import Stores

OCTOBER = Month.parse("2026-10")
NOW = parse_instant("2026-11-30T00:00:00Z")
_ACCOUNTS = itertools.count()

# Few values each, so that events of one run meet in every way: same and other hour, day and month, ties.
_ENDS = st.sampled_from(
    [OCTOBER.start, OCTOBER.start + 1, OCTOBER.start + HOUR_US, OCTOBER.end - 1, OCTOBER.end, OCTOBER.end + 1]
)
_DURATIONS = st.sampled_from([0, 1, SECOND_US - 1, SECOND_US, SECOND_US + 1, 7 * SECOND_US])
_STATES = st.sampled_from(["COMPLETED", "CACHED", "FAILED", "CRASHED", "CANCELLED", "ROLLED_BACK"])
_LABELS = st.sampled_from(["", "a", "B", "é"])
_IDS = st.sampled_from(
    ["0192d3a4-5b6c-7d8e-9f00-112233445566", "00000000-0000-7000-8000-00000000000a", "r", "s"]
)


def _event(
    run: str, state: str, end: int, duration: int, labels: tuple[str, str, str], task: str
) -> TaskRunEvent:
    workspace, flow, source = labels
    return TaskRunEvent("", run, state, end - duration, end, duration, workspace, flow, "", task, source)


_EVENTS = st.builds(
    _event, _IDS, _STATES, _ENDS, _DURATIONS, st.tuples(_LABELS, _LABELS, _LABELS), st.sampled_from(["", "t"])
)
_SETS = st.lists(_EVENTS, max_size=14, unique=True)


@st.composite
def _deliveries(draw: st.DrawFn, events: Sequence[TaskRunEvent]) -> list[list[TaskRunEvent]]:
    """The events in some order, some more than once, in some batches."""
    repeated = draw(st.lists(st.sampled_from(events), max_size=5)) if events else []
    order = draw(st.permutations([*events, *repeated]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    return [list(order[a:b]) for a, b in itertools.pairwise([0, *cuts, len(order)])]


@st.composite
def _two_deliveries(draw: st.DrawFn) -> tuple[list[TaskRunEvent], Any, Any]:
    events = draw(_SETS)
    return events, draw(_deliveries(events)), draw(_deliveries(events))


def _expected(events: Sequence[TaskRunEvent]) -> dict[tuple[int, str, str], dict[str, int]]:
    """Counts by hour, workspace and flow, computed the plain way from the text of the rules."""
    order = ["reversed", "billable", "too_short", "cached", "cancelled", "crashed", "failed"]

    def says(event: TaskRunEvent) -> str:
        long = event.duration_us > 1_000_000
        return {
            "ROLLED_BACK": "reversed",
            "CACHED": "billable" if long else "cached",
            "COMPLETED": "billable" if long else "too_short",
            "CANCELLED": "cancelled",
            "CRASHED": "crashed",
            "FAILED": "failed",
        }[event.state]

    counts: dict[tuple[int, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for run in {event.task_run_id for event in events}:
        mine = [event for event in events if event.task_run_id == run]
        rank = min(order.index(says(event)) for event in mine)
        best = [event for event in mine if order.index(says(event)) == rank]
        for field in ("ended_at", "duration_us", "source", "flow", "workspace"):
            least = min(getattr(event, field) for event in best)
            best = [event for event in best if getattr(event, field) == least]
        chosen = best[0]
        counts[hour_of(chosen.ended_at), chosen.workspace, chosen.flow][order[rank]] += 1
    return counts


def _send(store: EventStore, batches: Sequence[Sequence[TaskRunEvent]]) -> tuple[str, int]:
    """A new account with these batches; answers it and how many events were accepted."""
    account = f"account-{next(_ACCOUNTS)}"
    accepted = 0
    for batch in batches:
        named = [
            TaskRunEvent(account, *(getattr(event, name) for name in TaskRunEvent.__struct_fields__[1:]))
            for event in batch
        ]
        accepted += sum(store.append(named, NOW))
    return account, accepted


def _usage(store: EventStore, account: str, by: WindowSize, group_by: Any) -> list[tuple[Any, ...]]:
    usage = store.usage(account, OCTOBER.start, OCTOBER.next().end, by=by, group_by=group_by)
    windows = [(w.start, w.workspace, w.flow, dict(w.counts.by_outcome)) for w in usage.windows]
    return [("total", dict(usage.counts.by_outcome)), *windows]


def _invoice(store: EventStore, account: str) -> tuple[Any, ...]:
    cutoff = store.cutoff().position
    version = shipped_catalogue()[0]
    usage = month_usage(store.runs(account, OCTOBER.start, OCTOBER.end, cutoff))
    billed = compose(Basis("acme", OCTOBER, "USD", usage.counts, version))
    return usage, billed, b"".join(run_list(store.runs(account, OCTOBER.start, OCTOBER.end, cutoff)))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> EventStore:
    stores: Stores = request.getfixturevalue(f"{request.param}_stores")
    return stores.new()


@pytest.fixture(scope="module")
def clickhouse_store(clickhouse_stores: Stores) -> EventStore:
    return clickhouse_stores.new()


# A question takes ClickHouse milliseconds, however few events it is about: fewer examples in the same time.
FEWER = settings(max_examples=max(settings().max_examples // 10, 1))


@given(case=_two_deliveries())
def test_any_delivery_of_a_set_gives_the_same_usage_and_the_same_invoice(
    store: EventStore, case: Any
) -> None:
    any_delivery_gives_the_same(store, case)


def any_delivery_gives_the_same(store: EventStore, case: Any) -> None:
    events, first, second = case
    one, accepted = _send(store, first)
    two, accepted_again = _send(store, second)
    assert accepted == accepted_again == len(events)
    for by in ("hour", "day", "month"):
        for group_by in (None, "workspace", "flow", "both"):
            assert _usage(store, one, by, group_by) == _usage(store, two, by, group_by)  # type: ignore[arg-type]
    assert _invoice(store, one) == _invoice(store, two)


@given(case=_SETS.flatmap(lambda events: st.tuples(st.just(events), _deliveries(events))))
def test_usage_is_what_the_rules_say_of_the_set(store: EventStore, case: Any) -> None:
    usage_is_what_the_rules_say(store, case)


def usage_is_what_the_rules_say(store: EventStore, case: Any) -> None:
    events, batches = case
    account, _ = _send(store, batches)
    expected = _expected(events)
    for group_by, place in (("workspace", 1), ("flow", 2)):
        wanted: dict[tuple[int, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for key, counts in expected.items():
            for reason, quantity in counts.items():
                wanted[key[0], key[place]][reason] += quantity
        usage = store.usage(account, OCTOBER.start, OCTOBER.next().end, by="hour", group_by=group_by)  # type: ignore[arg-type]
        got = {
            (hour_of(w.start), w.workspace if group_by == "workspace" else w.flow): {
                outcome.reason: quantity for outcome, quantity in w.counts.by_outcome.items()
            }
            for w in usage.windows
        }
        assert got == wanted
    october = month_usage(store.runs(account, OCTOBER.start, OCTOBER.end, store.cutoff().position))
    assert october.counts == store.usage(account, OCTOBER.start, OCTOBER.end).counts


@given(case=_SETS.flatmap(lambda events: st.tuples(st.just(events), _deliveries(events))))
def test_what_counted_at_a_cutoff_counts_for_ever(store: EventStore, case: Any) -> None:
    what_counted_counts_for_ever(store, case)


def what_counted_counts_for_ever(store: EventStore, case: Any) -> None:
    """After each batch, the runs as of that moment; recomputed after all of them, they are the same."""
    _, batches = case
    account, _ = _send(store, [])
    then = []
    for batch in batches:
        named = [
            TaskRunEvent(account, *(getattr(event, name) for name in TaskRunEvent.__struct_fields__[1:]))
            for event in batch
        ]
        store.append(named, NOW)
        cutoff = store.cutoff().position
        seen = list(store.runs(account, OCTOBER.start, OCTOBER.end, cutoff))
        counted = store.usage(account, OCTOBER.start, OCTOBER.end).counts
        then.append((cutoff, seen, counted))
    for cutoff, seen, counted in then:
        assert list(store.runs(account, OCTOBER.start, OCTOBER.end, cutoff)) == seen
        assert month_usage(seen).counts == counted


@FEWER
@given(case=_two_deliveries())
def test_any_delivery_gives_the_same_usage_and_the_same_invoice_on_clickhouse(
    clickhouse_store: EventStore, case: Any
) -> None:
    any_delivery_gives_the_same(clickhouse_store, case)


@FEWER
@given(case=_SETS.flatmap(lambda events: st.tuples(st.just(events), _deliveries(events))))
def test_usage_is_what_the_rules_say_of_the_set_on_clickhouse(
    clickhouse_store: EventStore, case: Any
) -> None:
    usage_is_what_the_rules_say(clickhouse_store, case)


@FEWER
@given(case=_SETS.flatmap(lambda events: st.tuples(st.just(events), _deliveries(events))))
def test_what_counted_at_a_cutoff_counts_for_ever_on_clickhouse(
    clickhouse_store: EventStore, case: Any
) -> None:
    what_counted_counts_for_ever(clickhouse_store, case)
