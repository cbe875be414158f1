"""How long runs took, and which of them would count if the threshold were another: pure.

What a source says of a run does not depend on the rule; what it comes to does. Under another threshold each
event is read again, and the run is judged by all of them (docs/rules.md §2): so a run may count in another
month than it does now, and a cached one that took longer than the threshold counts as a completion.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from metering.outcome import Action, Outcome, Statement, judged

# What an event says that may count under some threshold.
COMPLETIONS = (Outcome.BILLABLE, Outcome.TOO_SHORT, Outcome.CACHED)


class DurationsAsked(NamedTuple):
    """Runs that end in `[start, end)`; `edges`, ascending, in microseconds, cut durations into bands, and an
    edge belongs to the band below it. Every threshold is an edge."""

    start: int
    end: int
    edges: tuple[int, ...]
    thresholds: tuple[int, ...] = ()

    def band(self, duration_us: int) -> int:
        """
        >>> asked = DurationsAsked(0, 1, (10, 20))
        >>> [asked.band(each) for each in (10, 11, 20, 21)]
        [0, 1, 1, 2]
        """
        return bisect_left(self.edges, duration_us)


class RunDurations(NamedTuple):
    """Runs of an account. `bands`: completions, billable or too short now, by duration; `cached` those that
    are cached now. `billable`: how many would count at each threshold that was asked for."""

    bands: tuple[int, ...]
    cached: tuple[int, ...]
    billable: tuple[int, ...]


class BillableMonths(NamedTuple):
    """Billable runs of accounts and months, in columns of one length: `account` is a place in `accounts`,
    `month` counts from January 1970. Rows with none are left out."""

    accounts: Sequence[str]
    account: Any
    month: Any
    billable: Any


def counts_from(statements: Iterable[Statement], correction: Action | None, threshold_us: int) -> int | None:
    """The instant under which a run counts if only what takes longer than the threshold does; None: it does
    not count. At the threshold of today that is where `judged` says that it is billable.

    >>> said = [Statement(Outcome.TOO_SHORT, 7, 600_000, "", "", "")]
    >>> counts_from(said, None, 500_000), counts_from(said, None, 600_000)
    (7, None)
    """
    said = list(statements)
    reversed_ = any(each.outcome is Outcome.REVERSED for each in said)
    if correction is Action.REVERSE or (reversed_ and correction is not Action.RESTORE):
        return None
    others = [each for each in said if each.outcome is not Outcome.REVERSED]
    read = [each for each in others if each.outcome in COMPLETIONS] if others else said
    return min((each.ended_at for each in read if each.duration_us > threshold_us), default=None)


@dataclass(slots=True)
class Tally:
    """The figures of an account, as runs are added to them."""

    asked: DurationsAsked
    bands: list[int] = field(init=False)
    cached: list[int] = field(init=False)
    billable: list[int] = field(init=False)

    def __post_init__(self) -> None:
        if not set(self.asked.thresholds) <= set(self.asked.edges):
            raise ValueError("every threshold is an edge")
        self.bands = [0] * (len(self.asked.edges) + 1)
        self.cached = list(self.bands)
        self.billable = [0] * len(self.asked.thresholds)

    def add_plain(self, outcome: Outcome, band: int, quantity: int) -> None:
        """Runs that end in the period, of which one event is known."""
        if outcome not in COMPLETIONS:
            return
        (self.cached if outcome is Outcome.CACHED else self.bands)[band] += quantity
        for place, threshold in enumerate(self.asked.thresholds):
            if self.asked.edges.index(threshold) < band:
                self.billable[place] += quantity

    def add(self, statements: Sequence[Statement], correction: Action | None, quantity: int = 1) -> None:
        """Runs of which all this is said, wherever they end."""
        holds = judged(statements, correction)
        if self._is_here(holds.ended_at) and holds.outcome in COMPLETIONS:
            bands = self.cached if holds.outcome is Outcome.CACHED else self.bands
            bands[self.asked.band(holds.duration_us)] += quantity
        for place, threshold in enumerate(self.asked.thresholds):
            at = counts_from(statements, correction, threshold)
            if at is not None and self._is_here(at):
                self.billable[place] += quantity

    def figures(self) -> RunDurations | None:
        """None where nothing was added that may ever count."""
        found = RunDurations(tuple(self.bands), tuple(self.cached), tuple(self.billable))
        return found if any(map(any, found)) else None

    def _is_here(self, instant: int) -> bool:
        return self.asked.start <= instant < self.asked.end
