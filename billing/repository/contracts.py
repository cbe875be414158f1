"""Contracts beside their terms: whose they are, what was delivered, and the ledger of committed runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import sqlalchemy as sa

from billing.pricing.run_ledger import Entry, EntryKind
from billing.tables import contracts, deliveries, run_ledger
from metering.database import insert_into


def add(connection: sa.Connection, contract_id: str, account_id: str) -> str | None:
    """Note whose contract it is. If the id is taken, nothing is written, and the answer is by which
    account."""
    values = {"id": contract_id, "account_id": account_id}
    statement = insert_into(connection, contracts).values(values).on_conflict_do_nothing()
    if connection.scalar(statement.returning(contracts.c.id)) is not None:
        return None
    return account_of(connection, contract_id)


def remove(connection: sa.Connection, contract_id: str) -> None:
    """Free the id of a contract that never held."""
    connection.execute(run_ledger.delete().where(run_ledger.c.contract_id == contract_id))
    connection.execute(deliveries.delete().where(deliveries.c.contract_id == contract_id))
    connection.execute(contracts.delete().where(contracts.c.id == contract_id))


def account_of(connection: sa.Connection, contract_id: str) -> str | None:
    """The account whose contract it is."""
    found: str | None = connection.scalar(
        sa.select(contracts.c.account_id).where(contracts.c.id == contract_id)
    )
    return found


def every(
    connection: sa.Connection, *, account: str | None = None, after: str = "", limit: int | None = None
) -> list[tuple[str, str]]:
    """Contracts and their accounts, in the order of the contracts' ids."""
    query = sa.select(contracts).where(contracts.c.id > after).order_by(contracts.c.id)
    if account is not None:
        query = query.where(contracts.c.account_id == account)
    rows = connection.execute(query.limit(limit))
    return [(row.id, row.account_id) for row in rows]


def deliver(
    connection: sa.Connection, contract_id: str, service: int, on: date, *, by: str, now: int
) -> None:
    """A service, by its place in the contract, was delivered on a day. Raises
    sqlalchemy.exc.IntegrityError if that was recorded before."""
    connection.execute(
        deliveries.insert().values(
            contract_id=contract_id,
            service=service,
            delivered_on=on.isoformat(),
            author=by,
            recorded_at=now,
        )
    )


def delivered(connection: sa.Connection, contract_id: str) -> dict[int, date]:
    """The services that were delivered, by their place in the contract, and when."""
    query = sa.select(deliveries).where(deliveries.c.contract_id == contract_id)
    return {row.service: date.fromisoformat(row.delivered_on) for row in connection.execute(query)}


def ledger(connection: sa.Connection, contract_id: str) -> list[Entry]:
    """The run ledger of a contract, in the order in which it was written."""
    query = sa.select(run_ledger).where(run_ledger.c.contract_id == contract_id)
    return [
        Entry(
            EntryKind(row.kind),
            row.grant_id,
            date.fromisoformat(row.effective_on),
            row.quantity,
            row.recorded_at,
            None if row.corrects is None else EntryKind(row.corrects),
        )
        for row in connection.execute(query.order_by(run_ledger.c.entry))
    ]


def record(connection: sa.Connection, contract_id: str, after: int, entries: Iterable[Entry]) -> None:
    """Add entries to a ledger that holds `after` of them."""
    rows = [
        {
            "contract_id": contract_id,
            "entry": number,
            "kind": entry.kind.value,
            "grant_id": entry.grant,
            "effective_on": entry.effective_on.isoformat(),
            "quantity": entry.quantity,
            "corrects": None if entry.corrects is None else entry.corrects.value,
            "recorded_at": entry.recorded_at,
        }
        for number, entry in enumerate(entries, start=after + 1)
    ]
    if rows:
        connection.execute(run_ledger.insert(), rows)
