"""Whether a source and the meter agree on the task runs of a period: by id and outcome, in bounded memory.

Both sides are tallied by the hour first: a count and a digest of its runs, so that a month is 744 small
values however many runs it has. Only the hours that differ are then looked at run by run. Pure: works on
runs from anywhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from metering.outcome import Outcome
from metering.period import HOUR_US, hour_of

# So many ids are named of each way in which runs differ.
NAMED = 3


class Ended(NamedTuple):
    """A task run that ended, as one side has it. `exempt`: the other side need not have it."""

    task_run_id: str
    outcome: Outcome
    ended_at: int
    exempt: bool = False


@dataclass(slots=True)
class Tally:
    """The runs of one side by the hour in which they ended: how many, and the sum of their digests, which
    does not depend on their order."""

    hours: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, run: Ended) -> None:
        hour = hour_of(run.ended_at)
        count, digest = self.hours.get(hour, (0, 0))
        self.hours[hour] = count + 1, (digest + _digest(run)) % 2**128

    @property
    def runs(self) -> int:
        """How many there are."""
        return sum(count for count, _ in self.hours.values())


def tally(runs: Iterable[Ended]) -> Tally:
    """One pass over the runs of a side."""
    made = Tally()
    for run in runs:
        made.add(run)
    return made


def differing_hours(source: Tally, meter: Tally) -> list[int]:
    """The hours whose runs are not the same, in order.

    >>> one, other = Ended("a", Outcome.BILLABLE, HOUR_US), Ended("a", Outcome.FAILED, HOUR_US)
    >>> differing_hours(tally([one]), tally([one])), differing_hours(tally([one]), tally([other]))
    ([], [1])
    """
    hours = source.hours.keys() | meter.hours.keys()
    return sorted(hour for hour in hours if source.hours.get(hour) != meter.hours.get(hour))


def groups(hours: Iterable[int], source: Tally, meter: Tally, most: int) -> Iterator[list[int]]:
    """The hours in groups that hold at most so many runs of both sides; a larger hour is one by itself."""
    group: list[int] = []
    size = 0
    for hour in hours:
        runs = sum(each.hours.get(hour, (0, 0))[0] for each in (source, meter))
        if group and size + runs > most:
            yield group
            group, size = [], 0
        group.append(hour)
        size += runs
    if group:
        yield group


def spans(hours: Sequence[int]) -> list[tuple[int, int]]:
    """The periods that some hours, in order, make up.

    >>> [(start // HOUR_US, end // HOUR_US) for start, end in spans([3, 4, 7])]
    [(3, 5), (7, 8)]
    """
    found: list[tuple[int, int]] = []
    for hour in hours:
        start, end = hour * HOUR_US, (hour + 1) * HOUR_US
        if found and found[-1][1] == start:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return found


class Way(NamedTuple):
    """A way in which a run differs: what the source and the meter say of it; None where one has it not."""

    source: Outcome | None
    meter: Outcome | None


@dataclass(slots=True)
class Disagreement:
    """The runs that differ, by the way in which they do: how many, and the ids of the first few."""

    quantities: Counter[Way] = field(default_factory=Counter)
    named: defaultdict[Way, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, source: Mapping[str, Ended], meter: Mapping[str, Ended]) -> None:
        """Compare runs by their ids; those that either side must have and has not, or has otherwise."""
        for task_run_id in sorted(source.keys() | meter.keys()):
            theirs, ours = source.get(task_run_id), meter.get(task_run_id)
            if theirs is None and ours is not None and ours.exempt:
                continue
            way = Way(theirs.outcome if theirs else None, ours.outcome if ours else None)
            if way.source != way.meter:
                self.quantities[way] += 1
                if len(self.named[way]) < NAMED:
                    self.named[way].append(task_run_id)


def _digest(run: Ended) -> int:
    text = f"{run.outcome.reason} {run.task_run_id}"
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")
