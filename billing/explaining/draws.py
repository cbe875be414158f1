"""What committed runs served of a month: which grants, and day by day (docs/rules.md §4, Drawing)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from billing.pricing.contract import Contract
from billing.pricing.drawdown import DrawnDay, draw
from metering.period import Month


@dataclass(frozen=True, slots=True)
class GrantDraw:
    """A grant that could serve days of the month: `before` is what was left of it when the month began (or
    when it was granted), `drawn` what the month took, `left` what it left. It is usable on the days
    `[granted_on, expires_on)`."""

    grant: str
    granted_on: date
    expires_on: date
    before: int
    drawn: int
    left: int


@dataclass(frozen=True, slots=True)
class MonthDraws:
    """A month under contract. `days` are those with billable runs."""

    contract: str
    grants: tuple[GrantDraw, ...]
    days: tuple[DrawnDay, ...]

    @property
    def drawn(self) -> int:
        return sum(day.drawn for day in self.days)

    @property
    def on_demand(self) -> int:
        return sum(day.on_demand for day in self.days)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "grants": [
                {
                    "grant": each.grant,
                    "granted_on": each.granted_on.isoformat(),
                    "expires_on": each.expires_on.isoformat(),
                    "before": each.before,
                    "drawn": each.drawn,
                    "left": each.left,
                }
                for each in self.grants
            ],
            "days": [
                {
                    "day": day.day.isoformat(),
                    "billable": day.billable,
                    "drawn": day.drawn,
                    "by_grant": dict(day.by_grant),
                    "on_demand": day.on_demand,
                }
                for day in self.days
            ],
        }


def month_draws(contract: Contract, month: Month, usage: Mapping[date, int]) -> MonthDraws:
    """`usage` holds the billable runs of the days of the contract's term, at least up to the month's end:
    what earlier days drew is gone."""
    last = month.last_day
    until = {day: runs for day, runs in usage.items() if contract.start <= day <= last and day < contract.end}
    drawdown = draw(contract.grants, until)
    days = tuple(day for day in drawdown.days if (day.day.year, day.day.month) == (month.year, month.number))
    of_month: Counter[str] = Counter()
    for day in days:
        of_month.update(dict(day.by_grant))
    first = date(month.year, month.number, 1)
    grants = tuple(
        GrantDraw(
            each.id,
            each.granted_on,
            each.expires_on,
            drawdown.left[each.id] + of_month[each.id],
            of_month[each.id],
            drawdown.left[each.id],
        )
        for each in sorted(contract.grants, key=lambda grant: (grant.expires_on, grant.granted_on, grant.id))
        if each.granted_on <= last and each.expires_on > first
    )
    return MonthDraws(contract.id, grants, days)
