"""What an account may still run without paying on demand (docs/rules.md §3, §4): pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from billing.pricing.catalogue import PlanVersion
from billing.pricing.contract import Contract, term_usage
from billing.pricing.days import first_day
from billing.pricing.drawdown import draw
from billing.pricing.rating import free_runs
from metering.period import Month


@dataclass(frozen=True, slots=True)
class Quota:
    """`used` are the month's billable runs so far. `free_left` is None where free runs never end;
    `committed_left` are runs of grants that can be used on the day."""

    used: int
    free_left: int | None
    committed_left: int

    @property
    def left(self) -> bool:
        """Whether the next run would be free or a committed one."""
        return self.free_left is None or self.free_left > 0 or self.committed_left > 0


def stretches(contract: Contract | None, today: date) -> list[tuple[date, date]]:
    """Stretches of days `[first, last)` that need not be told apart, in order and without gaps: up to the end
    of the day's month and, under contract, from the begin of the term on. On all days of one the same grants
    can be drawn, and all are of one month, so their usage can be drawn as if it were the first day's."""
    month = Month(today.year, today.month)
    first, last = first_day(month), first_day(month.next())
    cuts = {first, last}
    if contract is not None:
        begins = month
        while first_day(begins) > contract.start:
            begins = begins.previous()
            cuts.add(first_day(begins))
        cuts |= {contract.start, contract.end}
        cuts |= {day for grant in contract.grants for day in (grant.granted_on, grant.expires_on)}
        first = min(first, contract.start)
    return list(pairwise(sorted(cut for cut in cuts if first <= cut <= last)))


def quota(
    version: PlanVersion, contract: Contract | None, billable_by_day: Mapping[date, int], today: date
) -> Quota:
    """What is left on a day. `billable_by_day` holds the days of its month so far and, under contract, those
    of the term before it; or the first days of their `stretches`, each with what is billable in all of it."""
    used = sum(
        runs for day, runs in billable_by_day.items() if (day.year, day.month) == (today.year, today.month)
    )
    on_demand, committed = used, 0
    if contract is not None:
        drawn = draw(contract.grants, term_usage(contract, billable_by_day))
        on_demand = drawn.on_demand(Month(today.year, today.month))
        committed = sum(
            drawn.left[grant.id] for grant in contract.grants if grant.granted_on <= today < grant.expires_on
        )
    free = allowance(version)
    return Quota(used, None if free is None else max(0, free - on_demand), committed)


def allowance(version: PlanVersion) -> int | None:
    """How many runs of a month a plan version gives for nothing: its free runs; where those never end, up to
    its soft limit, beyond which runs are shown as over it; None: any number."""
    free = free_runs(version)
    return version.soft_limit if free is None else free
