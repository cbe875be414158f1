"""Operations on sources, the same for every door: where an account's task runs come from, and to when that is
complete."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from billing.audit.trail import changing
from billing.errors import Invalid, NotFound, Refused
from metering.collecting import state
from metering.collecting.prefect_http import api_address
from metering.collecting.reading import Reading
from metering.collecting.source import (
    RETENTION_US,
    Claim,
    Server,
    Source,
    is_key_name,
    is_source_id,
)
from metering.database import reading, writing
from metering.period import DAY_US, MINUTE_US, format_instant
from metering.settings import PREFECT_KEY
from metering.sources.fields import is_account
from metering.store import EventStore

LONGEST_RETENTION_DAYS = 3650
# How far ahead of ours a source's clock may be.
_AHEAD_US = 5 * MINUTE_US
_LARGEST = 2**63


def server_of(
    url: str, *, key_name: str | None = None, workspace: str = "", retention_days: int | None = None
) -> Server:
    """Where a source is asked. Raises Invalid, and NoAddress."""
    name = key_name or PREFECT_KEY
    if not is_key_name(name):
        raise Invalid(f"key_name must begin with {PREFECT_KEY}, not be {name!r}", field="key_name")
    days = RETENTION_US // DAY_US if retention_days is None else retention_days
    if not 1 <= days <= LONGEST_RETENTION_DAYS:
        raise Invalid(f"retention_days must be 1 to {LONGEST_RETENTION_DAYS}", field="retention_days")
    if len(workspace) > 200 or not workspace.isprintable():
        raise Invalid("workspace must be up to 200 printable characters", field="workspace")
    return Server(api_address(url), name, workspace, days * DAY_US)


def add_source(
    engine: sa.Engine, account: str, source_id: str, server: Server, *, since: int | None, now: int
) -> Source:
    """A Prefect server from which an account's task runs are collected; `since`: from when on, by default all
    that the server still has, less what it may forget before it is asked. Raises Invalid, and Refused if it
    is a source already: its task runs would be billed twice."""
    _check_names(account, source_id)
    first = now - server.retention_us * 6 // 7 if since is None else since
    if first > now:
        raise Invalid(f"since is in the future; it must not be after {format_instant(now)}", field="since")
    source = Source(account, source_id, "prefect", now, first, server, Reading(first))
    with changing(
        engine, "source.added", "source", f"{account}/{source_id}", now=now, account=account
    ) as connection:
        if state.get(connection, account, source_id) is not None:
            raise Refused(f"account {account} has a source {source_id!r} already; see: billing sources list")
        _check_address(connection, server)
        state.add(connection, source)
    return source


def ensure_source(engine: sa.Engine, account: str, server: Server, *, since: int | None, now: int) -> Source:
    """The account's source at this address, added if there is none. Raises Invalid."""
    for each in list_sources(engine, account=account):
        if each.server is not None and each.server.url == server.url:
            return each
    taken = {each.id for each in list_sources(engine, account=account)}
    names = ("prefect", *(f"prefect-{number}" for number in range(2, len(taken) + 3)))
    free = next(name for name in names if name not in taken)
    return add_source(engine, account, free, server, since=since, now=now)


def change_source(
    engine: sa.Engine,
    source: Source,
    *,
    now: int,
    url: str | None = None,
    key_name: str | None = None,
    workspace: str | None = None,
    retention_days: int | None = None,
) -> Source:
    """Another address, key, workspace or retention. How far it is read, and complete, stays. Raises Invalid,
    NoAddress, Refused."""
    held = server_asked(source)
    server = server_of(
        held.url if url is None else url,
        key_name=key_name or held.key_name,
        workspace=held.workspace if workspace is None else workspace,
        retention_days=held.retention_us // DAY_US if retention_days is None else retention_days,
    )
    with changing(
        engine, "source.changed", "source", f"{source.account}/{source.id}", now=now, account=source.account
    ) as connection:
        _check_address(connection, server, source)
        state.change(connection, source.account, source.id, server)
    return replace(source, server=server)


def remove_source(engine: sa.Engine, source: Source, *, now: int) -> None:
    """It is not asked any more and has no say in what is complete. Its task runs stay."""
    with changing(
        engine, "source.removed", "source", f"{source.account}/{source.id}", now=now, account=source.account
    ) as connection:
        state.remove(connection, source.account, source.id)


def list_sources(
    engine: sa.Engine, *, account: str | None = None, source_id: str | None = None
) -> list[Source]:
    """In the order of accounts and ids."""
    with reading(engine) as connection:
        return state.search(connection, account=account, source=source_id)


def find_source(engine: sa.Engine, source_id: str, account: str | None = None) -> Source:
    """Raises NotFound, and Invalid where the account must be named to tell which."""
    found = list_sources(engine, account=account, source_id=source_id)
    if not found:
        of = "" if account is None else f" of account {account}"
        raise NotFound(f"there is no source {source_id!r}{of}; see: billing sources list")
    if len(found) > 1:
        accounts = ", ".join(each.account for each in found)
        raise Invalid(
            f"several accounts have a source {source_id!r}; name one of {accounts}", field="account"
        )
    return found[0]


def declare(
    engine: sa.Engine,
    store: EventStore,
    account: str,
    source_id: str,
    *,
    complete_to: int,
    runs: int | None = None,
    since: int | None = None,
    now: int,
) -> Source:
    """A source says by itself that all its task runs that ended before `complete_to` were handed in. Its last
    word holds, also if it takes some back. `since`: when it began; before, it has no say. Raises Invalid, and
    Refused for a source that is asked."""
    _check_names(account, source_id)
    if complete_to > now + _AHEAD_US:
        raise Invalid(
            f"complete_to is in the future; nothing can be complete after {format_instant(now)}",
            field="complete_to",
        )
    if runs is not None and not 0 <= runs < _LARGEST:
        raise Invalid("runs must be a quantity of task runs, 0 or more", field="runs")
    if since is not None and since > complete_to:
        raise Invalid("since must not be after complete_to", field="since")
    # What was handed in before it said so is below the cutoff of now.
    claim = Claim(complete_to, runs, store.cutoff().position, now)
    with writing(engine) as connection:
        held = state.get(connection, account, source_id)
        if held is not None and held.kind != "declared":
            raise Refused(f"source {source_id!r} is collected by this service, which says how complete it is")
        if held is None:
            held = Source(account, source_id, "declared", now, 0 if since is None else since)
            state.add(connection, held)
        elif since is not None:
            state.change_since(connection, held, since)
        state.save_claim(connection, held, claim, now)
        found = state.get(connection, account, source_id)
    assert found is not None, "it was there in this transaction"
    return found


def _check_address(connection: sa.Connection, server: Server, itself: Source | None = None) -> None:
    for each in state.search(connection):
        other = itself is None or (each.account, each.id) != (itself.account, itself.id)
        if other and each.server is not None and each.server.url == server.url:
            raise Refused(
                f"{server.url} is source {each.id!r} of account {each.account} already; a server's task runs "
                "belong to one account",
                field="url",
            )


def server_asked(source: Source) -> Server:
    """Where a source is asked. Raises Refused for one that is not."""
    if source.server is None:
        raise Refused(
            f"source {source.id!r} is not collected by this service; it declares its watermark itself"
        )
    return source.server


def _check_names(account: str, source_id: str) -> None:
    if not is_account(account):
        raise Invalid("account must be 1 to 64 of the characters A-Z a-z 0-9 . _ -", field="account")
    if not is_source_id(source_id):
        raise Invalid("source must be 1 to 64 of the characters A-Z a-z 0-9 . _ -", field="source")
