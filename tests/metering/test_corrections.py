"""The operator's corrections of task runs, on every engine."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from metering.outcome import Action, Outcome, Statement, judged
from metering.period import Month, parse_instant
from metering.run_list import month_usage
from metering.store import Correction, EventStore, Verdict
from metering.store.corrections import recorded
from tests.events import event, runs
from tests.stores import Stores

OCTOBER = Month.parse("2026-10")
NOVEMBER = OCTOBER.next()
NOW = parse_instant("2026-11-02T00:00:00Z")
UUID = "0192d3a4-5b6c-7d8e-9f00-112233445566"
OLD_UUID = "00000000-0000-4000-8000-00000000000a"
REVERSE = Correction(Action.REVERSE, "a dispute", "ann")
RESTORE = Correction(Action.RESTORE, "settled", "ben")
DONE, SAME, NOT_HELD = Verdict.CORRECTED, Verdict.UNCHANGED, Verdict.NOT_HELD


def counted(store: EventStore, month: Month = OCTOBER, account: str = "acme") -> dict[str, int]:
    """The counts of a month, which every question agrees on."""
    period = (month.start, month.end)
    usage = store.usage(account, *period)
    cutoff = store.cutoff().position
    listed = list(store.runs(account, *period, cutoff))
    said = month_usage(listed)
    assert said.counts == usage.counts
    assert dict(store.month_usages([account], *period, cutoff)) == {account: said}
    days = store.days(account, *period, cutoff)
    assert days == store.days_of({account: period[0]}, period[1], cutoff)[account]
    assert sum(each.total for each in days.values()) == usage.counts.total
    for by, group_by in (("hour", "flow"), ("day", "workspace"), ("month", None)):
        assert store.usage(account, *period, by=by, group_by=group_by).counts == usage.counts  # type: ignore[arg-type]
    billable = {day: each.billable for day, each in days.items() if each.billable}
    assert store.billable_days(account, *period) == billable
    assert store.counts_by_account(*period).get(account, usage.counts) == usage.counts
    assert store.accounts_with_runs([account], *period) == ({account} if usage.counts.total else set())
    if usage.counts.total:
        assert account in store.accounts_in(*period)
    sent = list(store.runs(account, 0, 2**55, cutoff, as_sent=True))
    assert store.held(account, [run.task_run_id for run in sent]) == {
        run.task_run_id: run.outcome for run in sent
    }
    return {outcome.reason: quantity for outcome, quantity in usage.counts.by_outcome.items()}


def test_reversed_and_restored(store: EventStore) -> None:
    store.append([event(UUID), event("b"), event("c", state="FAILED"), event(UUID, account="other")], NOW)
    assert store.correct("acme", [UUID, "c", "nobody's", UUID], REVERSE, NOW) == [DONE, DONE, NOT_HELD, DONE]
    assert counted(store) == {"billable": 1, "reversed": 2}
    assert counted(store, account="other") == {"billable": 1}
    assert store.correct("acme", [UUID, "b"], REVERSE, NOW) == [SAME, DONE]
    assert store.correct("acme", ["b", "c", UUID], RESTORE, NOW) == [DONE, DONE, DONE]
    assert counted(store) == {"billable": 2, "failed": 1}
    assert store.correct("acme", ["b", "c"], RESTORE, NOW) == [SAME, SAME]
    assert store.correct("nobody", ["b"], REVERSE, NOW) == [NOT_HELD]
    assert store.correct("acme", [], REVERSE, NOW) == []


def test_what_changes_nothing_takes_no_position(store: EventStore) -> None:
    store.append([event("a"), event("b", state="ROLLED_BACK")], NOW)
    before = store.cutoff()
    assert store.correct("acme", ["a"], RESTORE, NOW + 1) == [SAME]
    assert store.correct("acme", ["b"], REVERSE, NOW + 1) == [SAME]
    assert store.correct("acme", ["c"], REVERSE, NOW + 1) == [NOT_HELD]
    assert store.cutoff() == before
    assert store.correct("acme", ["a"], REVERSE, NOW + 1) == [DONE]
    after = store.cutoff()
    assert after.position > before.position and after.committed_at == NOW + 1


@pytest.mark.parametrize("run", ["run-1", UUID, OLD_UUID])
def test_an_events_rollback_is_overridden(store: EventStore, run: str) -> None:
    """The run is where its completion is; where there is none, the rollback is read as one."""
    store.append([event(run, end="2026-10-31T23:00:00Z", flow="etl")], NOW)
    store.append([event(run, state="ROLLED_BACK", end="2026-11-01T00:00:01Z", flow="elt")], NOW)
    store.append([event(run + "0", state="ROLLED_BACK"), event("s", state="ROLLED_BACK", duration_us=5)], NOW)
    assert counted(store) == {"reversed": 2}
    assert counted(store, NOVEMBER) == {"reversed": 1}
    assert store.correct("acme", [run, run + "0", "s"], RESTORE, NOW) == [DONE] * 3
    assert counted(store) == {"billable": 2, "too_short": 1}
    assert counted(store, NOVEMBER) == {}
    windows = store.usage("acme", OCTOBER.start, OCTOBER.end, group_by="flow").windows
    assert ("etl", 1) in [(window.flow, window.counts.billable) for window in windows]
    # Reversed again, by the operator: where its winner is, which is the rollback.
    assert store.correct("acme", [run], REVERSE, NOW) == [DONE]
    assert counted(store) == {"billable": 1, "too_short": 1}
    assert counted(store, NOVEMBER) == {"reversed": 1}
    assert store.accounts_in(NOVEMBER.start, NOVEMBER.end) == ["acme"]
    assert store.correct("acme", [run], RESTORE, NOW) == [DONE]
    assert counted(store, NOVEMBER) == {}
    # Once there: a month that was invoiced then is looked at again.
    assert store.accounts_in(NOVEMBER.start, NOVEMBER.end) == ["acme"]
    assert store.counts_by_account(NOVEMBER.start, NOVEMBER.end)["acme"].total == 0


def test_later_events_are_judged_under_the_correction_that_holds(store: EventStore) -> None:
    store.append([event("a", state="FAILED"), event("b", state="ROLLED_BACK")], NOW)
    store.correct("acme", ["a"], REVERSE, NOW)
    store.correct("acme", ["b"], RESTORE, NOW)
    assert counted(store) == {"reversed": 1, "billable": 1}
    late = [
        event("a", end="2026-11-05T00:00:00Z"),
        event("b", state="ROLLED_BACK", end="2026-10-01T00:00:05Z"),
    ]
    assert store.append(late, NOW) == [True, True]
    # The completion of `a` places it; what is rolled back again stays restored, by its earliest end.
    assert counted(store) == {"billable": 1}
    assert counted(store, NOVEMBER) == {"reversed": 1}
    assert store.append([event("b", state="CRASHED")], NOW) == [True]
    assert counted(store) == {"crashed": 1}
    assert store.correct("acme", ["a"], RESTORE, NOW) == [DONE]
    assert counted(store, NOVEMBER) == {"billable": 1}


def test_as_of_a_cutoff_only_what_was_recorded_by_then_holds(store: EventStore) -> None:
    ids = [UUID, OLD_UUID, "r"]
    store.append([event(run) for run in ids], NOW)
    steps = [store.cutoff().position]
    for asked in (REVERSE, RESTORE, REVERSE):
        store.correct("acme", ids[:2], asked, NOW)
        steps.append(store.cutoff().position)

    def billable(cutoff: int) -> int:
        period = (OCTOBER.start, OCTOBER.end)
        said = month_usage(store.runs("acme", *period, cutoff))
        assert dict(store.month_usages(["acme"], *period, cutoff))["acme"] == said
        days = store.days("acme", *period, cutoff)
        assert store.days_of({"acme": period[0]}, period[1], cutoff)["acme"] == days
        assert sum(each.billable for each in days.values()) == said.counts.billable
        return said.counts.billable

    assert [billable(cutoff) for cutoff in steps] == [3, 1, 3, 1]


def test_the_record(stores: Stores) -> None:
    store = stores.new()
    engine = stores.engine_of(store)
    store.append([event("a"), event(UUID), event("a", account="other")], NOW)
    store.correct("acme", [UUID, "a"], REVERSE, NOW)
    store.correct("other", ["a"], REVERSE._replace(author="key key_1"), NOW + 1)
    store.correct("acme", ["a"], RESTORE, parse_instant("2026-12-01T00:00:00Z"))

    def ids(**which: object) -> list[tuple[str, str, str]]:
        found = recorded(engine, limit=10, **which)  # type: ignore[arg-type]
        return [(each.account, each.task_run_id, each.action.text) for each in found]

    assert ids() == [
        ("acme", UUID, "reverse"),
        ("acme", "a", "reverse"),
        ("other", "a", "reverse"),
        ("acme", "a", "restore"),
    ]
    assert ids(account="acme", task_run_id="a") == [("acme", "a", "reverse"), ("acme", "a", "restore")]
    assert ids(month=Month.parse("2026-12")) == [("acme", "a", "restore")]
    first, second, *_ = recorded(engine, limit=3)
    assert (first.reason, first.author, first.recorded_at) == ("a dispute", "ann", NOW)
    assert recorded(engine, after=(first.position, first.place), limit=1) == [second]
    store.close()


def test_ten_thousand_runs_at_once(store: EventStore) -> None:
    sent = runs(10_000) + runs(10, prefix="other")
    store.append(sent, NOW)
    ids = [each.task_run_id for each in sent[:10_000]]
    assert set(store.correct("acme", ids, REVERSE, NOW)) == {DONE}
    assert counted(store) == {"reversed": 10_000, "billable": 10}


def test_a_month_in_columns(store: EventStore) -> None:
    """Runs that all have UUIDs are never read one by one; some of their bytes end with zeros."""
    ids = [f"00000000-0000-7000-8000-{number:010x}00" for number in range(60)]
    here, there = "2026-10-31T23:59:59Z", "2026-11-01T00:00:01Z"
    store.append([event(run, end=here) for run in ids], NOW)
    store.append([event(run, state="ROLLED_BACK", end=there) for run in ids[:20]], NOW)
    store.append([event(run, account="other", end=here) for run in ids], NOW)
    store.correct("acme", ids[10:40], REVERSE, NOW)
    store.correct("acme", ids[5:30], RESTORE, NOW)
    assert counted(store) == {"billable": 45, "reversed": 10}
    assert counted(store, NOVEMBER) == {"reversed": 5}
    assert counted(store, account="other") == {"billable": 60}


def _said(*outcomes: tuple[Outcome, int]) -> Sequence[Statement]:
    return [Statement(outcome, end, 5_000_000, "", "", "") for outcome, end in outcomes]


def test_a_restored_run_of_rollbacks_alone_is_a_completion_that_wins_as_completions_do() -> None:
    short = Statement(Outcome.REVERSED, NOW, 1, "", "", "")
    long = Statement(Outcome.REVERSED, NOW + 1, 2_000_000, "", "", "")
    assert judged([short, long], Action.RESTORE) == long._replace(outcome=Outcome.BILLABLE)
    assert judged([short], Action.RESTORE) == short._replace(outcome=Outcome.TOO_SHORT)
    assert judged(_said((Outcome.FAILED, 1), (Outcome.BILLABLE, 2)), Action.REVERSE).ended_at == 2
