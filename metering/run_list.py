"""The run list: the billed task runs of an account and month as a CSV file, and its digest.

The digest on an invoice is the proof of its quantity: the customer downloads the CSV, runs `sha256sum` and
`wc -l`, and has counted the runs that were billed (docs/rules.md §6). Pure: works on runs from any store.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from metering.outcome import Outcome
from metering.period import DAY_US, format_instant
from metering.usage import Counts, Run

HEADER = b"task_run_id,ended_at,duration_us\n"


@dataclass(frozen=True, slots=True)
class MonthUsage:
    """What a month's runs amount to: counts, counts by day (`YYYY-MM-DD`), and the run list's SHA-256."""

    counts: Counts
    by_day: dict[str, Counts]
    run_list_sha256: str


def run_list(runs: Iterable[Run]) -> Iterator[bytes]:
    """The lines of the CSV, header first, `\\n` at each end. `runs` come ascending by the bytes of their id,
    billed or not; only the billed ones are listed."""
    yield HEADER
    for run in runs:
        if run.outcome is Outcome.BILLABLE:
            yield _line(run)


def month_usage(runs: Iterable[Run]) -> MonthUsage:
    """Counts and digest of runs that come ascending by the bytes of their id, in one pass."""
    digest = hashlib.sha256(HEADER)
    days: dict[int, Counter[Outcome]] = defaultdict(Counter)
    for run in runs:
        days[run.ended_at // DAY_US][run.outcome] += 1
        if run.outcome is Outcome.BILLABLE:
            digest.update(_line(run))
    total: Counter[Outcome] = Counter()
    for counts in days.values():
        total.update(counts)
    by_day = {format_instant(day * DAY_US)[:10]: Counts(dict(days[day])) for day in sorted(days)}
    return MonthUsage(Counts(dict(total)), by_day, digest.hexdigest())


def _line(run: Run) -> bytes:
    return f"{cell(run.task_run_id)},{format_instant(run.ended_at)},{run.duration_us}\n".encode()


def cell(name: str) -> str:
    """An id as the list has it."""
    return '"' + name.replace('"', '""') + '"' if "," in name or '"' in name else name
