"""Contracts of committed runs: their values, and what makes them valid (docs/rules.md §4).

A `Contract` that exists is valid: the constructor checks it, and every error is one sentence that names the
contract and, where it lies in one, the grant or the service. Days are dates in UTC; a range of days is
half-open, so the day on which something ends is the first without it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations

from billing.pricing.catalogue import Catalogue, PlanVersion
from billing.pricing.currency import currency
from billing.pricing.days import first_day, is_day
from billing.pricing.errors import (
    AmountError,
    ContractError,
    ContractsOverlap,
    CurrencyError,
    CurrencyMismatch,
)
from billing.pricing.money import require_whole
from metering.period import Month

MAX_RUNS = 10**15  # of one grant: keeps every sum of a ledger far inside 64 bits
_MAX_PRICE = 10**17  # in minor units

LONGEST_ID = 64
_ID = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST_ID}}}", re.ASCII)


class Instalments(enum.StrEnum):
    """When a grant's price is due: on the day of the grant, or spread over the dates of the contract."""

    UPFRONT = "upfront"
    QUARTERLY = "quarterly"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True)
class Grant:
    """Committed runs, usable on the days `[granted_on, expires_on)`. `runs` is a quantity above 0; `price` is
    an amount in minor units of the contract's currency, and may be 0."""

    id: str
    runs: int
    price: int
    granted_on: date
    expires_on: date

    def worth(self, runs: int, code: str) -> int:
        """What of the price falls on the first so many runs, in minor units, rounded half up to an amount
        that the currency has; all of it on all of them."""
        step = currency(code).step
        return (2 * self.price * runs + self.runs * step) // (2 * self.runs * step) * step


@dataclass(frozen=True, slots=True)
class Service:
    """A line beside the runs: onboarding, a feature, support. `price` is in minor units and may be 0."""

    description: str
    price: int
    due_on: date


@dataclass(frozen=True, slots=True)
class Contract:
    """Committed usage of an account in the whole months `[start, end)`. `plan` names the plan whose schedule
    prices on-demand usage: `standard@2021-02`, or `standard`. Raises ContractError if a rule is broken, and
    TypeError for an amount that is no int."""

    id: str
    account: str
    start: date
    end: date
    plan: str
    currency: str
    instalments: Instalments
    grants: tuple[Grant, ...] = ()
    services: tuple[Service, ...] = ()

    def __post_init__(self) -> None:
        if not _is_id(self.id):
            raise ContractError(f"{self.id!r} is not a contract's id; {_ID_HINT}", field="id")
        where = f"contract {self.id}"
        if not _is_id(self.account):
            raise ContractError(
                f"{where}: {self.account!r} is not an account's id; {_ID_HINT}", field="account"
            )
        if not isinstance(self.plan, str) or not self.plan:
            raise ContractError(
                f"{where}: name the plan that prices on-demand usage, such as standard", field="plan"
            )
        if not isinstance(self.instalments, Instalments):
            known = ", ".join(Instalments)
            raise ContractError(f"{where}: instalments {self.instalments!r} is not known; known: {known}")
        try:
            currency(self.currency)
        except CurrencyError as error:
            raise ContractError(f"{where}: currency {error}", field="currency") from None
        _check_term(where, self.start, self.end)
        for grant in self.grants:
            _check_grant(self, grant)
        ids = [grant.id for grant in self.grants]
        if twice := [id for id in ids if ids.count(id) > 1]:
            raise ContractError(
                f"{where}: grant {twice[0]} comes twice; give each grant an id of its own", field="id"
            )
        for number, service in enumerate(self.services, start=1):
            _check_service(self, number, service)

    @property
    def months(self) -> tuple[Month, ...]:
        """The months of the term, in order."""
        found = []
        month = Month(self.start.year, self.start.month)
        while first_day(month) < self.end:
            found.append(month)
            month = month.next()
        return tuple(found)

    def covers(self, month: Month) -> bool:
        """Whether the account is under this contract in a month; before and after it is a monthly account."""
        return self.start <= first_day(month) < self.end

    def with_grant(self, grant: Grant) -> Contract:
        """This contract with one grant more. Raises ContractError."""
        return replace(self, grants=(*self.grants, grant))

    def with_plan(self, plan: str) -> Contract:
        """This contract with another plan for on-demand usage."""
        return replace(self, plan=plan)

    def with_end(self, end: date, *, extend_grants: bool = False) -> Contract:
        """This contract with another end of its term. No grant outlives it; `extend_grants`: those that ended
        with the old term end with the new one. Raises ContractError, also for an end that comes before a
        grant begins."""
        grants = [
            replace(grant, expires_on=end)
            if grant.expires_on > end or (extend_grants and grant.expires_on == self.end)
            else grant
            for grant in self.grants
        ]
        return replace(self, end=end, grants=tuple(grants))


