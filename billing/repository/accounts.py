"""Accounts and their enrolments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from billing.tables import accounts, enrolments
from metering.period import Month


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The plan version that prices an account from a month on."""

    from_month: Month
    plan: str
    version: str

    @property
    def plan_id(self) -> str:
        return f"{self.plan}@{self.version}"


@dataclass(frozen=True, slots=True)
class Account:
    """Who is billed. `enrolments` are in the order of their months; there is at least one."""

    id: str
    name: str
    email: str
    currency: str
    billing_from: Month
    created_at: int
    stripe_customer_id: str | None
    enrolments: tuple[Enrolment, ...]

    def enrolment(self, month: Month) -> Enrolment:
        """The enrolment that holds in a month; for a month before all of them, the first."""
        held = [each for each in self.enrolments if each.from_month <= month]
        return held[-1] if held else self.enrolments[0]


def add(connection: sa.Connection, account: Account) -> None:
    """Raises sqlalchemy.exc.IntegrityError if the account exists."""
    connection.execute(
        accounts.insert().values(
            id=account.id,
            name=account.name,
            email=account.email,
            currency=account.currency,
            billing_from=str(account.billing_from),
            created_at=account.created_at,
            stripe_customer_id=account.stripe_customer_id,
        )
    )
    for enrolment in account.enrolments:
        enrol(connection, account.id, enrolment)


def enrol(connection: sa.Connection, account_id: str, enrolment: Enrolment) -> None:
    """From its month on the account has this plan version; later enrolments are replaced."""
    month = str(enrolment.from_month)
    connection.execute(
        enrolments.delete().where(enrolments.c.account_id == account_id, enrolments.c.from_month >= month)
    )
    connection.execute(
        enrolments.insert().values(
            account_id=account_id, from_month=month, plan=enrolment.plan, version=enrolment.version
        )
    )


def get(connection: sa.Connection, account_id: str) -> Account | None:
    found = _load(connection, sa.select(accounts).where(accounts.c.id == account_id))
    return found[0] if found else None


def every(connection: sa.Connection, *, after: str = "", limit: int | None = None) -> list[Account]:
    """Accounts in the order of their ids, those after one id, at most so many."""
    query = sa.select(accounts).where(accounts.c.id > after).order_by(accounts.c.id)
    return _load(connection, query if limit is None else query.limit(limit))


def set_stripe_customer(connection: sa.Connection, account_id: str, customer_id: str) -> None:
    connection.execute(
        accounts.update().where(accounts.c.id == account_id).values(stripe_customer_id=customer_id)
    )


def _load(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Account]:
    rows = connection.execute(query).all()
    plans = _enrolments(connection, [row.id for row in rows])
    return [
        Account(
            row.id,
            row.name,
            row.email,
            row.currency,
            Month.parse(row.billing_from),
            row.created_at,
            row.stripe_customer_id,
            tuple(plans[row.id]),
        )
        for row in rows
    ]


def _enrolments(connection: sa.Connection, ids: list[str]) -> dict[str, list[Enrolment]]:
    found: dict[str, list[Enrolment]] = {account_id: [] for account_id in ids}
    for part in _parts(ids):
        query = (
            sa.select(enrolments)
            .where(enrolments.c.account_id.in_(part))
            .order_by(enrolments.c.account_id, enrolments.c.from_month)
        )
        for row in connection.execute(query):
            found[row.account_id].append(Enrolment(Month.parse(row.from_month), row.plan, row.version))
    return found


def _parts(ids: list[str], size: int = 1000) -> Iterable[list[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
