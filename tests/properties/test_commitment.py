"""Committed runs against computations that share no code with them: drawing run by run, a ledger written at
once, instalments in fractions."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import date, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.pricing.contract import Contract, Grant, Instalments
from billing.pricing.drawdown import Drawdown, draw
from billing.pricing.instalments import instalments
from billing.pricing.quota import quota, stretches
from billing.pricing.run_ledger import Entry, EntryKind, balance, sums, to_record, truth
from metering.period import Month
from tests.billing.pricing.data import STARTER

START = date(2024, 1, 1)  # a leap year
TERM_DAYS = 91
END = START + timedelta(days=TERM_DAYS)  # 2024-04-01

days = st.integers(0, TERM_DAYS - 1).map(lambda number: START + timedelta(days=number))
usages = st.dictionaries(days, st.integers(0, 12), max_size=12)


@st.composite
def grants(draw_: st.DrawFn) -> tuple[Grant, ...]:
    found = []
    for id in draw_(st.lists(st.sampled_from("abcXYZ"), unique=True, max_size=4)):
        first = draw_(st.integers(0, TERM_DAYS - 1))
        last = draw_(st.integers(first + 1, TERM_DAYS))
        found.append(
            Grant(id, draw_(st.integers(1, 25)), 0, START + timedelta(first), START + timedelta(last))
        )
    return tuple(found)


def one_by_one(
    held: tuple[Grant, ...], usage: dict[date, int]
) -> tuple[Counter[tuple[date, str]], Counter[date]]:
    """Every committed run is a token; every run used takes the first token that is good on its day."""
    tokens = [(grant.expires_on, grant.granted_on, grant.id) for grant in held for _ in range(grant.runs)]
    drawn: Counter[tuple[date, str]] = Counter()
    on_demand: Counter[date] = Counter()
    for number in range(TERM_DAYS):
        day = START + timedelta(days=number)
        for _ in range(usage.get(day, 0)):
            good = [token for token in tokens if token[1] <= day and not token[0] <= day]
            if good:
                tokens.remove(min(good))
                drawn[day, min(good)[2]] += 1
            else:
                on_demand[day] += 1
    return drawn, on_demand


def gave(drawdown: Drawdown) -> Counter[tuple[date, str]]:
    return Counter({(day.day, id): runs for day in drawdown.days for id, runs in day.by_grant})


@given(grants(), usages)
def test_drawing_agrees_with_drawing_run_by_run(held: tuple[Grant, ...], usage: dict[date, int]) -> None:
    drawdown = draw(held, usage)
    drawn, on_demand = one_by_one(held, usage)
    assert gave(drawdown) == drawn
    assert Counter({day.day: day.on_demand for day in drawdown.days}) == on_demand


@given(grants(), usages, days)
def test_a_quota_is_the_same_from_days_and_from_stretches(
    held: tuple[Grant, ...], usage: dict[date, int], today: date
) -> None:
    """Also of runs from before the term, which count in their month alone."""
    for start in (START, date(2024, 2, 1)):
        if start > today:
            continue
        later = tuple(each for each in held if each.granted_on >= start)
        contract = Contract("c", "acme", start, END, STARTER.id, "USD", Instalments.UPFRONT, later)
        so_far = {day: quantity for day, quantity in usage.items() if day <= today}
        told = stretches(contract, today)
        assert [first for first, _ in told[1:]] == [last for _, last in told[:-1]], "without gaps"
        sums = {
            first: sum(so_far.get(first + timedelta(days=each), 0) for each in range((last - first).days))
            for first, last in told
        }
        assert quota(STARTER, contract, sums, today) == quota(STARTER, contract, so_far, today)


@given(grants(), usages)
def test_no_run_is_lost_and_no_grant_overdrawn(held: tuple[Grant, ...], usage: dict[date, int]) -> None:
    drawdown = draw(held, usage)
    assert {day.day: day.drawn + day.on_demand for day in drawdown.days} == {
        d: n for d, n in usage.items() if n
    }
    used: Counter[str] = Counter()
    for (_, id), runs in gave(drawdown).items():
        used[id] += runs
    for grant in held:
        assert drawdown.left[grant.id] == grant.runs - used[grant.id] >= 0
    months = [Month(2024, number) for number in (1, 2, 3)]
    assert sum(drawdown.drawn(m) + drawdown.on_demand(m) for m in months) == sum(usage.values())


@given(grants(), usages, days)
def test_later_usage_never_changes_an_earlier_day(
    held: tuple[Grant, ...], usage: dict[date, int], until: date
) -> None:
    past = draw(held, {day: runs for day, runs in usage.items() if day <= until})
    assert past.days == tuple(day for day in draw(held, usage).days if day.day <= until)


@given(st.lists(st.tuples(grants(), usages, days), min_size=1, max_size=4), grants(), usages)
def test_a_ledger_kept_through_any_history_is_the_ledger_written_at_once(
    history: list[tuple[tuple[Grant, ...], dict[date, int], date]],
    held: tuple[Grant, ...],
    usage: dict[date, int],
) -> None:
    """Whatever was believed before (other usage, other grants, an earlier or later day), the sums by day,
    grant and purpose end as if only the last had ever been known, and nothing written is changed."""
    ledger: tuple[Entry, ...] = ()
    steps = [*history, (held, usage, END)]
    for now, (grants_then, usage_then, as_of) in enumerate(steps):
        added = to_record(ledger, grants_then, draw(grants_then, usage_then), as_of=as_of, recorded_at=now)
        assert all(entry.recorded_at == now and entry.effective_on <= as_of for entry in added)
        ledger += added
    at_once = to_record((), held, draw(held, usage), as_of=END, recorded_at=0)
    assert {place: n for place, n in sums(ledger).items() if n} == dict(sums(at_once))
    for day in {entry.effective_on for entry in ledger}:
        assert balance(ledger, day) == balance(at_once, day)


@given(grants(), st.lists(usages, min_size=1, max_size=5))
def test_late_usage_in_parts_ends_where_all_of_it_at_once_does(
    held: tuple[Grant, ...], parts: list[dict[date, int]]
) -> None:
    ledger: tuple[Entry, ...] = ()
    known: Counter[date] = Counter()
    for now, part in enumerate(parts):
        known.update(part)
        ledger += to_record(ledger, held, draw(held, known), as_of=END, recorded_at=now)
    assert {place: n for place, n in sums(ledger).items() if n} == truth(held, draw(held, known), END)
    drawn, _ = one_by_one(held, known)
    for grant in held:
        used = sum(runs for (_, id), runs in drawn.items() if id == grant.id)
        assert -used == sum(
            e.quantity for e in ledger if e.grant == grant.id and e.place.purpose is EntryKind.USAGE
        )


@given(grants(), usages, st.integers(-1, TERM_DAYS))
def test_the_balance_of_a_day(held: tuple[Grant, ...], usage: dict[date, int], number: int) -> None:
    """Granted, less used, less expired, of each grant; never below zero, and nothing after it expired."""
    on = START + timedelta(days=number)
    ledger = to_record((), held, draw(held, usage), as_of=END, recorded_at=0)
    drawn, _ = one_by_one(held, usage)
    total = 0
    for grant in held:
        used = sum(runs for (day, id), runs in drawn.items() if id == grant.id and day <= on)
        expected = grant.runs - used if grant.granted_on <= on < grant.expires_on else 0
        assert balance(ledger, on, grant=grant.id) == expected >= 0
        total += expected
    assert balance(ledger, on) == total
    assert balance(ledger, END) == 0


@st.composite
def priced_contracts(draw_: st.DrawFn) -> Contract:
    months = draw_(st.integers(1, 18))
    first = draw_(st.integers(0, 40))
    start = date(2024 + first // 12, first % 12 + 1, 1)
    end = date(start.year + (start.month - 1 + months) // 12, (start.month - 1 + months) % 12 + 1, 1)
    code, step = draw_(st.sampled_from([("USD", 1), ("JPY", 1), ("ISK", 100)]))
    held = tuple(
        Grant(
            f"g{number}",
            1,
            draw_(st.integers(0, 40) | st.integers(0, 10**8)) * step,
            start + timedelta(days=draw_(st.integers(0, (end - start).days - 1))),
            end,
        )
        for number in range(draw_(st.integers(0, 4)))
    )
    return Contract("c", "acme", start, end, "standard", code, draw_(st.sampled_from(Instalments)), held)


@given(priced_contracts())
def test_instalments_agree_with_fractions(contract: Contract) -> None:
    """After each date, what was asked for so far is the exact share, rounded up to the next coin at most for
    each date that came; at the end it is the price."""
    step = 100 if contract.currency == "ISK" else 1
    gap = {Instalments.MONTHLY: 1, Instalments.QUARTERLY: 3}.get(contract.instalments)
    parts = instalments(contract)
    assert [part.due_on for part in parts] == sorted(part.due_on for part in parts)
    for grant in contract.grants:
        dates = [] if gap is None else _dates(contract, gap, grant.granted_on)
        own = [part for part in parts if part.grant == grant.id]
        assert [part.due_on for part in own] == (dates or [grant.granted_on])
        coins = [Fraction(part.amount, step) for part in own]
        share = Fraction(grant.price, step * len(own))
        odd = sum(1 for coin in coins if coin > share)
        assert sum(coins) * step == grant.price
        assert coins == sorted(coins, reverse=True)
        assert all(coin.denominator == 1 and abs(coin - share) < 1 for coin in coins)
        assert odd == (grant.price // step) % len(own)


def _dates(contract: Contract, gap: int, since: date) -> list[date]:
    """Counted in months since year 0, which shares nothing with the code."""
    first = contract.start.year * 12 + contract.start.month - 1
    numbers = itertools.count(first, gap)
    days = (date(number // 12, number % 12 + 1, 1) for number in numbers)
    return [day for day in itertools.takewhile(lambda day: day < contract.end, days) if day >= since]
