"""Accounts by the hundred thousand, written as `billing accounts add` would leave them, but for the audit
trail: one by one they would take longer than what is measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from billing.contracts import add_contract
from billing.pricing.contract import Contract, Grant, Instalments
from billing.pricing.terms import Change, Enrolment
from billing.pricing.terms_data import change_to_data
from billing.tables import account_terms, accounts
from metering.period import Month, day_of

_ROWS = 50_000
VERSION = "2021-02"
YEAR = Month(2026, 1), Month(2027, 1)


def write_accounts(
    engine: sa.Engine, agreed: Iterable[tuple[str, Sequence[Change]]], billing_from: Month
) -> None:
    """Each account's id and what was agreed with it, its enrolment first."""
    people, terms = [], []
    for name, changes in agreed:
        person = {"id": name, "name": "", "email": "", "currency": "USD", "entries": len(changes)}
        people.append({**person, "billing_from": str(billing_from), "created_at": 0})
        for entry, change in enumerate(changes, 1):
            kind, data = change_to_data(change)
            terms.append(
                {
                    "account_id": name,
                    "entry": entry,
                    "kind": kind,
                    "data": json.dumps(data),
                    "amendment": False,
                    "author": "bench",
                    "reason": "",
                    "recorded_at": 0,
                }
            )
    write_rows(engine, accounts, people)
    write_rows(engine, account_terms, terms)


def enrol(engine: sa.Engine, names: Sequence[str]) -> None:
    """Accounts with a plan, every other one under contract for a year: a quota asks for both."""
    first, last = (day_of(month.start) for month in YEAR)
    grants = (Grant("year", 1_000_000, 0, first, last),)
    write_accounts(engine, [(name, [Enrolment(YEAR[0], "starter", VERSION)]) for name in names], YEAR[0])
    for name in names[1::2]:
        contract = Contract(
            f"contract-{name}", name, first, last, "starter", "USD", Instalments.UPFRONT, grants
        )
        add_contract(engine, contract, by="bench", now=YEAR[0].start)


def write_rows(engine: sa.Engine, table: sa.Table, rows: Sequence[dict[str, object]]) -> None:
    with engine.begin() as connection:
        for at in range(0, len(rows), _ROWS):
            connection.execute(table.insert(), rows[at : at + _ROWS])
