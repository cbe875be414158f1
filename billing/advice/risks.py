"""What is at risk in the contracts that run: runs that will expire unused, usage that no grant will cover,
and terms that end soon."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from billing.app import Service
from billing.contract_figures import RENEWAL_DAYS, projected, running
from billing.pricing.catalogue import PlanVersion
from billing.pricing.contract import Contract
from billing.pricing.drawdown import Drawdown
from billing.pricing.rating import rate
from billing.reporting.contract_pace import Projection
from billing.repository import accounts, plans
from metering.database import reading
from metering.period import Month, day_of, day_start

BASIS = (
    "the pace of the last 30 days, as in the contract's report: no trend; "
    "advice on a commitment goes by the forecast, which knows one"
)


@dataclass(frozen=True, slots=True)
class Risk:
    """As of the end of a day, at the pace of the last 30, as in the contract's report. `unused` runs will
    expire, worth `unused_value` at what they cost, with the edges of the range; `on_demand` runs are still to
    come that no grant covers, which cost `on_demand_amount` by the plan alone. Amounts in minor units."""

    contract: Contract
    as_of: date
    unused: int
    unused_low: int
    unused_high: int
    unused_value: int
    on_demand: int
    on_demand_amount: int
    runs_out: tuple[date, date, date] | None
    days_left: int

    @property
    def kinds(self) -> list[str]:
        found = ["unused"] if self.unused else []
        found += ["exhausted"] if self.runs_out is not None else []
        return found + (["renewal"] if self.days_left <= RENEWAL_DAYS else [])

    @property
    def at_stake(self) -> int:
        return max(self.unused_value, self.on_demand_amount)

    def to_data(self) -> dict[str, Any]:
        """In the shape of JSON answers."""
        out = self.runs_out
        return {
            "contract": self.contract.id,
            "account": self.contract.account,
            "currency": self.contract.currency,
            "start": self.contract.start.isoformat(),
            "end": self.contract.end.isoformat(),
            "as_of": self.as_of.isoformat(),
            "basis": BASIS,
            "risks": self.kinds,
            "expected_unused": self.unused,
            "expected_unused_range": [self.unused_low, self.unused_high],
            "unused_value": self.unused_value,
            "expected_on_demand": self.on_demand,
            "on_demand_amount": self.on_demand_amount,
            "runs_out_on": None if out is None else out[1].isoformat(),
            "runs_out_range": None if out is None else [out[0].isoformat(), out[2].isoformat()],
            "days_left": self.days_left,
        }


def contract_risks(service: Service, *, now: int) -> list[Risk]:
    """All running contracts: by currency, those first of which most is at stake, then the next to end."""
    today = day_of(now)
    as_of = today - timedelta(days=1)
    found = []
    held = running(service.engine, today)
    with reading(service.engine) as connection:
        catalogue = plans.catalogue(connection)
    for contract in held:
        with reading(service.engine) as connection:
            account = accounts.get(connection, contract.account)
        assert account is not None, "accounts are never removed"
        usage = service.store.billable_days(contract.account, day_start(contract.start), day_start(today))
        _, _, projection = projected(contract, usage, as_of)
        months = {month: catalogue.get(account.terms.plan(month)) for month in contract.months}
        found.append(risk_of(contract, as_of, projection, months))
    return sorted(
        found,
        key=lambda each: (each.contract.currency, -each.at_stake, each.contract.end, each.contract.id),
    )


def risk_of(
    contract: Contract, as_of: date, projection: Projection, versions: dict[Month, PlanVersion]
) -> Risk:
    """`versions` price each month of the term."""
    expected, edges = projection.expected, (projection.less, projection.more)
    low, high = sorted(sum(each.left.values()) for each in edges)
    ahead = projection.on_demand
    so_far: Counter[Month] = Counter()
    for day in expected.days:
        if day.day <= projection.until:
            so_far[Month(day.day.year, day.day.month)] += day.on_demand
    amount = sum(
        _amount(so_far[month] + more, versions[month]) - _amount(so_far[month], versions[month])
        for month, more in ahead.items()
    )
    return Risk(
        contract,
        as_of,
        sum(expected.left.values()),
        low,
        high,
        _value(contract, expected),
        sum(ahead.values()),
        amount,
        projection.runs_out,
        (contract.end - as_of).days - 1,
    )


def _amount(runs: int, version: PlanVersion) -> int:
    return sum(each.amount for each in rate(runs, version))


def _value(contract: Contract, drawdown: Drawdown) -> int:
    """What is left of each grant, at what it cost, half up."""
    return sum(
        (2 * drawdown.left[grant.id] * grant.price + grant.runs) // (2 * grant.runs)
        for grant in contract.grants
    )
