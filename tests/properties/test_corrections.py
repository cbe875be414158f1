"""Usage is a function of the set of events and of the last correction of each run, and of nothing else
(docs/rules.md §2): a naive model beside the real stores, with events and corrections in any interleaving."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.event import TaskRunEvent
from metering.outcome import Action
from metering.period import hour_of
from metering.run_list import month_usage
from metering.store import Correction, EventStore, Verdict
from tests.examples import share
from tests.properties.test_usage_is_a_function_of_the_set import _EVENTS, _IDS, FEWER, NOW, OCTOBER
from tests.stores import Stores

_ACCOUNTS = itertools.count()
_BOTH = OCTOBER.start, OCTOBER.next().end

Deed = tuple[Action, list[str]] | list[TaskRunEvent]
_DEEDS = st.lists(
    st.one_of(
        st.lists(_EVENTS, min_size=1, max_size=4),
        st.tuples(st.sampled_from(Action), st.lists(_IDS, min_size=1, max_size=3)),
    ),
    max_size=8,
)

_ORDER = ["reversed", "billable", "too_short", "cached", "cancelled", "crashed", "failed"]


@dataclass
class Naive:
    """What was said of runs, and nothing worked out in advance: the rules, read aloud."""

    events: dict[str, list[TaskRunEvent]] = field(default_factory=lambda: defaultdict(list))
    word: dict[str, Action] = field(default_factory=dict)

    def holds(self, run: str) -> tuple[str, TaskRunEvent]:
        """The outcome, and the event that places the run."""
        said = [(_says(each), each) for each in self.events[run]]
        if self.word.get(run) is Action.RESTORE:
            others = [each for each in said if each[0] != "reversed"]
            said = others or [("billable" if _long(each) else "too_short", each) for _, each in said]
        reason, event = min(said, key=_precedence)
        return ("reversed" if self.word.get(run) is Action.REVERSE else reason), event

    def correct(self, action: Action, ids: Sequence[str]) -> list[Verdict]:
        verdicts = []
        held = {run: self.holds(run)[0] for run in ids if self.events[run]}
        for run in ids:
            if run not in held:
                verdicts.append(Verdict.NOT_HELD)
            elif (held[run] == "reversed") == (action is Action.REVERSE):
                verdicts.append(Verdict.UNCHANGED)
            else:
                verdicts.append(Verdict.CORRECTED)
                self.word[run] = action
        return verdicts

    def counts(self) -> dict[tuple[int, str, str], dict[str, int]]:
        """By hour, workspace and flow."""
        found: dict[tuple[int, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for run, said in self.events.items():
            if said:
                reason, event = self.holds(run)
                found[hour_of(event.ended_at), event.workspace, event.flow][reason] += 1
        return found

    def listed(self) -> list[tuple[str, str, int, int, str, str, str]]:
        rows = []
        for run in sorted((run for run in self.events if self.events[run]), key=str.encode):
            reason, each = self.holds(run)
            rows.append(
                (run, reason, each.ended_at, each.duration_us, each.workspace, each.flow, each.source)
            )
        return rows


def _long(event: TaskRunEvent) -> bool:
    return event.duration_us > 1_000_000


def _says(event: TaskRunEvent) -> str:
    completed = "billable" if _long(event) else "too_short"
    return {
        "ROLLED_BACK": "reversed",
        "CACHED": "billable" if _long(event) else "cached",
        "COMPLETED": completed,
    }.get(event.state, event.state.lower())


def _precedence(said: tuple[str, TaskRunEvent]) -> tuple[Any, ...]:
    reason, each = said
    return _ORDER.index(reason), each.ended_at, each.duration_us, each.source, each.flow, each.workspace


def _named(account: str, events: Sequence[TaskRunEvent]) -> list[TaskRunEvent]:
    return [
        TaskRunEvent(account, *(getattr(event, name) for name in TaskRunEvent.__struct_fields__[1:]))
        for event in events
    ]


def _listed(store: EventStore, account: str, cutoff: int) -> list[tuple[Any, ...]]:
    return [(run.task_run_id, run.outcome.reason, *run[2:]) for run in store.runs(account, *_BOTH, cutoff)]


def _do(store: EventStore, account: str, deed: Deed, naive: Naive | None = None) -> None:
    if isinstance(deed, list):
        store.append(_named(account, deed), NOW)
        for event in deed if naive else ():
            assert naive is not None
            if event not in naive.events[event.task_run_id]:
                naive.events[event.task_run_id].append(event)
        return
    action, ids = deed
    found = store.correct(account, ids, Correction(action, "a dispute", "ann"), NOW)
    if naive is not None:
        assert found == _repeats_once(naive, action, ids)


def _repeats_once(naive: Naive, action: Action, ids: Sequence[str]) -> list[Verdict]:
    """A run that is named twice in a call gets the same answer twice."""
    different = list(dict.fromkeys(ids))
    verdicts = dict(zip(different, naive.correct(action, different), strict=True))
    return [verdicts[run] for run in ids]


def follows_the_model(store: EventStore, deeds: Sequence[Deed]) -> None:
    """After each deed, every question answers what the model says; and as of each moment, for ever."""
    account, naive = f"account-{next(_ACCOUNTS)}", Naive()
    then = []
    for deed in deeds:
        _do(store, account, deed, naive)
        cutoff = store.cutoff().position
        listed = naive.listed()
        assert _listed(store, account, cutoff) == listed
        then.append((cutoff, listed))
        for group_by, place in (("workspace", 1), ("flow", 2)):
            wanted: dict[tuple[int, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
            for key, counts in naive.counts().items():
                for reason, quantity in counts.items():
                    wanted[key[0], key[place]][reason] += quantity
            usage = store.usage(account, *_BOTH, by="hour", group_by=group_by)  # type: ignore[arg-type]
            got = {
                (hour_of(w.start), w.workspace if group_by == "workspace" else w.flow): {
                    outcome.reason: quantity for outcome, quantity in w.counts.by_outcome.items()
                }
                for w in usage.windows
            }
            assert got == wanted
        for by in ("day", "month"):
            assert store.usage(account, *_BOTH, by=by).counts == usage.counts  # type: ignore[arg-type]
    for cutoff, listed in then:
        assert _listed(store, account, cutoff) == listed
        for month in (OCTOBER, OCTOBER.next()):
            period = month.start, month.end
            said = month_usage(store.runs(account, *period, cutoff))
            assert dict(store.month_usages([account], *period, cutoff)) == {account: said}
            days = store.days(account, *period, cutoff)
            assert store.days_of({account: period[0]}, period[1], cutoff)[account] == days
            assert {f"{day:%Y-%m-%d}": counts for day, counts in days.items()} == said.by_day


def the_order_of_events_does_not_matter(store: EventStore, case: Any) -> None:
    """Once each run's last correction is the same, in whatever order its events came around it."""
    deeds, shuffled = case
    one, two = f"account-{next(_ACCOUNTS)}", f"account-{next(_ACCOUNTS)}"
    naive = Naive()
    for deed in deeds:
        _do(store, one, deed, naive)
    # The second account hears all events first, in another order, and then the last word on each run.
    store.append(_named(two, shuffled), NOW)
    for run, action in naive.word.items():
        for each in (Action.REVERSE, Action.RESTORE) if action is Action.RESTORE else (action,):
            store.correct(two, [run], Correction(each, "a dispute", "ann"), NOW)
    cutoff = store.cutoff().position
    wanted = naive.listed()
    assert _listed(store, one, cutoff) == wanted
    assert _listed(store, two, cutoff) == wanted
    for group_by in (None, "workspace", "flow", "both"):
        first, second = (store.usage(each, *_BOTH, by="hour", group_by=group_by) for each in (one, two))  # type: ignore[arg-type]
        assert first.windows == second.windows


