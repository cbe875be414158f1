"""Which of some task runs are held, by their ids: no more is read than was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import sqlalchemy as sa

from metering.outcome import Outcome
from metering.store import run_key
from metering.store.tables import revisions, task_runs

# Ids that one query asks for.
_PART = 500


def held_runs(connection: sa.Connection, account_id: int, task_run_ids: Sequence[str]) -> dict[str, Outcome]:
    """The outcome of each that is held: the highest of what its events say (docs/rules.md §2)."""
    ids = {run_key.encode(each): each for each in task_run_ids}
    found: dict[str, Outcome] = {}
    for bucket, part in key_parts(ids):
        for table in (task_runs, revisions):
            query = sa.select(table.c.run_key, sa.func.max(table.c.outcome)).group_by(table.c.run_key)
            where = (table.c.bucket == bucket, table.c.account_id == account_id, table.c.run_key.in_(part))
            for key, outcome in connection.execute(query.where(*where)):
                task_run_id = ids[bytes(key)]
                found[task_run_id] = max(Outcome(outcome), found.get(task_run_id, Outcome.FAILED))
    return found


def key_parts(keys: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Keys by bucket: those that are asked for together were mostly made together."""
    for bucket, some in groupby(sorted(keys, key=run_key.bucket), key=run_key.bucket):
        while part := list(islice(some, _PART)):
            yield bucket, part
