"""The report on a contract as of a date: what was committed, used and left, how long it lasts at today's
pace, and what it is worth (docs/rules.md §4, The report).

A function of values alone. `contract_page` makes a page of it for the customer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from billing.exports.csv_file import csv_lines
from billing.exports.table import Kind, Table
from billing.pricing.catalogue import PlanVersion
from billing.pricing.contract import Contract
from billing.pricing.contract_invoice import (
    InstalmentStatus,
    ServiceStatus,
    instalment_status,
    service_status,
)
from billing.pricing.drawdown import draw
from billing.pricing.errors import CurrencyMismatch
from billing.pricing.money import plain, to_major
from billing.reporting.contract_pace import WINDOW, Pace, Projection, project
from billing.reporting.contract_worth import TopUp, rated_amount, top_up, unit_price
from metering.period import Month

if TYPE_CHECKING:
    import pandas as pd

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ReportMonth:
    """A month of the term, up to the day of the report: runs that were `granted`, `drawn` and `expired` and
    those `on_demand`, the amount of the latter in minor units by the plan's whole schedule, and the `balance`
    as the month, or the day of the report in it, ends. What expires as the term ends is in the last month."""

    month: Month
    granted: int
    drawn: int
    expired: int
    on_demand: int
    on_demand_amount: int
    balance: int

    @property
    def billable(self) -> int:
        return self.drawn + self.on_demand


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A service, and the day on which it was delivered; None while it is owed."""

    service: ServiceStatus
    delivered_on: date | None


@dataclass(frozen=True, slots=True)
class ContractReport:
    """What the report says. Quantities are runs, prices are in major units a run, amounts in minor units.

    `committed`: of grants granted up to `as_of`. `used`, `expired`: effective up to and with `as_of`.
    `pace`: the billable runs of each of the last 30 days up to `as_of`, of fewer where the term is younger,
    and of the last of the term where it has ended.
    `runs_out_on`: the first day after `as_of` with a run that no grant covers at that pace; None if the term
    has none, or there is no grant. Where nothing is left and no grant is to come, it is the first such day
    since there was a balance: a day that is past, as a rule.
    `runs_out_range`: that day at the edges of a band that holds the use four times of five; the late edge is
    the end of the term if it does not come within it. None if `runs_out_on` is.
    `expected_unused`: runs that will expire after `as_of` at that pace; not those in `expired`.
    `effective_unit_price`: the price of the grants so far by run committed; None if there is none.
    `list_unit_price`: what the plan's schedule would have charged for the billable runs so far, by month and
    with its free runs, by run; None if there is none.
    `top_up`: None if no run will be on demand, or no grant has a price to go by.
    """

    contract: Contract
    plan: str
    as_of: date
    committed: int
    used: int
    expired: int
    remaining: int
    months: tuple[ReportMonth, ...]
    pace: Pace
    runs_out_on: date | None
    runs_out_range: tuple[date, date] | None
    expected_unused: int
    effective_unit_price: Decimal | None
    list_unit_price: Decimal | None
    top_up: TopUp | None
    instalments: tuple[InstalmentStatus, ...]
    services: tuple[ServiceRow, ...]
    projection: Projection

    @property
    def on_demand(self) -> int:
        """Runs of the term so far that no grant covered."""
        return sum(month.on_demand for month in self.months)

    @property
    def on_demand_amount(self) -> int:
        return sum(month.on_demand_amount for month in self.months)

    def to_data(self) -> dict[str, object]:
        """The report in the shape of JSON answers."""
        return {
            "contract": self.contract.id,
            "account": self.contract.account,
            "as_of": self.as_of.isoformat(),
            "currency": self.contract.currency,
            "plan": self.plan,
            "start": self.contract.start.isoformat(),
            "end": self.contract.end.isoformat(),
            "committed": self.committed,
            "used": self.used,
            "expired": self.expired,
            "remaining": self.remaining,
            "on_demand": self.on_demand,
            "on_demand_amount": self.on_demand_amount,
            "months": [
                {
                    "month": str(row.month),
                    "granted": row.granted,
                    "drawn": row.drawn,
                    "expired": row.expired,
                    "on_demand": row.on_demand,
                    "on_demand_amount": row.on_demand_amount,
                    "balance": row.balance,
                }
                for row in self.months
            ],
            "runs_per_day": plain(self.pace.per_day),
            "runs_out_on": _text(self.runs_out_on),
            "runs_out_range": self.runs_out_range and [each.isoformat() for each in self.runs_out_range],
            "expected_unused": self.expected_unused,
            "effective_unit_price": _price(self.effective_unit_price),
            "list_unit_price": _price(self.list_unit_price),
            "top_up": self.top_up
            and {
                "runs": self.top_up.runs,
                "price": self.top_up.price,
                "on_demand_amount": self.top_up.on_demand_amount,
                "saving": self.top_up.saving,
            },
            "instalments": [
                {
                    "due_on": each.due_on.isoformat(),
                    "grant": each.grant,
                    "amount": each.amount,
                    "invoiced": each.invoiced,
                    "status": each.status.value,
                }
                for each in self.instalments
            ],
            "services": [
                {
                    "number": row.service.number,
                    "description": row.service.description,
                    "amount": row.service.amount,
                    "invoiced": row.service.invoiced,
                    "due_on": row.service.due_on.isoformat(),
                    "status": row.service.status and row.service.status.value,
                    "delivered": row.delivered_on is not None,
                    "delivered_on": _text(row.delivered_on),
                }
                for row in self.services
            ],
        }

    def to_csv(self) -> str:
        """A row a month: quantities, and the amount in major units. Lines end in `\\n`."""
        names = ("granted", "drawn", "expired", "on_demand", "on_demand_amount", "balance")
        columns = {"month": Kind.TEXT, **dict.fromkeys(names, Kind.COUNT), "on_demand_amount": Kind.NUMBER}
        rows = (
            (
                str(row.month),
                row.granted,
                row.drawn,
                row.expired,
                row.on_demand,
                to_major(row.on_demand_amount, self.contract.currency),
                row.balance,
            )
            for row in self.months
        )
        return b"".join(csv_lines(Table("contract", columns, rows))).decode()


