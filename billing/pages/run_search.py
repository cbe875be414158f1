"""Which task runs of a list somebody looks for: filters, a page at a time, and what changed since an invoice.
Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from metering.outcome import Outcome
from metering.usage import Run

PAGE = 50
# Runs that one page looks at: where few fit, the reader asks for more instead of waiting.
LOOK_AT = 10_000

# A run of a list, and whether it may be shown at all.
Candidate = tuple[Run, bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs somebody looks for; empty texts and None are anything. `id` is how the id begins;
    `workspace` and `flow` are a part of the name in any case, or with `whole` the name as it is."""

    outcome: Outcome | None = None
    workspace: str = ""
    flow: str = ""
    whole: bool = False
    id: str = ""

    def fits(self, run: Run) -> bool:
        return (
            self.outcome in (None, run.outcome)
            and self._named(self.workspace, run.workspace)
            and self._named(self.flow, run.flow)
        )

    def _named(self, wanted: str, name: str) -> bool:
        if self.whole and wanted:
            return wanted == name.strip()  # what an address carries has no blanks at its ends
        return wanted.lower() in name.lower()


@dataclass(frozen=True, slots=True)
class RunPage:
    """`next_id` is where the next page begins; None on the last. `looked_at` counts runs, shown or not."""

    runs: list[Run]
    next_id: str | None
    looked_at: int


def run_page(
    candidates: Iterable[Candidate], wanted: Filter, *, size: int = PAGE, look_at: int = LOOK_AT
) -> RunPage:
    """The first that fit of runs that come ascending by id, from an id on that is not before the wanted."""
    found: list[Run] = []
    looked = 0
    for run, eligible in candidates:
        if wanted.id and not run.task_run_id.startswith(wanted.id):
            break  # what begins so lies together
        if len(found) == size or looked == look_at:
            return RunPage(found, run.task_run_id, looked)
        looked += 1
        if eligible and wanted.fits(run):
            found.append(run)
    return RunPage(found, None, looked)


def plainly(runs: Iterable[Run]) -> Iterator[Candidate]:
    """Any of them may be shown."""
    return ((run, True) for run in runs)


def billed_otherwise(
    then: Iterable[Run], now: Iterable[Run], find: Callable[[str], Run | None]
) -> Iterator[Candidate]:
    """The runs of a month as of two cutoffs, each list ascending by the bytes of its ids, as one: those may
    be shown that are billed in one of them alone. A run that is no longer in the month is shown as `find`
    knows it now, in another one."""
    ahead, behind = iter(now), iter(then)
    new, old = next(ahead, None), next(behind, None)
    while new is not None or old is not None:
        if new is None or (old is not None and _key(old) < _key(new)):
            assert old is not None
            yield find(old.task_run_id) or old, _is_billed(old)
            old = next(behind, None)
        elif old is None or _key(new) < _key(old):
            yield new, _is_billed(new)
            new = next(ahead, None)
        else:
            yield new, _is_billed(new) != _is_billed(old)
            new, old = next(ahead, None), next(behind, None)


def _key(run: Run) -> bytes:
    return run.task_run_id.encode()


def _is_billed(run: Run) -> bool:
    return run.outcome is Outcome.BILLABLE
