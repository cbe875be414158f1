"""Asks the event store for what shows signs of misuse in a month, and for the months before it where there is
something to compare. The rule is in `metering.signs`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from metering.figures import NEAR_A_SECOND, Asked, RunFigures
from metering.outcome import Outcome
from metering.period import Month
from metering.signs import (
    OUTCOME_KINDS,
    PAST_MONTHS,
    Kind,
    Portion,
    Sign,
    far_shares,
    late_portion,
    near_portion,
    outcome_portion,
    shared_ids,
)
from metering.store import EventStore
from metering.usage import Counts

CountsOf = Mapping[str, Counts]
Corrected = Mapping[str, Sequence[str]]
"""The task runs of each account that the operator ever corrected."""

_OF_RUNS: Mapping[Kind, Callable[[RunFigures, Counts], Portion]] = {
    "just_under_a_second": near_portion,
    "backdated": late_portion,
}


def month_signs(
    store: EventStore, month: Month, corrected: Corrected | None = None, *, runs: bool = True
) -> list[Sign]:
    """The signs of a month. What the operator corrected is no sign of an account's: events alone speak.
    Without `runs` only what the counters tell: the others take a second or two for a million runs of the
    month."""
    said = said_by_events(store, corrected or {})
    months = _months_before(month)
    now, *past = (said(each) for each in (month, *months))
    signs = [sign for kind in OUTCOME_KINDS for sign in _of_outcome(kind, now, past)]
    if runs:
        signs += _of_runs(store, month, now, dict(zip(months, past, strict=True)))
        signs += shared_ids(store.shared_runs(month.start, month.end), now)
    return signs


def said_by_events(store: EventStore, corrected: Corrected) -> Callable[[Month], CountsOf]:
    """The counts of a month as they would be without corrections."""
    moved: dict[Month, dict[str, Counter[Outcome]]] = defaultdict(lambda: defaultdict(Counter))
    cutoff = store.cutoff().position
    for account, runs in corrected.items():
        for as_sent, quantity in ((False, -1), (True, 1)):
            for run in store.find(account, runs, cutoff, as_sent=as_sent).values():
                moved[Month.of(run.ended_at)][account][run.outcome] += quantity

    def counts_of(month: Month) -> CountsOf:
        counts = dict(store.counts_by_account(month.start, month.end))
        for account, change in moved.get(month, {}).items():
            change.update(counts.get(account, Counts()).by_outcome)
            counts[account] = Counts({outcome: quantity for outcome, quantity in change.items() if quantity})
        return counts

    return counts_of


def _months_before(month: Month) -> list[Month]:
    months = [month.previous()]
    while len(months) < PAST_MONTHS:
        months.append(months[-1].previous())
    return months


def _of_outcome(kind: Kind, now: CountsOf, past: Sequence[CountsOf]) -> list[Sign]:
    portions = {account: outcome_portion(kind, counts) for account, counts in now.items()}
    before: dict[str, list[Portion]] = defaultdict(list)
    for each in past:
        for account, counts in each.items():
            before[account].append(outcome_portion(kind, counts))
    return far_shares(kind, portions, before)


def _of_runs(store: EventStore, month: Month, now: CountsOf, past: Mapping[Month, CountsOf]) -> list[Sign]:
    """The months before are asked only of accounts that may show a sign: mostly none."""
    figures = store.run_figures(_asked(month))
    portions = {
        kind: {account: portion(each, now.get(account, Counts())) for account, each in figures.items()}
        for kind, portion in _OF_RUNS.items()
    }
    suspects = sorted(
        {account for held in portions.values() for account, each in held.items() if each.may_be_a_sign}
    )
    before: dict[Kind, dict[str, list[Portion]]] = {kind: defaultdict(list) for kind in _OF_RUNS}
    for earlier, counts in past.items() if suspects else ():
        for account, each in store.run_figures(_asked(earlier), suspects).items():
            for kind, portion in _OF_RUNS.items():
                before[kind][account].append(portion(each, counts.get(account, Counts())))
    told = {account: each for account, each in figures.items() if each.late}
    return [
        _with_lateness(sign, told)
        for kind in _OF_RUNS
        for sign in far_shares(kind, portions[kind], before[kind])
    ]


def _asked(month: Month) -> Asked:
    return Asked(month.start, month.end, NEAR_A_SECOND)


def _with_lateness(sign: Sign, told: Mapping[str, RunFigures]) -> Sign:
    if sign.kind != "backdated":
        return sign
    figures = told[sign.account]
    return sign.with_lateness(figures.after_period, figures.younger)
