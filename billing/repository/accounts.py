"""Accounts, with the terms that hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa

from billing.billing_details import NO_DETAILS, BillingDetails
from billing.pricing.days import first_day
from billing.pricing.terms import Terms, terms_of
from billing.repository import terms as terms_repository
from billing.tables import accounts, invoices
from metering.database import insert_into
from metering.period import Month

_NAMES = (accounts.c.id, accounts.c.name)


@dataclass(frozen=True, slots=True)
class Account:
    """Who is billed. `entries` is the number of the last entry in its books; `closed_on` the day on which it
    was closed, or None. `stripe_customer_holds` is what the customer at Stripe was last given."""

    id: str
    name: str
    email: str
    currency: str
    billing_from: Month
    created_at: int
    stripe_customer_id: str | None
    terms: Terms
    details: BillingDetails = NO_DETAILS
    closed_on: date | None = None
    entries: int = 0
    stripe_customer_holds: Mapping[str, Any] = field(default_factory=dict)


def add(connection: sa.Connection, account: Account) -> bool:
    """Store a new account, without its terms. False, and nothing is written, if it exists."""
    statement = insert_into(connection, accounts).values(
        id=account.id,
        name=account.name,
        email=account.email,
        currency=account.currency,
        billing_from=str(account.billing_from),
        created_at=account.created_at,
        stripe_customer_id=account.stripe_customer_id,
        details=json.dumps(account.details.to_data()),
        entries=0,
    )
    return connection.scalar(statement.on_conflict_do_nothing().returning(accounts.c.id)) is not None


def next_entry(connection: sa.Connection, account_id: str, after: int | None = None) -> int | None:
    """Take the next number in the account's books, within the transaction that writes the entry; no other
    writer gets at these books before it ends. None, and nothing is taken, if `after` is given and is not the
    last number any more."""
    statement = (
        accounts.update()
        .where(accounts.c.id == account_id)
        .values(entries=accounts.c.entries + 1)
        .returning(accounts.c.entries)
    )
    if after is not None:
        statement = statement.where(accounts.c.entries == after)
    entry: int | None = connection.scalar(statement)
    return entry


def next_entries(connection: sa.Connection, after: Mapping[str, int]) -> set[str]:
    """The same for many accounts, each with its last number; the answer are those whose number was taken.
    An account that somebody else is writing to is left out, not waited for: who holds many locks and waits
    for one more keeps others waiting, who may hold that one."""
    ids = sorted(after)
    query = sa.select(accounts.c.id, accounts.c.entries).where(accounts.c.id.in_(ids)).order_by(accounts.c.id)
    rows = connection.execute(query.with_for_update(key_share=True, skip_locked=True))
    taken = {row.id for row in rows if row.entries == after[row.id]}
    connection.execute(
        accounts.update().where(accounts.c.id.in_(sorted(taken))).values(entries=accounts.c.entries + 1)
    )
    return taken


def lock(connection: sa.Connection, account_id: str) -> None:
    """Nobody else writes to the account's books before this transaction ends. Whoever locks an invoice too
    locks its account first. Of an account that does not exist nothing is locked."""
    query = sa.select(accounts.c.id).where(accounts.c.id == account_id)
    connection.execute(query.with_for_update(key_share=True))


def get(connection: sa.Connection, account_id: str) -> Account | None:
    found = _load(connection, sa.select(accounts).where(accounts.c.id == account_id))
    return found[0] if found else None


def terms_of_one(connection: sa.Connection, account_id: str) -> Terms | None:
    """What was agreed with an account, or None if there is none: one statement, for whoever needs no more."""
    changes = terms_repository.changes_of_one(connection, account_id)
    return None if changes is None else terms_of(changes)


def some(connection: sa.Connection, ids: Sequence[str]) -> list[Account]:
    """Those of these ids, in their order."""
    return _load(connection, sa.select(accounts).where(accounts.c.id.in_(ids)).order_by(accounts.c.id))


def every(
    connection: sa.Connection, *, after: str = "", limit: int | None = None, search: str = ""
) -> list[Account]:
    """Accounts in the order of their ids, those after one id, at most so many; with `search`, those that have
    it in their id or name, in any case."""
    query = sa.select(accounts).where(accounts.c.id > after).order_by(accounts.c.id)
    if search:
        has = [sa.func.lower(each).contains(search.lower(), autoescape=True) for each in _NAMES]
        query = query.where(sa.or_(*has))
    return _load(connection, query.limit(limit))


def of_stripe_customer(connection: sa.Connection, customer_id: str) -> str | None:
    """The id of the account that a customer at Stripe stands for."""
    return connection.scalar(sa.select(accounts.c.id).where(accounts.c.stripe_customer_id == customer_id))


def billed_spans(connection: sa.Connection) -> Sequence[sa.Row[str, str, str, str | None]]:
    """Of every account, by id: its currency, the month from which it is billed, the day of its closing."""
    columns = (accounts.c.id, accounts.c.currency, accounts.c.billing_from, accounts.c.closed_on)
    return connection.execute(sa.select(*columns).order_by(accounts.c.id)).all()


def ids(connection: sa.Connection) -> set[str]:
    """Of all accounts."""
    return set(connection.scalars(sa.select(accounts.c.id)))


def to_be_run(connection: sa.Connection, month: Month, *, even_void: bool = True) -> set[str]:
    """The ids of the accounts that are billed in a month and have no usage invoice of it, be it void; of
    those that have no other, too, if not `even_void`."""
    none = ("draft",) if even_void else ("draft", "void")
    invoiced = sa.exists().where(
        invoices.c.account_id == accounts.c.id,
        invoices.c.month == str(month),
        invoices.c.kind == "usage",
        invoices.c.status.not_in(none),
    )
    open_then = accounts.c.closed_on.is_(None) | (accounts.c.closed_on >= first_day(month).isoformat())
    query = sa.select(accounts.c.id).where(accounts.c.billing_from <= str(month), open_then, ~invoiced)
    return set(connection.scalars(query))


def update(connection: sa.Connection, account_id: str, **changes: Any) -> None:
    """Change what is not terms: name, e-mail, details (as JSON), the day of closing, Stripe's customer and
    what it holds (as JSON)."""
    allowed = {"name", "email", "details", "closed_on", "stripe_customer_id", "stripe_customer_holds"}
    assert changes.keys() <= allowed, f"terms are changed by entries: {changes.keys() - allowed}"
    connection.execute(accounts.update().where(accounts.c.id == account_id).values(**changes))


def set_stripe_customer(
    connection: sa.Connection, account_id: str, customer_id: str, holds: Mapping[str, Any] | None = None
) -> None:
    """`holds`: what the customer was given; None if that is not known."""
    update(
        connection,
        account_id,
        stripe_customer_id=customer_id,
        stripe_customer_holds=json.dumps(dict(holds or {})),
    )


def _load(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Account]:
    rows = connection.execute(query).all()
    changes = terms_repository.changes(connection, [row.id for row in rows])
    return [
        Account(
            row.id,
            row.name,
            row.email,
            row.currency,
            Month.parse(row.billing_from),
            row.created_at,
            row.stripe_customer_id,
            terms_of(changes[row.id]),
            BillingDetails(**json.loads(row.details)),
            None if row.closed_on is None else date.fromisoformat(row.closed_on),
            row.entries,
            json.loads(row.stripe_customer_holds),
        )
        for row in rows
    ]


def is_after_closing(account: Account, month: Month) -> bool:
    """Whether a month begins after the day on which the account was closed."""
    return account.closed_on is not None and first_day(month) > account.closed_on
