"""Advice on a commitment, the same for every door."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from billing.advice.commitment import (
    Agreed,
    Compared,
    Offer,
    break_even_percent,
    break_even_runs,
    compare,
    sizes,
)
from billing.app import Service
from billing.errors import Invalid
from billing.pricing.days import first_day
from billing.pricing.errors import PricingError
from billing.pricing.money import EXACT, parse_amount, round_to_minor
from billing.repository import plans
from billing.terms import get_account
from metering.database import reading
from metering.far import FAR_DAYS, Far, far_forecast
from metering.period import DAY_US, Month, day_of, day_start

TERM_MONTHS = 12
MOST_OFFERS = 20
BASIS = (
    "the forecast: the level of the last three weeks, and a trend that the last eight agree on, which fades; "
    "at the edges usage goes on to grow or fall as it did over the account's history"
)
_PRICE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,12})?", re.ASCII).fullmatch
_RUNS = re.compile(r"[1-9][0-9]{0,12}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Advised:
    """An offer, over the last months and over the next; `low` and `high` are the edges of the forecast."""

    offer: Offer
    past: Compared
    expected: Compared | None
    low: Compared | None
    high: Compared | None
    break_even_percent: int | None
    break_even_runs: int | None


@dataclass(frozen=True, slots=True)
class Advice:
    agreed: Agreed
    past: tuple[Month, ...]
    next: tuple[Month, ...]
    ahead: Far | None
    offers: tuple[Advised, ...]
    past_billable: int
    past_on_demand: int
    # How many of the past months have billable runs.
    past_months: int

    def to_data(self) -> dict[str, Any]:
        """In the shape of JSON answers; amounts in minor units."""
        ahead = self.ahead
        expected = None if ahead is None else ahead.days
        says = []
        if 0 < self.past_months < len(self.past):
            says.append(f"of the last {len(self.past)} months only {self.past_months} had billable runs")
        if ahead is None:
            says.append("nothing ran in the last four weeks, so nothing is expected")
        elif ahead.low is None:
            says.append("the history is too short for a range")
        return {
            "account": self.agreed.account,
            "currency": self.agreed.currency,
            "plan": self.agreed.version.id,
            "past": {
                "from": str(self.past[0]),
                "to": str(self.past[-1]),
                "billable": self.past_billable,
                "on_demand": self.past_on_demand,
                "months_with_runs": self.past_months,
                "cheapest": _cheapest([(each.offer, each.past) for each in self.offers], self.past_on_demand),
            },
            "next": None
            if expected is None or ahead is None
            else {
                "from": str(self.next[0]),
                "to": str(self.next[-1]),
                "billable": sum(expected.values()),
                "low": None if ahead.low is None else sum(ahead.low.values()),
                "high": None if ahead.high is None else sum(ahead.high.values()),
                "history_days": ahead.history_days,
                "cheapest": _cheapest(
                    [(each.offer, each.expected) for each in self.offers if each.expected is not None], None
                ),
            },
            "basis": BASIS,
            "message": "; ".join(says),
            "offers": [_advised(each) for each in self.offers],
        }


def advise(
    service: Service,
    account_id: str,
    *,
    now: int,
    offers: Sequence[str] = (),
    unit_price: str | None = None,
    plan: str | None = None,
) -> Advice:
    """What offers of committed runs, each like `1000000:2000.00`, would have been worth over the last twelve
    whole months, and what is expected of the next twelve. Without offers some sizes are looked at, of what
    ran and of what is expected, at `unit_price` (major units a run) where it is given. `plan`: what prices
    on-demand usage, by default the account's. Raises NotFound, Invalid."""
    month, today = Month.of(now), day_of(now)
    past, coming = _months(month, -TERM_MONTHS), _months(month.next(), TERM_MONTHS)
    with reading(service.engine) as connection:
        account = get_account(connection, account_id)
        catalogue = plans.catalogue(connection)
    try:
        version = catalogue.get(account.terms.plan(month)) if plan is None else catalogue.resolve(plan, month)
    except PricingError as error:
        raise Invalid(str(error), field="plan") from None
    if version.currency != account.currency:
        raise Invalid(
            f"plan {version.id} is priced in {version.currency}, not in {account.currency}", field="plan"
        )
    agreed = Agreed(account.id, account.currency, version, account.terms)
    since = min(past[0].start, day_start(today) - FAR_DAYS * DAY_US)
    usage = service.store.billable_days(account.id, since, day_start(today) + DAY_US)
    ahead = _from(far_forecast(usage, today, first_day(coming[-1].next())), first_day(coming[0]))
    before = compare(agreed, past, usage, Offer(0, 0))
    made = [_read(each, account.currency) for each in offers[: MOST_OFFERS + 1]]
    if len(made) > MOST_OFFERS:
        raise Invalid(f"more than {MOST_OFFERS} offers; name fewer", field="offer")
    if not made:
        price = None if unit_price is None else _unit_price(unit_price)
        expected = 0 if ahead is None else sum(ahead.days.values())
        made = [_sized(runs, price, account.currency) for runs in sizes(before.billable, expected)]
    advised = tuple(_advise(agreed, past, coming, usage, ahead, each) for each in made)
    ran = {Month(day.year, day.month) for day, runs in usage.items() if runs}
    months = len(ran.intersection(past))
    return Advice(agreed, past, coming, ahead, advised, before.billable, before.without, months)


