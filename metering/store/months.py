"""The month of many accounts at once: what `run_list.month_usage` says of each account's runs, in a small
part of the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from metering.database import reading
from metering.run_columns import Integers, Runs, Tallies, Texts
from metering.run_list import MonthUsage
from metering.store import run_key
from metering.store.buckets import GAP, buckets_between
from metering.store.month_columns import Columns, Part, PostgresColumns, SqliteColumns
from metering.store.month_totals import MonthTotals
from metering.store.question import Question
from metering.store.revised import revised_runs
from metering.store.run_key import NO_TIME, UUID_BYTES
from metering.usage import Run

# Runs in a part: about a hundred megabytes while it is worked on.
PART = 250_000
_Some = TypeVar("_Some", Runs, Texts)
# Beyond every bucket, and how many parts the keys without a time are cut into at most.
_LAST_BUCKET, _KEY_PARTS = 1 << 32, 256


class Months:
    """Reads accounts in the order of their numbers, each part in a snapshot: a run that is revised meanwhile
    is neither missed nor seen twice. A part has about `part` runs."""

    def __init__(self, engine: sa.Engine, part: int = PART) -> None:
        self._engine = engine
        self._part = part

    def usages(self, account_ids: Sequence[int], asked: Question) -> Iterator[tuple[int, MonthUsage | None]]:
        """None for a large account with ids of several kinds: its runs are to be read one by one."""
        with reading(self._engine) as connection:
            totals = MonthTotals(connection).runs(account_ids, asked.start, asked.end)
        yield from ((each, Tallies().month_usage(each)) for each in account_ids if each not in totals)
        wanted = sorted(set(account_ids) & totals.keys())
        for some in _stretches(wanted, totals, self._part):
            with reading(self._engine) as connection:
                found = self._read(connection, some, sum(map(totals.__getitem__, some)), asked)
            yield from found

    def _read(
        self, connection: sa.Connection, some: Sequence[int], runs: int, asked: Question
    ) -> list[tuple[int, MonthUsage | None]]:
        postgres = connection.dialect.name == "postgresql"
        columns: Columns = PostgresColumns(connection) if postgres else SqliteColumns(connection)
        revised = [
            (account, run_key.encode(run.task_run_id), run)
            for account, runs in revised_runs(connection, some, *asked).items()
            for run in runs
        ]
        changed = [run for run in revised if len(run[1]) != UUID_BYTES]
        tallies = Tallies()
        shares = list(
            _shares(some, buckets_between(connection, asked.start, asked.end), -(-runs // self._part))
        )
        if len(shares) > 1 and (changed or columns.has_texts(shares[0].part, asked)):
            return [(each, None) for each in some]
        for share in shares:
            found, texts = columns.read(share.part, asked)
            mine = [each for each in revised if len(each[1]) == UUID_BYTES and share.holds(each[1])]
            try:
                tallies.add(_ordered(_only(found, some), mine), _with(_only(texts, some), changed))
            except ValueError:
                if len(shares) == 1:
                    raise
                return [(each, None) for each in some]  # its ids that tell a time are not after all others
        return [(each, tallies.month_usage(each)) for each in some]


def _stretches(ids: Sequence[int], totals: dict[int, int], part: int) -> Iterator[list[int]]:
    """Accounts that lie together and have about a part's runs, with those of the accounts between them."""
    some: list[int] = []
    held = 0
    for each in ids:
        between = 0
        if some and each - some[-1] <= GAP:
            between = sum(totals.get(other, 0) for other in range(some[-1] + 1, each))
        if some and (held + between + totals[each] > part or each - some[-1] > GAP):
            yield some
            some, held, between = [], 0, 0
        some.append(each)
        held += between + totals[each]
    if some:
        yield some


class _Share(NamedTuple):
    """A part, and the buckets that it stands for, with those in which no run was found."""

    part: Part
    low: int
    high: int

    def holds(self, key: bytes) -> bool:
        bucket = run_key.bucket(key)
        in_keys = bucket != NO_TIME or self.part.above <= key < self.part.below
        return self.low <= bucket <= self.high and in_keys


