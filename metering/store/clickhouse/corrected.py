"""The operator's corrections of runs whose events are in ClickHouse.

They are few, and the SQL database has them. ClickHouse answers each question by the events alone; what is
said of the corrected runs is read by their keys, judged here, and the answer is moved accordingly. Accounts
without any cost one question to the SQL database.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import sqlalchemy as sa

from metering.database import reading
from metering.outcome import Action, Outcome, Statement, changes_nothing, judged, winner
from metering.store import Correction, Noting, Verdict, corrections, run_key
from metering.store.clickhouse import queries
from metering.store.clickhouse.connection import GIVEN, Connection
from metering.store.clickhouse.journal import Journal, Seen
from metering.store.tables import accounts, commits
from metering.store.tables import corrections as table
from metering.usage import Run

# Runs of which one question is asked.
_PART = 50_000

RunKey = tuple[str, bytes]
"""Account, and the key of its run."""


class Moved(NamedTuple):
    """A corrected run: what holds of it by its events alone, and what holds."""

    account: str
    key: bytes
    before: Run
    after: Run

    def within(self, start: int, end: int) -> Iterator[tuple[Run, int]]:
        """How the runs that end in a period change: some more, some less."""
        if self.before != self.after:
            for run, quantity in ((self.before, -1), (self.after, 1)):
                if start <= run.ended_at < end:
                    yield run, quantity


class Corrections:
    """What is recorded, and what it makes of the answers."""

    def __init__(self, engine: sa.Engine, connection: Connection, journal: Journal) -> None:
        self._engine = engine
        self._connection = connection
        self._journal = journal

    def moved(self, seen: Seen, names: Sequence[str] | None = None) -> list[Moved]:
        """The corrected runs of some accounts, or of all."""
        with reading(self._engine) as connection:
            actions = corrections.by_name(connection, seen.high, names)
        wanted = [(name, key) for name, found in actions.items() for key in found]
        return [
            Moved(account, key, _run(key, winner(said)), _run(key, judged(said, actions[account][key])))
            for (account, key), said in self._said(seen, wanted).items()
        ]

    def judged_anew(
        self, seen: Seen, names: Sequence[str] | None = None
    ) -> list[tuple[str, list[Statement], Action]]:
        """Account, all that events say, and what the operator said last, of each corrected run."""
        with reading(self._engine) as connection:
            actions = corrections.by_name(connection, seen.high, names)
        wanted = [(name, key) for name, found in actions.items() for key in found]
        return [
            (account, said, actions[account][key])
            for (account, key), said in self._said(seen, wanted).items()
        ]

    def history(self, seen: Seen, account: str) -> Mapping[bytes, Sequence[tuple[int, Action]]]:
        """Every correction of an account's runs, with its position, in their order."""
        with reading(self._engine) as connection:
            return corrections.history(connection, account, seen.high)

    def correct(
        self,
        account: str,
        task_run_ids: Sequence[str],
        asked: Correction,
        now: int,
        noting: Noting | None,
    ) -> list[Verdict]:
        """See `EventStore.correct`."""
        keys = run_key.encode_all(task_run_ids)
        while True:
            seen = self._journal.seen()
            found = self._verdicts(seen, account, keys, asked.action)
            wanted = [key for key in dict.fromkeys(keys) if found[key] is Verdict.CORRECTED]
            if not wanted or self._record(seen, account, wanted, asked, now, noting):
                return [found[key] for key in keys]

    def _verdicts(
        self, seen: Seen, account: str, keys: Sequence[bytes], action: Action
    ) -> dict[bytes, Verdict]:
        with reading(self._engine) as connection:
            actions = corrections.by_name(connection, seen.high, [account]).get(account, {})
        found = dict.fromkeys(keys, Verdict.NOT_HELD)
        for (_, key), said in self._said(seen, [(account, key) for key in found]).items():
            same = changes_nothing(judged(said, actions.get(key)).outcome, action)
            found[key] = Verdict.UNCHANGED if same else Verdict.CORRECTED
        return found

    def _record(
        self,
        seen: Seen,
        account: str,
        keys: Sequence[bytes],
        asked: Correction,
        now: int,
        noting: Noting | None,
    ) -> bool:
        """Whether it was recorded: not if others corrected runs of the account since it was looked at."""
        with self._journal.recording() as (connection, position):
            number = _number(connection, account)
            last = sa.select(sa.func.max(table.c.position)).where(table.c.account_id == number)
            if (connection.scalar(last) or 0) > seen.high:
                return False
            said = {
                "position": position,
                "recorded_at": now,
                "action": int(asked.action),
                "author": asked.author,
                "reason": asked.reason,
                "account_id": number,
            }
            rows = [
                said | {"place": place, "bucket": run_key.bucket(key), "run_key": key}
                for place, key in enumerate(keys)
            ]
            connection.execute(table.insert(), rows)
            connection.execute(commits.insert().values(position=position, committed_at=now))
            if noting is not None:
                noting(connection, position, [run_key.decode(key) for key in keys])
            return True

    def _said(self, seen: Seen, wanted: Sequence[RunKey]) -> Mapping[RunKey, list[Statement]]:
        """All that events say of some runs, by those that are held."""
        said: dict[RunKey, list[Statement]] = defaultdict(list)
        if not wanted:
            return said
        from metering.store.clickhouse.block import RUN_STRUCTURE, run_block

        for at in range(0, len(wanted), _PART):
            part = wanted[at : at + _PART]
            rows = self._connection.rows(
                queries.said_of(seen, GIVEN), binary=["run_key"], given=(RUN_STRUCTURE, run_block(part))
            )
            for account, key, outcome, *rest in rows:
                said[account, key].append(Statement(Outcome(outcome), *rest))
        return said


