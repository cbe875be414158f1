"""How contracts stand: what is left of their runs, when those are used up at this pace, and when the term
ends. The figures of a contract are those of its report as of yesterday, the last whole day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import sqlalchemy as sa

from billing.app import Service
from billing.pricing.contract import Contract
from billing.pricing.drawdown import draw
from billing.reporting.contract_pace import WINDOW, Pace, project
from billing.repository import accounts, alerts, contracts
from billing.repository.parts import parts
from metering.database import reading
from metering.period import day_of, day_start

_DAY = timedelta(days=1)
# From so many days before its end a contract is up for renewal.
RENEWAL_DAYS = 90


@dataclass(frozen=True, slots=True)
class ContractFigures:
    """`left` of `committed` runs as of the end of `as_of`, `per_day` the pace of the last 30 days, as text;
    `runs_out_on` the first day with a run that no grant covers at that pace, None if the term has none.
    `days_left` to the end of the term; negative where it is over. `told`: the highest threshold (percent of
    its runs) that was told."""

    contract: Contract
    as_of: date
    committed: int
    left: int
    per_day: str
    runs_out_on: date | None
    days_left: int
    told: int = 0

    @property
    def is_up_for_renewal(self) -> bool:
        return 0 <= self.days_left <= RENEWAL_DAYS

    @property
    def used_percent(self) -> int:
        return 0 if not self.committed else 100 * (self.committed - self.left) // self.committed

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "contract": self.contract.id,
            "account": self.contract.account,
            "start": self.contract.start.isoformat(),
            "end": self.contract.end.isoformat(),
            "as_of": self.as_of.isoformat(),
            "committed": self.committed,
            "remaining": self.left,
            "runs_per_day": self.per_day,
            "runs_out_on": None if self.runs_out_on is None else self.runs_out_on.isoformat(),
            "days_left": self.days_left,
            "threshold": self.told,
        }


def contract_figures(
    service: Service,
    *,
    now: int,
    account: str | None = None,
    offset: int = 0,
    limit: int | None = None,
) -> list[ContractFigures]:
    """Of one account all its contracts; or of all accounts those whose term is running: first those of which
    it was told that 80 % of their runs are used, or will be, then the next to end. Figures are computed of
    what is answered alone, some milliseconds each."""
    today = day_of(now)
    found, told = _watched(service.engine, today, account)
    chosen = found[offset:] if limit is None else found[offset : offset + limit]
    made = []
    for each in chosen:
        usage = service.store.billable_days(each.account, day_start(each.start), day_start(today))
        made.append(figures_of(each, usage, today - _DAY, told.get(each.id, 0)))
    return made


def figures_of(contract: Contract, usage: Mapping[date, int], as_of: date, told: int = 0) -> ContractFigures:
    """`usage`: the billable runs of days from the start of the term on."""
    until = max(min(as_of, contract.end - _DAY), contract.start - _DAY)
    term = {day: runs for day, runs in usage.items() if contract.start <= day <= until}
    balances = _balances(contract, term, until)
    window = [until - n * _DAY for n in range(WINDOW - 1, -1, -1)]
    pace = Pace(tuple(term.get(day, 0) for day in window if day >= contract.start))
    runs_out = project(contract, term, until, balances, pace).runs_out
    over = as_of >= contract.end
    return ContractFigures(
        contract,
        as_of,
        sum(grant.runs for grant in contract.grants if grant.granted_on <= as_of),
        0 if over or not balances else balances[-1],
        format(pace.per_day, "f"),
        runs_out and runs_out[1],
        (contract.end - as_of).days - 1,
        told,
    )


def _balances(contract: Contract, term: Mapping[date, int], until: date) -> list[int]:
    """Of each day of the term up to one, as it ended."""
    drawn = {day.day: day.by_grant for day in draw(contract.grants, term).days}
    left: dict[str, int] = {}
    found = []
    for number in range((until - contract.start).days + 1):
        day = contract.start + number * _DAY
        for grant in contract.grants:
            if grant.granted_on == day or (number == 0 and grant.granted_on < day):
                left[grant.id] = grant.runs
            if grant.expires_on == day:
                left.pop(grant.id, None)
        for grant_id, runs in drawn.get(day, ()):
            left[grant_id] -= runs
        found.append(sum(left.values()))
    return found


def _watched(
    engine: sa.Engine, today: date, account: str | None
) -> tuple[Sequence[Contract], Mapping[str, int]]:
    with reading(engine) as connection:
        owners = {owner for _, owner in contracts.every(connection, account=account)}
        held = [
            contract
            for part in parts(sorted(owners))
            for each in accounts.some(connection, part)
            for contract in each.terms.contracts
        ]
        told = alerts.highest(connection, "commitment", 80)
    if account is None:
        held = [each for each in held if each.start <= today < each.end]
    return sorted(held, key=lambda each: (-told.get(each.id, 0), each.end, each.id)), told
