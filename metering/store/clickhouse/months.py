"""The month of many accounts at once, in columns as ClickHouse sends them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metering.run_columns import UUID_BYTES, Runs, Tallies
from metering.run_list import MonthUsage
from metering.store.clickhouse.native import Columns
from metering.store.clickhouse.queries import TOP
from metering.usage import Run

# Bits of a strength that are the end.
_END_BITS = 56


class Statements(NamedTuple):
    """What is said of runs, ascending by account and key. `key` is two numbers of 64 bits; `strength` is the
    outcome and the end in one number, of which the smaller wins."""

    account: NDArray[np.uint64]
    key: NDArray[np.uint64]
    is_uuid: NDArray[np.uint8]
    strength: NDArray[np.int64]
    duration_us: NDArray[np.int64]

    @classmethod
    def of(cls, block: Columns) -> Statements:
        columns = block.by_name
        key = columns["key"].view(">u8").reshape(-1, 2)
        return cls(columns["number"], key, columns["is_uuid"], columns["strength"], columns["duration_us"])

    def and_then(self, more: Statements) -> Statements:
        columns: Any = zip(self, more, strict=True)
        return Statements(*(np.concatenate(pair) for pair in columns))

    def part(self, which: Any) -> Statements:
        return Statements(*(column[which] for column in self))

    def follows_its_own(self) -> NDArray[np.bool_]:
        """Where a row is about the same run as the row before it."""
        same = np.zeros(len(self.account), dtype=np.bool_)
        same[1:] = (self.key[1:] == self.key[:-1]).all(axis=1)
        for column in (self.account, self.is_uuid):
            same[1:] &= column[1:] == column[:-1]
        return same


class Holding(NamedTuple):
    """What holds of the corrected runs of an account, by their keys (of 16 bytes), which are in order."""

    key: NDArray[np.bytes_]
    strength: NDArray[np.int64]
    duration_us: NDArray[np.int64]

    @classmethod
    def of(cls, runs: Mapping[bytes, Run]) -> Holding:
        held = [(key, runs[key]) for key in sorted(runs) if len(key) == UUID_BYTES]
        return cls(
            np.array([key for key, _ in held], dtype=f"S{UUID_BYTES}"),
            np.array([(TOP - run.outcome) << _END_BITS | run.ended_at for _, run in held], dtype=np.int64),
            np.array([run.duration_us for _, run in held], dtype=np.int64),
        )


def usages(
    blocks: Iterator[Columns],
    names: Mapping[int, str],
    start: int,
    end: int,
    corrected: Mapping[int, Holding],
) -> Iterator[tuple[str, MonthUsage | None]]:
    """The month of each account by its number. None where an id is no UUID: its runs have to be read one
    after the other. `corrected` is by the account's number, too."""
    tallies, texts = Tallies(), set[int]()
    for runs in _runs(blocks):
        texts.update(np.unique(runs.account[runs.is_uuid == 0]).tolist())
        tallies.add(_within(_corrected(runs, corrected), start, end))
    for number, name in names.items():
        yield name, None if number in texts else tallies.month_usage(number)


def _runs(blocks: Iterator[Columns]) -> Iterator[Statements]:
    """The statement that holds of each run, in the same order. What is said of a run may be in two blocks, so
    the last run of each waits for the next."""
    waiting: Statements | None = None
    for block in blocks:
        said = Statements.of(block)
        if waiting is not None:
            said = waiting.and_then(said)
        last = int(np.flatnonzero(~said.follows_its_own())[-1])
        waiting = said.part(slice(last, None))
        if last:
            yield _winners(said.part(slice(None, last)))
    if waiting is not None:
        yield _winners(waiting)


def _winners(said: Statements) -> Statements:
    """As `metering.outcome.winner` chooses, as far as an invoice tells: what is equal in outcome, end and
    duration differs in names only."""
    follows = said.follows_its_own()
    if not follows.any():
        return said
    # Few runs have more than one statement: only those are put in order.
    several = follows.copy()
    several[:-1] |= follows[1:]
    places = np.flatnonzero(several)
    run = np.cumsum(~follows)[places]
    ordered = np.lexsort((said.duration_us[places], said.strength[places], run))
    first = np.ones(len(places), dtype=np.bool_)
    first[1:] = run[ordered][1:] != run[ordered][:-1]
    kept = ~several
    kept[places[ordered[first]]] = True
    return said.part(kept)


def _corrected(winners: Statements, corrected: Mapping[int, Holding]) -> Statements:
    """What holds in the place of what events say. The order stays: a correction changes no id."""
    for account, holding in corrected.items():
        rows = np.flatnonzero((winners.account == account) & (winners.is_uuid == 1))
        if len(rows) and len(holding.key):
            keys = winners.key[rows].astype(">u8").view(f"S{UUID_BYTES}")[:, 0]
            at = np.minimum(np.searchsorted(holding.key, keys), len(holding.key) - 1)
            found = holding.key[at] == keys
            strength, duration_us = winners.strength.copy(), winners.duration_us.copy()
            strength[rows[found]] = holding.strength[at[found]]
            duration_us[rows[found]] = holding.duration_us[at[found]]
            winners = winners._replace(strength=strength, duration_us=duration_us)
    return winners


def _within(said: Statements, start: int, end: int) -> Runs:
    """Those that end in the period and have a UUID."""
    ended_at = said.strength & ((1 << _END_BITS) - 1)
    here = (ended_at >= start) & (ended_at < end) & (said.is_uuid == 1)
    # Joined columns are in the machine's own order of bytes.
    key = said.key[here].astype(">u8").view(np.uint8).reshape(-1, UUID_BYTES)
    account = said.account[here].astype(np.int64)
    return Runs(
        account, key, TOP - (said.strength[here] >> _END_BITS), ended_at[here], said.duration_us[here]
    )


def parts(accounts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(accounts), size):
        yield accounts[start : start + size]