def move(counts: Counter[Outcome], changes: Iterable[tuple[Outcome, int]]) -> None:
    """Counts with some runs more and some less; what is none is not there."""
    for outcome, quantity in changes:
        counts[outcome] += quantity
        if not counts[outcome]:
            del counts[outcome]


def once_within(said: Sequence[tuple[int, Statement | Action]], start: int, end: int) -> bool:
    """Whether what held of a run after some commit ends in a period. What was said comes with positions."""
    statements: list[Statement] = []
    action: Action | None = None
    for _, some in groupby(sorted(said, key=itemgetter(0)), key=itemgetter(0)):
        for _, each in some:
            if isinstance(each, Action):
                action = each
            else:
                statements.append(each)
        if start <= judged(statements, action).ended_at < end:
            return True
    return False


def merged(streams: Sequence[Iterator[Run]], moved: Sequence[Moved], start: int, end: int) -> Iterator[Run]:
    """Runs of a period from several streams, each ascending by the bytes of its ids, with what holds of those
    that were corrected in their places."""
    if moved:
        corrected = {each.after.task_run_id for each in moved}
        here = (each.after for each in moved if start <= each.after.ended_at < end)
        streams = [(run for run in stream if run.task_run_id not in corrected) for stream in streams]
        streams.append(iter(sorted(here, key=_by_id)))
    return heapq.merge(*streams, key=_by_id)


def _by_id(run: Run) -> bytes:
    return run.task_run_id.encode()


def _number(connection: sa.Connection, account: str) -> int:
    """The number of an account, which it gets now if it has none; nobody else gives any meanwhile."""
    query = sa.select(accounts.c.id).where(accounts.c.account == account)
    if (found := connection.scalar(query)) is None:
        connection.execute(accounts.insert().values(account=account))
        found = connection.scalar(query)
    assert found is not None
    return int(found)


def _run(key: bytes, said: Statement) -> Run:
    labels = (said.workspace, said.flow, said.source)
    return Run(run_key.decode(key), said.outcome, said.ended_at, said.duration_us, *labels)
