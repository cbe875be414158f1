"""The record of the operator's corrections, which the SQL database keeps whichever store keeps the events.

It is only ever added to. Of a run the last one as of a cutoff holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from metering.database import reading
from metering.outcome import Action
from metering.period import Month
from metering.store import run_key
from metering.store.tables import accounts, commits, corrections

# Accounts or keys that one query asks for.
_PART = 1000

_ACTIONS = {int(action): action for action in Action}


class Recorded(NamedTuple):
    """A correction as it was recorded. `position` and `place` order all of them, and name one."""

    position: int
    place: int
    account: str
    task_run_id: str
    action: Action
    reason: str
    author: str
    recorded_at: int


def of_accounts(
    connection: sa.Connection, account_ids: Sequence[int], cutoff: int
) -> dict[tuple[int, bytes], Action]:
    """What holds, as of a cutoff, of those runs of some accounts that were corrected by then."""
    query = sa.select(corrections.c.account_id, corrections.c.run_key, corrections.c.action)
    query = query.where(corrections.c.position <= cutoff).order_by(corrections.c.position)
    found: dict[tuple[int, bytes], Action] = {}
    for at in range(0, len(account_ids), _PART):
        some = corrections.c.account_id.in_(account_ids[at : at + _PART])
        for account_id, key, action in connection.execute(query.where(some)):
            found[account_id, bytes(key)] = _ACTIONS[action]
    return found


def by_name(
    connection: sa.Connection, cutoff: int, names: Sequence[str] | None = None
) -> dict[str, dict[bytes, Action]]:
    """What holds, as of a cutoff, of the corrected runs of each account, or of each of some."""
    query = sa.select(accounts.c.account, corrections.c.run_key, corrections.c.action)
    query = query.join(accounts, accounts.c.id == corrections.c.account_id)
    query = query.where(corrections.c.position <= cutoff).order_by(corrections.c.position)
    found: dict[str, dict[bytes, Action]] = defaultdict(dict)
    parts = [None] if names is None else [names[at : at + _PART] for at in range(0, len(names), _PART)]
    for part in parts:
        some = query if part is None else query.where(accounts.c.account.in_(part))
        for account, key, action in connection.execute(some):
            found[account][bytes(key)] = _ACTIONS[action]
    return dict(found)


def history(connection: sa.Connection, account: str, cutoff: int) -> dict[bytes, list[tuple[int, Action]]]:
    """Every correction of an account's runs up to a cutoff, with its position, in their order."""
    query = sa.select(corrections.c.run_key, corrections.c.position, corrections.c.action)
    query = query.join(accounts, accounts.c.id == corrections.c.account_id)
    query = query.where(accounts.c.account == account, corrections.c.position <= cutoff)
    found: dict[bytes, list[tuple[int, Action]]] = defaultdict(list)
    for key, position, action in connection.execute(query.order_by(corrections.c.position)):
        found[bytes(key)].append((position, _ACTIONS[action]))
    return found


def every(connection: sa.Connection) -> Iterator[Recorded]:
    """The whole record, in its order, some thousand at a time."""
    answer = connection.execute(_record(), execution_options={"yield_per": _PART})
    for page in answer.partitions():
        for row in page:
            yield _recorded(row)


def committed(connection: sa.Connection) -> dict[int, int]:
    """When what is at each position of the record was committed, as the list of commits has it, which it is
    written to in the same transaction. Without those of which there is no commit."""
    record = sa.select(corrections.c.position)
    query = sa.select(commits.c.position, commits.c.committed_at).where(commits.c.position.in_(record))
    return {row.position: row.committed_at for row in connection.execute(query)}


def at_position(connection: sa.Connection, position: int) -> list[Recorded]:
    """What was recorded in one transaction."""
    return _rows(connection, _record().where(corrections.c.position == position))


def recorded_at(connection: sa.Connection, account: str, at: int) -> list[Recorded]:
    """What was recorded of an account at an instant, in its order."""
    query = _record().where(accounts.c.account == account, corrections.c.recorded_at == at)
    return _rows(connection, query)


def recorded(
    engine: sa.Engine,
    *,
    account: str | None = None,
    task_run_id: str | None = None,
    month: Month | None = None,
    after: tuple[int, int] = (0, -1),
    limit: int,
) -> list[Recorded]:
    """Corrections after a position and place, in the order in which they were recorded: all, or those of an
    account, of a run, recorded in a month."""
    query = _record().where(sa.tuple_(corrections.c.position, corrections.c.place) > after)
    if account is not None:
        query = query.where(accounts.c.account == account)
    if task_run_id is not None:
        query = query.where(corrections.c.run_key == run_key.encode(task_run_id))
    if month is not None:
        query = query.where(corrections.c.recorded_at >= month.start, corrections.c.recorded_at < month.end)
    with reading(engine) as connection:
        return _rows(connection, query.limit(limit))


def _record() -> sa.Select[Any]:
    columns = (corrections.c.position, corrections.c.place, accounts.c.account, corrections.c.run_key)
    said = (corrections.c.action, corrections.c.reason, corrections.c.author, corrections.c.recorded_at)
    query = sa.select(*columns, *said).join(accounts, accounts.c.id == corrections.c.account_id)
    return query.order_by(corrections.c.position, corrections.c.place)


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> list[Recorded]:
    return [_recorded(row) for row in connection.execute(query)]


def _recorded(row: Any) -> Recorded:
    position, place, name, key, action, *rest = row
    return Recorded(position, place, name, run_key.decode(bytes(key)), _ACTIONS[action], *rest)
