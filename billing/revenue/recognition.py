"""What of a commitment is earned by the end of a month: a grant's price as its runs are drawn, and what is
left of it when they expire (decision 28). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

from billing.pricing.contract import Contract
from billing.pricing.days import first_day
from billing.pricing.drawdown import draw
from billing.revenue.facts import Close
from metering.period import Month


def earned(contract: Contract | None, usage: Mapping[date, int], month: Month, *, is_final: bool) -> Close:
    """Of a contract as it was known; None: it was not known yet. `usage`: the billable runs of its term by
    day, those after the month count for nothing.

    A grant that ends with a month's last day expires in that month. Amounts are of all runs since the grant
    began, rounded once: so those of the months come to the grant's price, to the cent.
    """
    after = first_day(month.next())
    if contract is None:
        return Close(month, 0, 0, 0, 0, is_final)
    within = {day: runs for day, runs in usage.items() if contract.start <= day < min(after, contract.end)}
    runs: Counter[str] = Counter()
    for day in draw(contract.grants, within).days:
        runs.update(dict(day.by_grant))
    drawn = expired = expired_runs = 0
    for grant in contract.grants:
        part = grant.worth(runs[grant.id], contract.currency)
        drawn += part
        if grant.expires_on <= after:
            expired += grant.price - part
            expired_runs += grant.runs - runs[grant.id]
    return Close(month, drawn, expired, sum(runs.values()), expired_runs, is_final)
