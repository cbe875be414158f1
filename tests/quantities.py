"""Task runs by the thousand, for tests of what months cost: a million runs are one row here.

A `Batch` says the same of many runs at once. `QuantityStore` keeps batches as an `EventStore` does events,
with the same rules for which statement of a run holds and as of which commit; `events_of` spells a batch out
for the real stores. `Sender` chooses the runs that a sentence such as "200 of them were reversed" is about.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

from metering.durations import BillableMonths, DurationsAsked, RunDurations, Tally, counts_from
from metering.event import TaskRunEvent
from metering.figures import Asked, RunFigures, SharedRuns, last_commits
from metering.outcome import Action, Outcome, Statement, changes_nothing, classify, judged
from metering.period import DAY_US, HOUR_US, SECOND_US, Month, day_of, day_start
from metering.run_list import MonthUsage, month_usage
from metering.store import Correction, Cutoff, Noting, Place, Verdict
from metering.store.month_counts import billable_months_of
from metering.usage import Counts, GroupBy, Run, Usage, WindowSize, group_window

DURATION_US = 5 * SECOND_US
# When the runs of a day end, unless they are told apart.
NOON_US = 12 * HOUR_US

STATE = {
    Outcome.BILLABLE: "COMPLETED",
    Outcome.FAILED: "FAILED",
    Outcome.CRASHED: "CRASHED",
    Outcome.CANCELLED: "CANCELLED",
    Outcome.REVERSED: "ROLLED_BACK",
}


class Batch(NamedTuple):
    """One event each of the runs numbered `[first, end)` of an account, equal but for the run."""

    account: str
    first: int
    end: int
    outcome: Outcome
    day: date

    @property
    def statement(self) -> Statement:
        assert classify(STATE[self.outcome], DURATION_US) is self.outcome
        return Statement(self.outcome, day_start(self.day) + NOON_US, DURATION_US, "", "", "")


def run_id(number: int) -> str:
    return f"run-{number:010d}"


def events_of(batch: Batch) -> list[TaskRunEvent]:
    """The batch as a source would have sent it."""
    said = batch.statement
    return [
        TaskRunEvent(
            batch.account,
            run_id(number),
            STATE[batch.outcome],
            said.ended_at - said.duration_us,
            said.ended_at,
            said.duration_us,
        )
        for number in range(batch.first, batch.end)
    ]


@dataclass(frozen=True)
class _Cohort:
    """Runs `[first, end)` of which the same was said, with the position of each commit that said it; and that
    were corrected in the same way."""

    first: int
    end: int
    said: tuple[tuple[int, Statement], ...] = ()
    corrected: tuple[tuple[int, Action], ...] = ()

    def as_of(self, cutoff: int, *, as_sent: bool = False) -> Statement | None:
        said = [statement for position, statement in self.said if position <= cutoff]
        actions = [action for position, action in self.corrected if position <= cutoff and not as_sent]
        return judged(said, actions[-1] if actions else None) if said else None

    @property
    def positions(self) -> list[int]:
        return sorted(position for position, _ in (*self.said, *self.corrected))


@dataclass
class QuantityStore:
    """Implements `metering.store.EventStore` for batches. Nothing is ever forgotten: what was known as of a
    commit can be asked for after any number of later ones."""

    _commits: list[int] = field(default_factory=list)
    _runs: dict[str, list[_Cohort]] = field(default_factory=dict)

    def receive(self, batches: Sequence[Batch], now: int) -> None:
        """Keep batches in one commit."""
        self._commits.append(now)
        for batch in batches:
            self._cut(batch.account, batch.first)
            self._cut(batch.account, batch.end)
            self._say(batch, position=len(self._commits))

    def append(self, events: Sequence[TaskRunEvent], now: int) -> list[bool]:
        raise NotImplementedError("quantities are sent in batches, with `receive`")

    def correct(
        self,
        account: str,
        task_run_ids: Sequence[str],
        correction: Correction,
        now: int,
        *,
        noting: Noting | None = None,
    ) -> list[Verdict]:
        """The ids of neighbours come one after the other. Nothing is kept in an SQL database, and nothing
        noted there."""
        verdicts: list[Verdict] = []
        position = len(self._commits) + 1
        for first, end in _stretches([int(run.removeprefix("run-")) for run in task_run_ids]):
            self._cut(account, first)
            self._cut(account, end)
            cohorts = self._runs[account]
            for at, cohort in enumerate(cohorts):
                if first <= cohort.first and cohort.end <= end:
                    held = cohort.as_of(position)
                    assert held is not None
                    same = changes_nothing(held.outcome, correction.action)
                    verdict = Verdict.UNCHANGED if same else Verdict.CORRECTED
                    verdicts += [verdict] * (cohort.end - cohort.first)
                    if not same:
                        corrected = (*cohort.corrected, (position, correction.action))
                        cohorts[at] = replace(cohort, corrected=corrected)
        assert len(verdicts) == len(task_run_ids), "only runs that were sent are corrected"
        if Verdict.CORRECTED in verdicts:
            self._commits.append(now)
        return verdicts

    def catch_up(self, now: int) -> int:
        """No halves of runs are ever received."""
        return 0

    def cutoff(self) -> Cutoff:
        return Cutoff(len(self._commits), self._commits[-1] if self._commits else None)

    def usage(
        self, account: str, start: int, end: int, *, by: WindowSize = "day", group_by: GroupBy | None = None
    ) -> Usage:
        if start % HOUR_US or end % HOUR_US:
            raise ValueError("a period is of whole hours")
        windows: dict[int, Counter[Outcome]] = defaultdict(Counter)
        for ended_at, outcome, quantity in self._held(account, start, end, len(self._commits)):
            windows[_window(ended_at, by)][outcome] += quantity
        total: Counter[Outcome] = Counter()
        for counts in windows.values():
            total.update(counts)
        return Usage(
            account,
            start,
            end,
            Counts(dict(total)),
            # No run of a batch names a workspace or a flow: they are one group.
            tuple(group_window(at, "\0", group_by, Counts(dict(windows[at]))) for at in sorted(windows)),
        )

    def runs(
        self, account: str, start: int, end: int, cutoff: int, *, as_sent: bool = False, from_id: str = ""
    ) -> Iterator[Run]:
        for cohort in self._runs.get(account, ()):
            held = cohort.as_of(cutoff, as_sent=as_sent)
            if held is not None and start <= held.ended_at < end:
                for number in range(cohort.first, cohort.end):
                    if run_id(number) >= from_id:
                        yield Run(run_id(number), held.outcome, held.ended_at, held.duration_us, "", "")

    def find(
        self, account: str, task_run_ids: Sequence[str], cutoff: int, *, as_sent: bool = False
    ) -> dict[str, Run]:
        wanted = set(task_run_ids)
        ever = self.runs(account, 0, Month(9998, 12).end, cutoff, as_sent=as_sent)
        return {run.task_run_id: run for run in ever if run.task_run_id in wanted}

    def month_usages(
        self, accounts: Sequence[str], start: int, end: int, cutoff: int
    ) -> Iterator[tuple[str, MonthUsage]]:
        for account in accounts:
            yield account, month_usage(self.runs(account, start, end, cutoff))

    def days(self, account: str, start: int, end: int, cutoff: int) -> dict[date, Counts]:
        found: dict[date, Counter[Outcome]] = defaultdict(Counter)
        for ended_at, outcome, quantity in self._held(account, start, end, cutoff):
            found[day_of(ended_at)][outcome] += quantity
        return {day: Counts(dict(found[day])) for day in sorted(found)}

    def days_of(self, since: Mapping[str, int], end: int, cutoff: int) -> dict[str, dict[date, Counts]]:
        return {account: self.days(account, start, end, cutoff) for account, start in since.items()}

    def billable_days(self, account: str, start: int, end: int) -> dict[date, int]:
        days = self.days(account, start, end, len(self._commits))
        return {day: counts.billable for day, counts in days.items() if counts.billable}

    def billable_in(self, account: str, periods: Sequence[tuple[int, int]]) -> list[int]:
        return [sum(self.billable_days(account, *period).values()) for period in periods]

    def unchanged_since(self, account: str, start: int, end: int, cutoff: int) -> bool:
        then, now = (self._held(account, start, end, at) for at in (cutoff, len(self._commits)))
        return sorted(then) == sorted(now)

    def names_as_of(self, account: str, start: int, end: int, cutoff: int | None) -> dict[Place, int]:
        as_of = len(self._commits) if cutoff is None else cutoff
        billable = sum(counts.billable for counts in self.days(account, start, end, as_of).values())
        return {("", ""): billable} if billable else {}

    def accounts_in(self, start: int, end: int) -> set[str]:
        return set(self.counts_by_account(start, end))

    def accounts_with_runs(self, accounts: Sequence[str], start: int, end: int) -> set[str]:
        return {account for account in accounts if self.usage(account, start, end).counts.total}

    def counts_by_account(self, start: int, end: int) -> dict[str, Counts]:
        return {
            account: self.usage(account, start, end).counts
            for account, cohorts in self._runs.items()
            if any(_was_in(cohort, start, end) for cohort in cohorts)
        }

    def billable_months(self, start: int, end: int) -> BillableMonths:
        return billable_months_of(self, start, end)

    def run_durations(
        self, asked: DurationsAsked, accounts: Sequence[str] | None = None
    ) -> dict[str, RunDurations]:
        found = {}
        for account in self._runs if accounts is None else accounts:
            tally = Tally(asked)
            for cohort in self._runs.get(account, ()):
                said = [statement for _, statement in cohort.said]
                if said:
                    tally.add(said, _last_action(cohort), cohort.end - cohort.first)
            if (figures := tally.figures()) is not None:
                found[account] = figures
        return found

    def days_at(
        self, accounts: Sequence[str], start: int, end: int, threshold_us: int
    ) -> dict[str, dict[date, int]]:
        found: dict[str, dict[date, int]] = {}
        for account in accounts:
            days: Counter[date] = Counter()
            for cohort in self._runs.get(account, ()):
                said = [statement for _, statement in cohort.said]
                at = counts_from(said, _last_action(cohort), threshold_us) if said else None
                if at is not None and start <= at < end:
                    days[day_of(at)] += cohort.end - cohort.first
            found[account] = {day: days[day] for day in sorted(days)}
        return found

    def run_figures(self, asked: Asked, accounts: Sequence[str] | None = None) -> dict[str, RunFigures]:
        """Each run takes five seconds, and has an id that tells no time."""
        days = [(at // DAY_US, position) for position, at in enumerate(self._commits, 1)]
        last = last_commits(asked, days)
        found = {}
        for account in self._runs if accounts is None else accounts:
            bands = [0] * (len(asked.edges) + 1)
            late, after = 0, 0
            ever = len(self._commits)
            for cohort in self._runs.get(account, ()):
                held = cohort.as_of(ever)
                if held is None or not asked.start <= held.ended_at < asked.end:
                    continue
                runs = (cohort.end - cohort.first) * (held.outcome is Outcome.BILLABLE)
                bands[bisect_left(asked.edges, held.duration_us)] += runs
                told = min(position for position, _ in cohort.said)
                is_late = told > last.in_time[held.ended_at // DAY_US - last.first_day]
                late += runs * is_late
                after += runs * (is_late and told > last.of_period)
            if self.usage(account, asked.start, asked.end).counts.total:
                found[account] = RunFigures(tuple(bands), late, after)
        return found

    def shared_runs(self, start: int, end: int) -> list[SharedRuns]:
        """No id is a UUID."""
        return []

    def has_account(self, account: str) -> bool:
        return account in self._runs

    def settle(self, *, if_much: bool = False) -> None:
        pass

    def close(self) -> None:
        pass

    def _held(self, account: str, start: int, end: int, cutoff: int) -> Iterator[tuple[int, Outcome, int]]:
        for cohort in self._runs.get(account, ()):
            held = cohort.as_of(cutoff)
            if held is not None and start <= held.ended_at < end:
                yield held.ended_at, held.outcome, cohort.end - cohort.first

    def _cut(self, account: str, number: int) -> None:
        """No cohort goes across `number`."""
        cohorts = self._runs.setdefault(account, [])
        at = bisect_left(cohorts, number, key=lambda cohort: cohort.end)
        if at < len(cohorts) and cohorts[at].first < number < cohorts[at].end:
            whole = cohorts[at]
            cohorts[at : at + 1] = [replace(whole, end=number), replace(whole, first=number)]

    def _say(self, batch: Batch, position: int) -> None:
        told = []
        next_new = batch.first
        for cohort in self._runs[batch.account]:
            if batch.first <= cohort.first and cohort.end <= batch.end:
                assert cohort.first == next_new, "a batch is of new runs, or of runs that were sent"
                next_new = cohort.end
                if all(statement != batch.statement for _, statement in cohort.said):
                    told.append(replace(cohort, said=(*cohort.said, (position, batch.statement))))
                    continue
            told.append(cohort)
        if next_new < batch.end:
            told.append(_Cohort(next_new, batch.end, ((position, batch.statement),)))
        self._runs[batch.account] = sorted(told, key=lambda cohort: cohort.first)


def _last_action(cohort: _Cohort) -> Action | None:
    return cohort.corrected[-1][1] if cohort.corrected else None


def _was_in(cohort: _Cohort, start: int, end: int) -> bool:
    """Whether the runs counted in the period as of any commit."""
    held = (cohort.as_of(position) for position in cohort.positions)
    return any(each is not None and start <= each.ended_at < end for each in held)


def _stretches(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Numbers that follow one another, as the first and the end."""
    first = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield numbers[first], numbers[at - 1] + 1
            first = at