@st.composite
def _deeds_and_events(draw: st.DrawFn) -> tuple[list[Deed], list[TaskRunEvent]]:
    deeds = draw(_DEEDS)
    events = [event for deed in deeds if isinstance(deed, list) for event in deed]
    return deeds, draw(st.permutations(events))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> EventStore:
    stores: Stores = request.getfixturevalue(f"{request.param}_stores")
    return stores.new()


@pytest.fixture(scope="module")
def clickhouse_store(clickhouse_stores: Stores) -> EventStore:
    return clickhouse_stores.new()


@share(40)
@given(deeds=_DEEDS)
def test_events_and_corrections_in_any_interleaving(store: EventStore, deeds: Any) -> None:
    follows_the_model(store, deeds)


@share(40)
@given(case=_deeds_and_events())
def test_the_order_of_events_around_corrections_does_not_matter(store: EventStore, case: Any) -> None:
    the_order_of_events_does_not_matter(store, case)


@FEWER
@given(deeds=_DEEDS)
def test_events_and_corrections_in_any_interleaving_on_clickhouse(
    clickhouse_store: EventStore, deeds: Any
) -> None:
    follows_the_model(clickhouse_store, deeds)


@FEWER
@given(case=_deeds_and_events())
def test_the_order_of_events_around_corrections_does_not_matter_on_clickhouse(
    clickhouse_store: EventStore, case: Any
) -> None:
    the_order_of_events_does_not_matter(clickhouse_store, case)
