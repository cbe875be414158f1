"""The task runs of one account, one after the other: for run lists, and where columns cannot be had."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from metering.outcome import Outcome
from metering.period import DAY_US, HOUR_US, day_of
from metering.store import run_key
from metering.store.buckets import buckets_between, in_numbers
from metering.store.held import key_parts
from metering.store.names import Label
from metering.store.question import Question
from metering.store.revised import revised_runs
from metering.store.run_key import NO_TIME, UUID_BYTES
from metering.store.tables import task_runs
from metering.usage import Counts, Run

# Buckets that one query asks for: a day or so, which is sorted in little memory.
_BUCKETS = 96


def listed_runs(
    connection: sa.Connection,
    account_id: int,
    labels: Mapping[int, Label],
    asked: Question,
    *,
    as_sent: bool = False,
    from_id: str = "",
) -> Iterator[Run]:
    """All runs of the account whose id is not before `from_id`, ascending by the bytes of their id.
    Streams. Raises LookupError for one that has a label which is not among them."""
    merged = _merged(connection, account_id, labels, asked, as_sent, from_id)
    begin = from_id.encode()
    return merged if not begin else (run for run in merged if run.task_run_id.encode() >= begin)


def _merged(
    connection: sa.Connection,
    account_id: int,
    labels: Mapping[int, Label],
    asked: Question,
    as_sent: bool,
    from_id: str,
) -> Iterator[Run]:
    """The same, and some that are before it."""
    buckets = buckets_between(connection, asked.start, asked.end)
    plain = sa.select(task_runs).where(*_plain(account_id, asked)).execution_options(yield_per=5000)
    no_time = plain.where(task_runs.c.bucket == NO_TIME).order_by(task_runs.c.run_key)
    is_uuid = sa.func.length(task_runs.c.run_key) == UUID_BYTES
    least = run_key.least_uuid(from_id)
    uuid_here = task_runs.c.run_key >= least if least is not None else sa.false()
    text_here = task_runs.c.run_key >= b"\0" + from_id.encode()

    def with_time() -> Iterator[sa.Row[Any]]:
        if least is None:
            return
        first = max(NO_TIME + 1, run_key.bucket_from(least))
        for some in _parts([each for each in buckets if each >= first]):
            query = plain.where(in_numbers(connection, task_runs.c.bucket, some), uuid_here)
            yield from connection.execute(query.order_by(task_runs.c.bucket, task_runs.c.run_key))

    # Keys of either kind are in the order of their ids; they and the revised runs, which are few, are merged.
    streams: list[Iterator[Run]] = [
        (_run(row, labels) for row in with_time()),
        iter(revised_runs(connection, [account_id], *asked, as_sent=as_sent).get(account_id, [])),
    ]
    if NO_TIME in buckets:
        for kind in (is_uuid & uuid_here, ~is_uuid & text_here):
            streams.append(_run(row, labels) for row in connection.execute(no_time.where(kind)))
    yield from heapq.merge(*streams, key=lambda run: run.task_run_id.encode())


def found_runs(
    connection: sa.Connection,
    account_id: int,
    labels: Mapping[int, Label],
    task_run_ids: Sequence[str],
    asked: Question,
    *,
    as_sent: bool = False,
) -> dict[str, Run]:
    """Those of some runs that are held, by id. `as_sent`: by their events alone."""
    found: dict[str, Run] = {}
    for bucket, part in key_parts(run_key.encode_all(sorted(set(task_run_ids)))):
        query = sa.select(task_runs).where(*_plain(account_id, asked))
        query = query.where(task_runs.c.bucket == bucket, task_runs.c.run_key.in_(part))
        for row in connection.execute(query):
            run = _run(row, labels)
            found[run.task_run_id] = run
    wanted = set(task_run_ids) - found.keys()
    if wanted:
        revised = revised_runs(connection, [account_id], *asked, as_sent=as_sent).get(account_id, ())
        found |= {run.task_run_id: run for run in revised if run.task_run_id in wanted}
    return found


def listed_days(connection: sa.Connection, account_id: int, asked: Question) -> dict[date, Counts]:
    """The counts of each day that has runs."""
    found: dict[int, Counter[Outcome]] = defaultdict(Counter)
    day = (task_runs.c.ended_at // sa.literal_column(str(DAY_US))).label("day")
    query = sa.select(day, task_runs.c.outcome, sa.func.count().label("quantity"))
    query = query.where(*_plain(account_id, asked)).group_by(day, task_runs.c.outcome)
    for some in _parts(buckets_between(connection, asked.start, asked.end)):
        for row in connection.execute(query.where(in_numbers(connection, task_runs.c.bucket, some))):
            found[row.day][Outcome(row.outcome)] += row.quantity
    for run in revised_runs(connection, [account_id], *asked).get(account_id, ()):
        found[run.ended_at // DAY_US][run.outcome] += 1
    return {day_of(day * DAY_US): Counts(dict(found[day])) for day in sorted(found)}


def listed_names(
    connection: sa.Connection, account_id: int, labels: Mapping[int, Label], asked: Question
) -> dict[tuple[str, str], int]:
    """The billable runs of each workspace and flow."""
    found: Counter[tuple[str, str]] = Counter()
    billable = task_runs.c.outcome == int(Outcome.BILLABLE)
    query = sa.select(task_runs.c.label_id, sa.func.count()).where(*_plain(account_id, asked), billable)
    buckets = in_numbers(connection, task_runs.c.bucket, buckets_between(connection, asked.start, asked.end))
    for label_id, quantity in connection.execute(query.where(buckets).group_by(task_runs.c.label_id)):
        found[labels[label_id].workspace, labels[label_id].flow] += quantity
    for run in revised_runs(connection, [account_id], *asked).get(account_id, ()):
        found[run.workspace, run.flow] += run.outcome is Outcome.BILLABLE
    return {name: quantity for name, quantity in found.items() if quantity}


def named_hours(
    connection: sa.Connection,
    account_id: int,
    names: Mapping[int, str],
    asked: Question,
    name_of: Callable[[Run], str],
) -> Iterator[tuple[int, str, int, int]]:
    """The start of each hour, its group (`names` has those of labels), outcome and quantity: no
    counter tells the flows of an hour apart."""
    hour = (task_runs.c.ended_at // sa.literal_column(str(HOUR_US))).label("hour")
    keys = (hour, task_runs.c.label_id, task_runs.c.outcome)
    query = sa.select(*keys, sa.func.count()).where(*_plain(account_id, asked)).group_by(*keys)
    for some in _parts(buckets_between(connection, asked.start, asked.end)):
        for row in connection.execute(query.where(in_numbers(connection, task_runs.c.bucket, some))):
            number, label_id, outcome, quantity = row
            yield number * HOUR_US, names[label_id], outcome, quantity
    for run in revised_runs(connection, [account_id], *asked).get(account_id, ()):
        yield run.ended_at - run.ended_at % HOUR_US, name_of(run), int(run.outcome), 1


def _parts(buckets: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(buckets), _BUCKETS):
        yield list(buckets[start : start + _BUCKETS])


def _plain(account_id: int, asked: Question) -> tuple[sa.ColumnElement[bool], ...]:
    """Runs of which one event is known, that end in the period and were committed up to the cutoff."""
    return (
        task_runs.c.account_id == account_id,
        task_runs.c.revised == 0,
        task_runs.c.position <= asked.cutoff,
        task_runs.c.ended_at >= asked.start,
        task_runs.c.ended_at < asked.end,
    )


def _run(row: sa.Row[Any], labels: Mapping[int, Label]) -> Run:
    name = run_key.decode(bytes(row.run_key))
    label = labels.get(row.label_id)
    if label is None:
        raise LookupError(f"task run {name} has the label {row.label_id}, which its account does not have")
    return Run(
        name,
        Outcome(row.outcome),
        row.ended_at,
        row.duration_us,
        label.workspace,
        label.flow,
        label.source,
    )