def _shares(some: Sequence[int], buckets: Sequence[int], quantity: int) -> Iterator[_Share]:
    """All of some accounts' runs at once, unless it is one account with several parts. In the first one are
    all of its ids that are no UUIDs."""
    whole = Part(some[0], some[-1], buckets)
    if len(some) > 1 or quantity <= 1:
        yield _Share(whole, NO_TIME, _LAST_BUCKET)
        return
    parts = min(quantity, _KEY_PARTS)
    edges = [b"", *(bytes([number * 256 // parts]) for number in range(1, parts)), whole.below]
    for above, below in pairwise(edges):
        yield _Share(whole._replace(buckets=[NO_TIME], above=above, below=below), NO_TIME, NO_TIME)
    timed = [each for each in buckets if each != NO_TIME]
    size = max(1, -(-len(timed) // quantity))
    cuts = [timed[start : start + size] for start in range(0, len(timed), size)] or [[]]
    lows = [NO_TIME + 1, *(cut[0] for cut in cuts[1:])]
    for cut, low, after in zip(cuts, lows, [*lows[1:], _LAST_BUCKET + 1], strict=True):
        yield _Share(whole._replace(buckets=cut), low, after - 1)


def _only(runs: _Some, some: Sequence[int]) -> _Some:
    if len(some) == some[-1] - some[0] + 1:
        return runs
    return runs.some(np.flatnonzero(np.isin(runs.account, some)))


def _with(texts: Texts, changed: Sequence[tuple[int, bytes, Run]]) -> Texts:
    """With the revised in their places."""
    if not changed:
        return texts
    numbers = _numbers(changed)
    more = Texts(numbers[:, 0], [run.task_run_id for *_, run in changed], *numbers[:, 1:].T)
    columns = (np.concatenate(pair) for pair in zip(texts[2:], more[2:], strict=True))
    both = Texts(np.concatenate([texts.account, more.account]), [*texts.id, *more.id], *columns)
    ids = [each.encode() for each in both.id]
    order = sorted(range(len(ids)), key=lambda place: (both.account[place], ids[place]))
    return both.some(np.array(order))


def _ordered(runs: Runs, revised: Sequence[tuple[int, bytes, Run]]) -> Runs:
    """Ascending by account and id, with the revised in their places. The runs come in the order of their
    buckets, so those of an account are in order already, unless it has ids of both kinds."""
    if len(runs.account):
        narrow = (runs.account - runs.account.min()).astype(np.uint64)
        if narrow.max() < 1 << 16:
            narrow = narrow.astype(np.uint16)  # sorted in a fraction of the time
        runs = runs.some(np.argsort(narrow, kind="stable"))
        where = _where(runs)
        if not (where[1:] > where[:-1]).all():
            runs = runs.some(np.argsort(where))
    if not revised:
        return runs
    more = _columns(sorted(revised, key=lambda each: each[:2]))
    at = np.searchsorted(_where(runs), _where(more))
    return Runs(
        np.insert(runs.account, at, more.account),
        np.insert(runs.key, at, more.key, axis=0),
        np.insert(runs.outcome, at, more.outcome),
        np.insert(runs.ended_at, at, more.ended_at),
        np.insert(runs.duration_us, at, more.duration_us),
    )


def _where(runs: Runs) -> NDArray[np.bytes_]:
    """Account and key as bytes whose order is theirs."""
    accounts = runs.account.astype(">i8").view(np.uint8).reshape(-1, 8)
    return np.ascontiguousarray(np.hstack([accounts, runs.key])).view(f"S{8 + UUID_BYTES}")[:, 0]


def _columns(revised: Sequence[tuple[int, bytes, Run]]) -> Runs:
    numbers = _numbers(revised)
    keys = np.frombuffer(b"".join(key for _, key, _ in revised), dtype=np.uint8).reshape(-1, UUID_BYTES)
    return Runs(numbers[:, 0], keys, *numbers[:, 1:].T)


def _numbers(revised: Sequence[tuple[int, bytes, Run]]) -> Integers:
    """Account, outcome, end and duration, a row a run."""
    return np.array(
        [(account, run.outcome, run.ended_at, run.duration_us) for account, _, run in revised], dtype=np.int64
    )
