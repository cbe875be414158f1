"""All SQL of sources. What is written is what one process has seen to be done; of two that collect from one
source at once, the last to write may make the other's work be done again, and never skipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

import sqlalchemy as sa

from metering.collecting.completeness import Day
from metering.collecting.reading import Pass, Reach, Reading, Span
from metering.collecting.source import NAMED, Claim, Kind, Server, Source
from metering.collecting.tables import source_days, sources


def add(connection: sa.Connection, source: Source) -> None:
    """Raises sqlalchemy.exc.IntegrityError if the account has one of this id."""
    server = source.server
    connection.execute(
        sources.insert().values(
            account=source.account,
            id=source.id,
            kind=source.kind,
            added_at=source.added_at,
            since=source.since,
            url=server and server.url,
            key_name=server and server.key_name,
            workspace=server.workspace if server else "",
            retention_us=server and server.retention_us,
            missing=0,
            missing_ids="[]",
        )
    )


def get(connection: sa.Connection, account: str, source: str) -> Source | None:
    row = connection.execute(sa.select(sources).where(*_is(account, source))).one_or_none()
    return None if row is None else _source(row)


def search(
    connection: sa.Connection, *, account: str | None = None, source: str | None = None
) -> list[Source]:
    """In the order of accounts and ids."""
    query = sa.select(sources).order_by(sources.c.account, sources.c.id)
    if account is not None:
        query = query.where(sources.c.account == account)
    if source is not None:
        query = query.where(sources.c.id == source)
    return [_source(row) for row in connection.execute(query)]


def remove(connection: sa.Connection, account: str, source: str) -> bool:
    """Whether there was one."""
    connection.execute(
        source_days.delete().where(source_days.c.account == account, source_days.c.source == source)
    )
    return bool(connection.execute(sources.delete().where(*_is(account, source))).rowcount)


def change(connection: sa.Connection, account: str, source: str, server: Server) -> None:
    """Another address, key, workspace or retention; how far it is read stays."""
    _update(
        connection,
        account,
        source,
        url=server.url,
        key_name=server.key_name,
        workspace=server.workspace,
        retention_us=server.retention_us,
        retry_at=None,
    )


def change_since(connection: sa.Connection, source: Source, since: int) -> None:
    _update(connection, source.account, source.id, since=since)


def save_reading(connection: sa.Connection, source: Source, reading: Reading, lost: Span | None) -> None:
    going_on = reading.under_way
    _update(
        connection,
        source.account,
        source.id,
        read_to=reading.read_to,
        wide_at=reading.wide_at,
        day_at=reading.day_at,
        pass_reach=going_on and going_on.reach,
        pass_at=going_on and going_on.at,
        pass_end=going_on and going_on.end,
        pass_begun_at=going_on and going_on.begun_at,
        lost_from=lost and lost.start,
        lost_to=lost and lost.end,
    )


def save_attempt(
    connection: sa.Connection, source: Source, now: int, error: str | None, retry_at: int | None
) -> None:
    """How an attempt ended: well, or with an error, and before when not to try again."""
    since = None if error is None else sa.func.coalesce(sources.c.failing_since, now)
    _update(
        connection,
        source.account,
        source.id,
        tried_at=now,
        error=error,
        retry_at=retry_at,
        failing_since=since,
    )


def save_claim(connection: sa.Connection, source: Source, claim: Claim | None, checked_at: int) -> bool:
    """Take the place of what was claimed before, unless that was looked at later. None: it claims nothing any
    more. Whether it was taken."""
    values = {
        "complete_to": claim and claim.complete_to,
        "runs": claim and claim.runs,
        "position": claim and claim.position,
        "checked_at": checked_at,
    }
    earlier = sa.or_(sources.c.checked_at.is_(None), sources.c.checked_at <= checked_at)
    query = sources.update().where(*_is(source.account, source.id), earlier)
    return bool(connection.execute(query.values(**values)).rowcount)


def save_missing(connection: sa.Connection, source: Source, ids: tuple[str, ...], quantity: int) -> None:
    named = json.dumps(ids[:NAMED])
    _update(connection, source.account, source.id, missing=quantity, missing_ids=named)


def forget_lost(connection: sa.Connection, source: Source) -> None:
    """Nothing was lost after all: every task run of that time is held."""
    _update(connection, source.account, source.id, lost_from=None, lost_to=None)


def days(connection: sa.Connection, source: Source) -> dict[int, Day]:
    """The days that were looked at, by their number since 1970."""
    query = sa.select(source_days).where(
        source_days.c.account == source.account, source_days.c.source == source.id
    )
    return {row.day: Day(row.counted, row.runs) for row in connection.execute(query)}


def save_days(connection: sa.Connection, source: Source, found: Mapping[int, Day]) -> None:
    """In the place of all there were."""
    mine = (source_days.c.account == source.account, source_days.c.source == source.id)
    connection.execute(source_days.delete().where(*mine))
    rows = [
        {
            "account": source.account,
            "source": source.id,
            "day": number,
            "counted": day.counted,
            "runs": day.runs,
        }
        for number, day in found.items()
    ]
    if rows:
        connection.execute(source_days.insert(), rows)


def _update(connection: sa.Connection, account: str, source: str, **values: Any) -> None:
    connection.execute(sources.update().where(*_is(account, source)).values(**values))


def _is(account: str, source: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return sources.c.account == account, sources.c.id == source


def _source(row: sa.Row[Any]) -> Source:
    assert row.kind in get_args(Kind), f"{row.kind} is no kind of source"
    asked = row.kind == "prefect"
    return Source(
        account=row.account,
        id=row.id,
        kind=row.kind,
        added_at=row.added_at,
        since=row.since,
        server=Server(row.url, row.key_name, row.workspace, row.retention_us) if asked else None,
        reading=_reading(row) if asked else None,
        lost=None if row.lost_from is None else Span(row.lost_from, row.lost_to),
        tried_at=row.tried_at,
        retry_at=row.retry_at,
        error=row.error,
        failing_since=row.failing_since,
        claim=_claim(row),
        missing=row.missing,
        missing_ids=tuple(json.loads(row.missing_ids)),
    )


def _reading(row: sa.Row[Any]) -> Reading:
    under_way = None
    if row.pass_reach is not None:
        assert row.pass_reach in get_args(Reach), f"{row.pass_reach} is no reach"
        under_way = Pass(row.pass_reach, row.pass_at, row.pass_end, row.pass_begun_at)
    return Reading(row.since, row.read_to, under_way, row.wide_at, row.day_at)


def _claim(row: sa.Row[Any]) -> Claim | None:
    if row.complete_to is None:
        return None
    return Claim(row.complete_to, row.runs, row.position, row.checked_at)
