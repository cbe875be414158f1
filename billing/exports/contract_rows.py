"""Contracts of a month: a row a contract whose term has the month, with the figures of its report as of the
month's end, or of today where that is earlier."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import sqlalchemy as sa

from billing.contract_invoices import report_contract
from billing.contracts import list_contracts
from billing.exports.table import Columns, Kind, Row
from billing.pricing.contract import Contract
from billing.pricing.days import first_day
from billing.pricing.money import to_major
from metering.period import Month
from metering.store import EventStore

_PAGE = 100

CONTRACT_COLUMNS: Columns = {
    "contract": Kind.TEXT,
    "account": Kind.TEXT,
    "month": Kind.TEXT,
    "as_of": Kind.DAY,
    "start": Kind.DAY,
    "end": Kind.DAY,
    "plan": Kind.TEXT,
    "currency": Kind.TEXT,
    "month_granted": Kind.COUNT,
    "month_drawn": Kind.COUNT,
    "month_expired": Kind.COUNT,
    "month_on_demand": Kind.COUNT,
    "month_on_demand_amount": Kind.NUMBER,
    "committed": Kind.COUNT,
    "used": Kind.COUNT,
    "expired": Kind.COUNT,
    "remaining": Kind.COUNT,
    "on_demand": Kind.COUNT,
    "on_demand_amount": Kind.NUMBER,
    "instalments_invoiced": Kind.NUMBER,
    "instalments_to_come": Kind.NUMBER,
    "runs_out_on": Kind.DAY,
}


def contracts_of(engine: sa.Engine, month: Month, account: str | None) -> Iterator[Contract]:
    """Those whose term has the month, in the order of their ids, a page at a time."""
    after = ""
    while page := list_contracts(engine, account=account, after=after, limit=_PAGE):
        after = page[-1].id
        yield from (each for each in page if each.start <= first_day(month) < each.end)


def contract_rows(
    engine: sa.Engine, store: EventStore, month: Month, today: date, account: str | None
) -> Iterator[Row]:
    for contract in contracts_of(engine, month, account):
        as_of = min(month.last_day, today)
        report, _ = report_contract(engine, store, contract.id, as_of)
        code = contract.currency
        row = next((each for each in report.months if each.month == month), None)
        amounts = [(each.invoiced, each.amount - each.invoiced) for each in report.instalments]
        yield (
            contract.id,
            contract.account,
            str(month),
            as_of,
            contract.start,
            contract.end,
            report.plan,
            code,
            *((row.granted, row.drawn, row.expired, row.on_demand) if row else (0, 0, 0, 0)),
            to_major(row.on_demand_amount if row else 0, code),
            report.committed,
            report.used,
            report.expired,
            report.remaining,
            report.on_demand,
            to_major(report.on_demand_amount, code),
            to_major(sum(invoiced for invoiced, _ in amounts), code),
            to_major(sum(left for _, left in amounts), code),
            report.runs_out_on,
        )