def plan_of(contract: Contract, catalogue: Catalogue, month: Month | None = None) -> PlanVersion:
    """The plan version that prices the contract's on-demand usage from a month on, by default from its start;
    a plan named without a version is the newest in effect then. Raises UnknownPlan, and CurrencyMismatch if
    the plan has another currency than the contract."""
    version = catalogue.resolve(contract.plan, month or Month(contract.start.year, contract.start.month))
    if version.currency != contract.currency:
        raise CurrencyMismatch(
            f"contract {contract.id} is in {contract.currency}, "
            f"but plan {version.id} is priced in {version.currency}"
        )
    return version


def refuse_overlap(contracts: Iterable[Contract]) -> None:
    """An account is under one contract at a time. Raises ContractsOverlap that names the two which meet."""
    for one, other in combinations(contracts, 2):
        if one.account == other.account and one.start < other.end and other.start < one.end:
            raise ContractsOverlap(
                f"contract {other.id} ({other.start} to {other.end}) overlaps with contract {one.id} "
                f"({one.start} to {one.end}) of account {one.account}; end one before the other starts",
                field="start",
            )


_ID_HINT = "use up to 64 letters, digits, points, hyphens and underscores"


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _require_day(where: str, name: str, value: object) -> None:
    if not is_day(value):
        raise ContractError(
            f"{where}: {name} must be a date such as 2026-01-01, not {str(value)!r}", field=name
        )


def _check_term(where: str, start: date, end: date) -> None:
    _require_day(where, "start", start)
    _require_day(where, "end", end)
    if end <= start:
        raise ContractError(
            f"{where}: the term ends on {end}, which is not after its start on {start}", field="end"
        )
    for name, day in (("start", start), ("end", end)):
        if day.day != 1:
            raise ContractError(
                f"{where}: the term {name}s on {day}, inside a month; a term is whole months, "
                "from the first of a month to the first of a later one",
                field=name,
            )


def _check_grant(contract: Contract, grant: Grant) -> None:
    if not _is_id(grant.id):
        raise ContractError(
            f"contract {contract.id}: {grant.id!r} is not a grant's id; {_ID_HINT}", field="id"
        )
    where = f"contract {contract.id}, grant {grant.id}"
    runs = grant.runs
    if isinstance(runs, bool) or not isinstance(runs, int) or not 0 < runs <= MAX_RUNS:
        raise ContractError(
            f"{where}: runs must be a whole number from 1 to {MAX_RUNS:,}, not {_shown(runs)}", field="runs"
        )
    _check_price(where, grant.price, contract.currency)
    _require_day(where, "granted_on", grant.granted_on)
    _require_day(where, "expires_on", grant.expires_on)
    if grant.expires_on <= grant.granted_on:
        raise ContractError(
            f"{where}: it expires on {grant.expires_on}, which is not after it is granted "
            f"on {grant.granted_on}",
            field="expires_on",
        )
    if grant.granted_on < contract.start or grant.expires_on > contract.end:
        raise ContractError(
            f"{where}: {grant.granted_on} to {grant.expires_on} is not inside the contract's term, "
            f"{contract.start} to {contract.end}",
            field="granted_on" if grant.granted_on < contract.start else "expires_on",
        )


def _check_service(contract: Contract, number: int, service: Service) -> None:
    where = f"contract {contract.id}, service {number}"
    text = service.description
    if not isinstance(text, str) or not text.strip() or not text.isprintable() or len(text) > 200:
        raise ContractError(f"{where}: describe it in one line of up to 200 characters", field="description")
    _check_price(where, service.price, contract.currency)
    _require_day(where, "due_on", service.due_on)


def _check_price(where: str, price: int, code: str) -> None:
    try:
        require_whole(price, code)
    except AmountError as error:
        raise ContractError(f"{where}: the price {error}", field="price") from None
    if not 0 <= price < _MAX_PRICE:
        size = "negative" if price < 0 else "too large"
        raise ContractError(
            f"{where}: the price is {size}; it must be 0 or more, of at most 15 digits", field="price"
        )


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else repr(value)


def term_usage(contract: Contract, billable: Mapping[date, int]) -> dict[date, int]:
    """The billable runs of the days of a contract's term."""
    return {day: runs for day, runs in billable.items() if contract.start <= day < contract.end}