def _months(month: Month, count: int) -> tuple[Month, ...]:
    """So many from a month on; with a count below zero, so many before it."""
    found = [month]
    while len(found) < abs(count):
        found.append(found[-1].next())
    if count > 0:
        return tuple(found)
    for _ in range(-count):
        month = month.previous()
    return _months(month, -count)


def _from(found: Far | None, start: date) -> Far | None:
    """From the start of the next months on."""
    if found is None:
        return None

    def later(days: Mapping[date, int]) -> dict[date, int]:
        return {day: runs for day, runs in days.items() if day >= start}

    low, high = (None if days is None else later(days) for days in (found.low, found.high))
    return Far(later(found.days), low, high, found.history_days)


def _advise(
    agreed: Agreed,
    past: Sequence[Month],
    coming: Sequence[Month],
    usage: Mapping[date, int],
    ahead: Far | None,
    offer: Offer,
) -> Advised:
    before = compare(agreed, past, usage, offer)
    if ahead is None:
        return Advised(offer, before, None, None, None, None, None)
    low, high = (
        None if days is None else compare(agreed, coming, days, offer) for days in (ahead.low, ahead.high)
    )
    expected = compare(agreed, coming, ahead.days, offer)
    percent = break_even_percent(agreed, coming, ahead.days, offer)
    runs = break_even_runs(agreed, coming, ahead.days, offer)
    return Advised(offer, before, expected, low, high, percent, runs)


def _read(text: str, code: str) -> Offer:
    runs, _, price = text.partition(":")
    if _RUNS(runs) is None or not price:
        raise Invalid(
            f"{text[:40]!r} is not an offer; write RUNS:PRICE, such as 1000000:2000.00", field="offer"
        )
    try:
        amount = parse_amount(price, code)
    except PricingError as error:
        raise Invalid(str(error), field="offer") from None
    if amount < 0:
        raise Invalid(f"{text[:40]!r}: a price is 0 or more", field="offer")
    return Offer(int(runs), amount)


def _sized(runs: int, price: Decimal | None, code: str) -> Offer:
    if price is None:
        return Offer(runs)
    return Offer(runs, round_to_minor(EXACT.multiply(price, Decimal(runs)), code))


def _unit_price(text: str) -> Decimal:
    if _PRICE(text) is None:
        raise Invalid(
            f"{text[:40]!r} is not a price of a run; write it like 0.0018, with up to 12 places",
            field="unit_price",
        )
    return Decimal(text)


def _cheapest(offers: Sequence[tuple[Offer, Compared]], on_demand: int | None) -> dict[str, Any] | None:
    """The offer with which a term costs least, where that is less than without; None where none is."""
    known = [(each.saving, offer) for offer, each in offers if each.saving is not None]
    saving, offer = max(known, key=lambda each: (each[0] or 0, -each[1].runs), default=(0, None))
    if offer is None or not saving or saving < 0:
        return None
    return {"runs": offer.runs, "price": offer.price, "saving": saving}


def _advised(each: Advised) -> dict[str, Any]:
    expected = each.expected
    return {
        "runs": each.offer.runs,
        "price": each.offer.price,
        "past": _compared(each.past),
        "next": None
        if expected is None
        else {
            **_compared(expected),
            "low": None if each.low is None else _compared(each.low),
            "high": None if each.high is None else _compared(each.high),
            "break_even_percent": each.break_even_percent,
            "break_even_runs": each.break_even_runs,
        },
    }


def _compared(each: Compared) -> dict[str, Any]:
    return {
        "billable": each.billable,
        "on_demand_only": each.without,
        "on_demand_beyond": each.rest,
        "break_even_price": each.break_even_price,
        "saving": each.saving,
        "unused": each.unused,
        "runs_out_on": None if each.runs_out_on is None else each.runs_out_on.isoformat(),
    }