def _window(instant: int, by: WindowSize) -> int:
    if by == "month":
        return Month.of(instant).start
    return instant - instant % (DAY_US if by == "day" else HOUR_US)


@dataclass
class Sender:
    """A source of an account's runs: sends new ones, and says something else of some that it sent. It takes
    the runs that it sent last."""

    account: str
    _next: int = 0
    _sent: list[tuple[int, int, Outcome, date]] = field(default_factory=list)

    def new(self, quantity: int, day: date, outcome: Outcome = Outcome.BILLABLE) -> list[Batch]:
        """So many runs that nobody has heard of yet."""
        first, self._next = self._next, self._next + quantity
        return self._say([(first, self._next)], outcome, day)

    def again(self, quantity: int, day: date, outcome: Outcome, *, to: Outcome, to_day: date) -> list[Batch]:
        """Another event of so many of the runs that now have `outcome` on `day`, which wins. Raises
        ValueError if there are not so many."""
        found: list[tuple[int, int]] = []
        for piece in reversed([each for each in self._sent if each[2:] == (outcome, day)]):
            if quantity:
                first = max(piece[0], piece[1] - quantity)
                self._sent.remove(piece)
                if piece[0] < first:
                    self._sent.append((piece[0], first, outcome, day))
                found.append((first, piece[1]))
                quantity -= piece[1] - first
        if quantity:
            raise ValueError(f"{self.account} lacks {quantity:,} {outcome.reason} runs on {day}")
        return self._say(found, to, to_day)

    def corrected(self, quantity: int, day: date, outcome: Outcome, *, to: Outcome) -> list[str]:
        """The ids of so many of the runs that now have `outcome` on `day`, which the operator's word changes.
        Raises ValueError if there are not so many."""
        pieces = self.again(quantity, day, outcome, to=to, to_day=day)
        return [run_id(number) for piece in pieces for number in range(piece.first, piece.end)]

    def held(self, day: date, outcome: Outcome = Outcome.BILLABLE) -> int:
        return sum(end - first for first, end, *what in self._sent if what == [outcome, day])

    def _say(self, pieces: list[tuple[int, int]], outcome: Outcome, day: date) -> list[Batch]:
        self._sent += [(first, end, outcome, day) for first, end in pieces]
        return [Batch(self.account, first, end, outcome, day) for first, end in pieces if end > first]
