"""When a contract's grants are to be paid, and how much on each date (docs/rules.md §4, Instalments)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from billing.pricing.contract import Contract, Grant, Instalments
from billing.pricing.currency import currency
from billing.pricing.days import first_day

_EVERY = {Instalments.MONTHLY: 1, Instalments.QUARTERLY: 3}  # months


@dataclass(frozen=True, slots=True)
class Instalment:
    """A part of a grant's price: `amount` in minor units, due from the day `due_on`."""

    due_on: date
    grant: str
    amount: int


def instalment_dates(contract: Contract) -> tuple[date, ...]:
    """The contract's start and every month or quarter after it, before its end. None for `upfront`, where
    each grant has its own date."""
    every = _EVERY.get(contract.instalments)
    return () if every is None else tuple(first_day(month) for month in contract.months[::every])


def instalments(contract: Contract) -> tuple[Instalment, ...]:
    """Every instalment of every grant, by date and then in the order of the grants. They sum to the prices of
    the grants exactly. A date on which a grant has nothing to pay (a free grant, or fewer cents than dates)
    is there with 0."""
    dates = instalment_dates(contract)
    parts = [part for grant in contract.grants for part in _spread(grant, dates, contract.currency)]
    assert sum(part.amount for part in parts) == sum(grant.price for grant in contract.grants)
    return tuple(sorted(parts, key=lambda part: part.due_on))


def _spread(grant: Grant, dates: tuple[date, ...], code: str) -> list[Instalment]:
    """A price over the dates from `granted_on` on, or on that day if none is left."""
    due = [day for day in dates if day >= grant.granted_on] or [grant.granted_on]
    amounts = split_evenly(grant.price, len(due), code)
    return [Instalment(day, grant.id, amount) for day, amount in zip(due, amounts, strict=True)]


def split_evenly(amount: int, parts: int, code: str) -> tuple[int, ...]:
    """An amount of minor units in parts that differ by at most one coin, the larger ones first.

    >>> split_evenly(100_00, 3, "USD"), split_evenly(1_000, 3, "ISK")
    ((3334, 3333, 3333), (400, 300, 300))
    """
    step = currency(code).step
    assert amount >= 0 and amount % step == 0, "not an amount of this currency"
    each, odd = divmod(amount // step, parts)
    return tuple((each + (place < odd)) * step for place in range(parts))
