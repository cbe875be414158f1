"""Figures of a month's runs for whoever looks for signs of misuse: one pass over its buckets, added up by the
database, a row an account. All as of now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from metering.figures import YOUNGER_US, Asked, LastCommits, RunFigures, SharedRuns, last_commits
from metering.outcome import Outcome
from metering.period import DAY_US
from metering.store.buckets import buckets_between, in_numbers
from metering.store.run_key import BUCKET_SHIFT, NO_TIME, UUID_BYTES
from metering.store.tables import accounts, commits, corrections, revisions, task_runs

# Buckets that one query asks for: what it sorts stays small.
_BUCKETS = 96
# Accounts that one query asks for.
_ACCOUNTS = 1000
# Microseconds of a bucket.
_BUCKET_US = (1 << 16 + BUCKET_SHIFT) * 1000
_FACTS = ("bucket", "account_id", "run_key", "outcome", "ended_at", "duration_us", "position")


def run_figures(
    connection: sa.Connection, asked: Asked, account_ids: Sequence[int] | None = None
) -> dict[str, RunFigures]:
    """See `EventStore.run_figures`."""
    commits_ = last_commits(asked, last_of_day(connection))
    found: dict[int, list[int]] = defaultdict(lambda: [0] * (len(asked.edges) + 4))
    for some in _some(account_ids):
        for runs in (*_plain(connection, asked, some), _revised(asked, some)):
            for account_id, *sums in connection.execute(_summed(runs, asked, commits_)):
                held = found[account_id]
                for place, quantity in enumerate(sums):
                    held[place] += int(quantity)
    names = _names(connection, found)
    edges = len(asked.edges)
    return {
        names[each]: RunFigures(tuple(sums[: edges + 1]), *sums[edges + 1 :]) for each, sums in found.items()
    }


def shared_runs(connection: sa.Connection, start: int, end: int) -> list[SharedRuns]:
    """See `EventStore.shared_runs`. An id has one bucket, so those that are equal lie in one."""
    found: dict[frozenset[int], list[int]] = defaultdict(lambda: [0, 0])
    for several, runs, billable in _shared(connection, start, end):
        held = found[frozenset(map(int, several.split(",")))]
        held[0] += runs
        held[1] += billable
    names = _names(connection, {each for several in found for each in several})
    return sorted(
        SharedRuns(tuple(sorted(names[each] for each in several)), *counts)
        for several, counts in found.items()
    )


def _shared(connection: sa.Connection, start: int, end: int) -> Iterator[Any]:
    table = task_runs.c
    within = sa.and_(table.ended_at >= start, table.ended_at < end)
    billed = sa.case((table.outcome == int(Outcome.BILLABLE), 1), else_=0)
    ids = sa.cast(table.account_id, sa.Text)
    query = sa.select(
        sa.func.aggregate_strings(ids, ",").label("several"), sa.func.min(billed).label("billable")
    ).where(sa.func.length(table.run_key) == UUID_BYTES)
    query = query.group_by(table.bucket, table.run_key)
    query = query.having(sa.func.count() > 1, sa.func.max(sa.case((within, 1), else_=0)) == 1)
    for some in _parts(buckets_between(connection, start, end)):
        part = query.where(in_numbers(connection, table.bucket, some))
        if NO_TIME in some:
            # That bucket has runs of all times: only those of the period are compared with one another.
            part = part.where(within)
        pairs = part.subquery()
        sums = sa.func.count(), sa.func.sum(pairs.c.billable)
        yield from connection.execute(sa.select(pairs.c.several, *sums).group_by(pairs.c.several))


def _plain(
    connection: sa.Connection, asked: Asked, account_ids: Sequence[int] | None
) -> Iterator[sa.FromClause]:
    """Runs of which one event is known, some buckets at a time."""
    query = sa.select(*(task_runs.c[name] for name in _FACTS)).where(
        task_runs.c.revised == 0, task_runs.c.ended_at >= asked.start, task_runs.c.ended_at < asked.end
    )
    if account_ids is not None:
        query = query.where(task_runs.c.account_id.in_(account_ids))
    for some in _parts(buckets_between(connection, asked.start, asked.end)):
        yield query.where(in_numbers(connection, task_runs.c.bucket, some)).subquery()


def _revised(asked: Asked, account_ids: Sequence[int] | None) -> sa.FromClause:
    """Runs of which more is known, as `metering.outcome.winner` judges, at the position of their first event.
    They may have been in another month before, so no bucket tells where they are. What the operator said of
    runs is no sign of theirs: events alone speak."""
    keys = ("bucket", "account_id", "run_key")
    told_again = sa.union(
        *(
            sa.select(*(table.c[name] for name in keys)).where(_of(table, account_ids))
            for table in (revisions, corrections)
        )
    ).subquery()
    same = sa.and_(*(task_runs.c[name] == told_again.c[name] for name in keys))
    first = sa.select(*(task_runs.c[name] for name in _FACTS)).select_from(told_again.join(task_runs, same))
    further = sa.select(*(revisions.c[name] for name in _FACTS)).where(_of(revisions, account_ids))
    said = sa.union_all(first, further).subquery()
    of_run = {"partition_by": (said.c.account_id, said.c.run_key)}
    strongest = (said.c.outcome.desc(), said.c.ended_at, said.c.duration_us)
    facts = [said.c[name] for name in _FACTS if name != "position"]
    ranked = sa.select(
        *facts,
        sa.func.min(said.c.position).over(**of_run).label("position"),  # type: ignore[arg-type]
        sa.func.row_number().over(**of_run, order_by=strongest).label("place"),  # type: ignore[arg-type]
    ).subquery()
    within = ranked.c.ended_at >= asked.start, ranked.c.ended_at < asked.end
    return sa.select(*(ranked.c[name] for name in _FACTS)).where(ranked.c.place == 1, *within).subquery()


def _of(table: sa.Table, account_ids: Sequence[int] | None) -> sa.ColumnElement[bool]:
    return sa.true() if account_ids is None else table.c.account_id.in_(account_ids)


def _summed(runs: sa.FromClause, asked: Asked, commits_: LastCommits) -> sa.Select[Any]:
    """A row an account: the bands, and the rest of `RunFigures`."""
    outcome, ended_at, position = runs.c.outcome, runs.c.ended_at, runs.c.position
    billable = outcome == int(Outcome.BILLABLE)
    completed = sa.or_(billable, outcome == int(Outcome.TOO_SHORT))
    ladder = [(runs.c.duration_us <= _number(edge), _number(place)) for place, edge in enumerate(asked.edges)]
    band = sa.case(*ladder, else_=_number(len(ladder))) if ladder else _number(0)
    day = (ended_at - _number(asked.start)) // _number(DAY_US)
    in_time = sa.case(
        *((day == _number(number), _number(last)) for number, last in enumerate(commits_.in_time)),
        else_=_number(0),
    )
    late = sa.and_(billable, position > in_time)
    made = sa.cast(runs.c.bucket, sa.BigInteger) * _number(_BUCKET_US)
    sums = [sa.and_(completed, band == _number(place)) for place in range(len(ladder) + 1)]
    sums += [
        late,
        sa.and_(late, position > _number(commits_.of_period)),
        sa.and_(billable, made > ended_at + _number(YOUNGER_US)),
    ]
    columns = (sa.func.sum(sa.case((each, _number(1)), else_=_number(0))) for each in sums)
    return sa.select(runs.c.account_id, *columns).group_by(runs.c.account_id)


def _number(value: int) -> sa.ColumnElement[int]:
    """Of our own: in the statement, not beside it."""
    return sa.literal_column(str(int(value)), sa.BigInteger)


def last_of_day(connection: sa.Connection) -> list[tuple[int, int]]:
    """The number of each day that has commits, and the position of its last, in order."""
    day = (commits.c.committed_at // _number(DAY_US)).label("day")
    query = sa.select(day, sa.func.max(commits.c.position)).group_by(day).order_by(day)
    return [(number, position) for number, position in connection.execute(query)]


def _some(account_ids: Sequence[int] | None) -> Iterator[Sequence[int] | None]:
    if account_ids is None:
        yield None
        return
    for at in range(0, len(account_ids), _ACCOUNTS):
        yield account_ids[at : at + _ACCOUNTS]


def _parts(buckets: Sequence[int]) -> Iterator[list[int]]:
    """The bucket of ids without a time alone: it is as large as all others."""
    timed = [each for each in buckets if each != NO_TIME]
    if len(timed) < len(buckets):
        yield [NO_TIME]
    for start in range(0, len(timed), _BUCKETS):
        yield list(timed[start : start + _BUCKETS])


def _names(connection: sa.Connection, ids: Mapping[int, Any] | set[int]) -> dict[int, str]:
    if not ids:
        return {}
    query = sa.select(accounts.c.id, accounts.c.account)
    return {number: name for number, name in connection.execute(query) if number in ids}
