"""What a Prefect server says ran, against what the meter holds of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metering.agreement import Disagreement, Ended, differing_hours, groups, spans, tally
from metering.collecting.prefect_server import PrefectServer, Progress
from metering.period import Month, hour_of
from metering.store import EventStore

# What events of Prefect name as their source.
SOURCE = "prefect"
# So many runs of both sides are held at once.
RUNS_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """`runs`: how many task runs the source has; `disagreement` is empty if the meter has the same."""

    runs: int
    disagreement: Disagreement


def compare_month(
    store: EventStore,
    servers: Sequence[PrefectServer],
    account: str,
    month: Month,
    *,
    most: int = RUNS_AT_ONCE,
    progress: Progress = lambda done, total: None,
) -> Comparison:
    """Compare a month of some servers' together with an account's. Runs that the account has from another
    source need not be at a server. Raises PrefectError."""
    cutoff = store.cutoff().position
    source = tally(run for each in servers for run in each.task_runs(month.start, month.end, progress))
    meter = tally(each for each in _metered(store, account, month, cutoff) if not each.exempt)
    found = Disagreement()
    for hours in groups(differing_hours(source, meter), source, meter, most):
        theirs = {
            run.task_run_id: run for each in servers for part in spans(hours) for run in each.task_runs(*part)
        }
        within = set(hours)
        ours = {
            run.task_run_id: run
            for run in _metered(store, account, month, cutoff)
            if hour_of(run.ended_at) in within
        }
        found.add(theirs, ours)
    return Comparison(source.runs, found)


def _metered(store: EventStore, account: str, month: Month, cutoff: int) -> Iterator[Ended]:
    """What the source sent: what the operator said of a run since is no difference to it."""
    for run in store.runs(account, month.start, month.end, cutoff, as_sent=True):
        yield Ended(run.task_run_id, run.outcome, run.ended_at, exempt=run.source != SOURCE)