def contract_report(
    contract: Contract,
    versions: Mapping[Month, PlanVersion],
    usage_by_day: Mapping[date, int],
    *,
    invoiced: Mapping[str, int],
    delivered: Mapping[int, date],
    as_of: date,
) -> ContractReport:
    """The report on a contract as of the end of a day. `versions` has the plan version that prices on-demand
    usage for each month of the term; `usage_by_day` holds the billable runs of the term that are known, those
    of days after `as_of` count for nothing; `invoiced` is as `contract_invoice.due_lines` takes it;
    `delivered` has the day of delivery by the service's number.

    Raises CurrencyMismatch if a plan has another currency than the contract, ValueError for usage outside
    of the term, and what `draw` and `due_lines` raise.
    """
    from billing.reporting.contract_series import daily, monthly  # pandas, which is slow to import

    for version in versions.values():
        if version.currency != contract.currency:
            raise CurrencyMismatch(
                f"contract {contract.id} is in {contract.currency}, "
                f"but plan {version.id} is priced in {version.currency}"
            )
    for day in usage_by_day:
        if not contract.start <= day < contract.end:
            raise ValueError(f"usage on {day} is outside of the term of contract {contract.id}")
    until = max(min(as_of, contract.end - _DAY), contract.start - _DAY)
    usage = {day: runs for day, runs in usage_by_day.items() if day <= until}
    drawdown = draw(contract.grants, usage)
    # A row more than the term has days: what expires as it ends is effective on `end`.
    days = daily(contract.grants, drawdown, contract.start, min(as_of, contract.end))
    months = _months(monthly(days, contract.end), versions)
    known = days.iloc[: (until - contract.start).days + 1]
    pace = Pace(tuple(map(int, (known["drawn"] + known["on_demand"]).tail(WINDOW))))
    projection = project(contract, usage, until, list(known["balance"]), pace)
    committed = int(days["granted"].sum())
    price = sum(grant.price for grant in contract.grants if grant.granted_on <= as_of)
    statuses = service_status(contract, invoiced, as_of)
    return ContractReport(
        contract=contract,
        plan=contract.plan,
        as_of=as_of,
        committed=committed,
        used=int(days["drawn"].sum()),
        expired=int(days["expired"].sum()),
        remaining=int(days["balance"].iloc[-1]) if len(days) else 0,
        months=months,
        pace=pace,
        runs_out_on=projection.runs_out and projection.runs_out[1],
        runs_out_range=projection.runs_out and (projection.runs_out[0], projection.runs_out[2]),
        expected_unused=sum(
            projection.expected.left[grant.id] for grant in contract.grants if grant.expires_on > as_of
        ),
        effective_unit_price=unit_price(price, committed, contract.currency),
        list_unit_price=unit_price(
            sum(rated_amount(row.billable, versions[row.month]) for row in months),
            sum(row.billable for row in months),
            contract.currency,
        ),
        top_up=top_up(
            projection.on_demand, {row.month: row.on_demand for row in months}, versions, price, committed
        ),
        instalments=instalment_status(contract, invoiced, as_of),
        services=tuple(ServiceRow(each, _delivered(delivered.get(each.number), as_of)) for each in statuses),
        projection=projection,
    )


def _months(table: pd.DataFrame, versions: Mapping[Month, PlanVersion]) -> tuple[ReportMonth, ...]:
    return tuple(
        ReportMonth(
            month=Month.parse(str(month)),
            on_demand_amount=rated_amount(int(row["on_demand"]), versions[Month.parse(str(month))]),
            **{str(name): int(runs) for name, runs in row.items()},
        )
        for month, row in table.to_dict("index").items()
    )


def _delivered(day: date | None, as_of: date) -> date | None:
    return day if day is not None and day <= as_of else None


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _price(price: Decimal | None) -> str | None:
    return None if price is None else plain(price)
