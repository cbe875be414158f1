"""Questions about how long runs took, and which would count at another threshold, as SQL."""

from __future__ import annotations

from itertools import pairwise

from metering.durations import COMPLETIONS, DurationsAsked
from metering.outcome import Outcome
from metering.store.clickhouse.journal import Seen
from metering.store.clickhouse.queries import (
    ENDED_AT,
    HOUR,
    OUTCOME,
    STRENGTH,
    among,
    counted,
    in_partitions,
)
from metering.store.clickhouse.schema import STATEMENTS


def run_durations(seen: Seen, asked: DurationsAsked, given: str | None = None) -> str:
    """Rows of (account, and the sums of a `RunDurations`) by events alone, of the accounts in the table
    `given`. A run counts at a threshold where the first of its statements ends that is long enough, if none
    says that it was reversed."""
    which = among(given) if given else "1"
    at = [f"min({_counts_at(each)}) AS at_{place}" for place, each in enumerate(asked.thresholds)]
    runs = (
        f"SELECT account, run_key, min({STRENGTH}) AS won, max(outcome) AS top,"
        f" argMin(duration_us, ({STRENGTH}, duration_us)) AS duration{''.join(f', {each}' for each in at)}"
        f" FROM {STATEMENTS} WHERE {which} AND {counted(seen)} AND {in_partitions(seen, which)}"
        " GROUP BY account, run_key"
    )
    here = f"{ENDED_AT} >= {{start:Int64}} AND {ENDED_AT} < {{end:Int64}}"
    edges = ["-1", *map(str, asked.edges), str(2**63 - 1)]
    completed, cached = f"IN ({int(Outcome.BILLABLE)}, {int(Outcome.TOO_SHORT)})", f"= {int(Outcome.CACHED)}"
    sums = [
        f"countIf({here} AND {OUTCOME} {kind} AND duration > {above} AND duration <= {up_to})"
        for kind in (completed, cached)
        for above, up_to in pairwise(edges)
    ]
    period = "at_{0} >= {{start:Int64}} AND at_{0} < {{end:Int64}}"
    sums += [
        f"countIf(top < {int(Outcome.REVERSED)} AND {period.format(place)})"
        for place in range(len(asked.thresholds))
    ]
    return (
        f"SELECT account, {', '.join(sums)} FROM ({runs})"
        " GROUP BY account SETTINGS optimize_aggregation_in_order = 1"
    )


def days_at(seen: Seen, threshold_us: int, given: str) -> str:
    """Rows of (account, day, quantity) by events alone: runs that would count at a threshold."""
    runs = (
        f"SELECT account, max(outcome) AS top, min({_counts_at(threshold_us)}) AS at FROM {STATEMENTS}"
        f" WHERE {among(given)} AND {counted(seen)} AND {in_partitions(seen, among(given))}"
        " GROUP BY account, run_key"
    )
    return (
        f"SELECT account, intDiv(at, 24 * {HOUR}) AS day, count() AS quantity FROM ({runs})"
        f" WHERE top < {int(Outcome.REVERSED)} AND at >= {{start:Int64}} AND at < {{end:Int64}}"
        " GROUP BY account, day"
    )


def _counts_at(threshold_us: int) -> str:
    """When a statement ends that is long enough to count; else never."""
    kinds = ", ".join(str(int(each)) for each in COMPLETIONS)
    return f"if(outcome IN ({kinds}) AND duration_us > {int(threshold_us)}, ended_at, {2**63 - 1})"
