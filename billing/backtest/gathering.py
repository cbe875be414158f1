"""Reads a history: what ran from the counters, whose it is and on what terms from the books, all accounts and
months in a few queries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from billing.backtest.columns import NO_CHARGE, PERCENT_UNIT, Integers
from billing.backtest.history import History, LeftOut
from billing.pricing.books import billable_by_day
from billing.pricing.catalogue import Catalogue, PlanVersion
from billing.pricing.contract import Contract, term_usage
from billing.pricing.drawdown import draw
from billing.pricing.program_discount import best
from billing.pricing.terms import Terms, terms_of
from billing.pricing.terms_data import change_from_data
from billing.repository import accounts, plans
from billing.repository import terms as terms_kept
from metering.database import reading
from metering.period import Month, day_start
from metering.store import EventStore

_NEVER = 9999 * 12


class Threshold(NamedTuple):
    """Another rule: what takes longer than `us` counts; `billable` has the runs that would, of each month in
    order, by account."""

    us: int
    billable: Sequence[Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class _Ledger:
    """All accounts in the order of their ids; `terms` are places in `agreed`: most accounts agreed to what
    others did."""

    ids: list[str]
    currencies: list[str]
    billed_from: Integers
    billed_until: Integers
    terms: Integers
    agreed: list[Terms]
    catalogue: Catalogue


def gather(
    engine: sa.Engine,
    store: EventStore,
    months: Sequence[Month],
    *,
    unbilled: bool = False,
    terms_of_month: Month | None = None,
    threshold: Threshold | None = None,
) -> History:
    """The history of months that follow one another. Months in which an account is not billed are left out,
    unless `unbilled`. `terms_of_month`: all months on the terms of that one."""
    with reading(engine) as connection:
        ledger = _ledger(connection)
    size = len(ledger.ids), len(months)
    now, unassigned = _now(store, ledger, months)
    then = now.copy() if threshold is None else _then(ledger, threshold, size)
    rated, rated_then = now.copy(), then.copy()
    terms_in = [terms_of_month or month for month in months]
    under_contract = _contracts(store, ledger, months, terms_in, (now, then, rated, rated_then), threshold)
    is_billed = np.ones(size, dtype=np.bool_)
    if not unbilled:
        numbers = np.array([_number(month) for month in months], dtype=np.int64)
        is_billed = (numbers >= ledger.billed_from[:, None]) & (numbers <= ledger.billed_until[:, None])
    used = (now > 0) | (then > 0)
    account, month = np.nonzero(used & is_billed)
    versions, version, percent, charge = _priced_by(ledger, terms_in, account, month)
    places, account_place = np.unique(account, return_inverse=True)
    left_out = used & ~is_billed
    return History(
        accounts=tuple(ledger.ids[place] for place in places.tolist()),
        currencies=tuple(ledger.currencies[place] for place in places.tolist()),
        months=tuple(months),
        versions=versions,
        account=account_place.astype(np.int64),
        month=month.astype(np.int64),
        version=version,
        billable=now[account, month],
        rated=rated[account, month],
        rated_then=rated_then[account, month],
        percent=percent,
        charge=charge,
        under_contract=under_contract[account, month],
        not_billed_then=LeftOut(int(left_out.any(axis=1).sum()), int(now[left_out].sum())),
        unassigned=unassigned,
    )


def _ledger(connection: sa.Connection) -> _Ledger:
    said: dict[str, list[tuple[str, str]]] = {}
    for account_id, kind, data in terms_kept.said_of_all(connection):
        if account_id in said:
            said[account_id].append((kind, data))
        else:
            said[account_id] = [(kind, data)]
    rows = accounts.billed_spans(connection)
    known: dict[tuple[tuple[str, str], ...], int] = {}
    agreed: list[Terms] = []
    terms = []
    ids, currencies = [row[0] for row in rows], [row[1] for row in rows]
    billed_from, closed_on = [row[2] for row in rows], [row[3] for row in rows]
    for account_id in ids:
        changes = tuple(said.get(account_id, ()))
        place = known.get(changes)
        if place is None:
            place = known[changes] = len(agreed)
            agreed.append(terms_of(change_from_data(kind, json.loads(data)) for kind, data in changes))
        terms.append(place)
    begins = {text: _number(Month.parse(text)) for text in set(billed_from)}
    ends = {text: _NEVER if text is None else _last_month(text) for text in set(closed_on)}
    return _Ledger(
        ids,
        currencies,
        np.array([begins[text] for text in billed_from], dtype=np.int64),
        np.array([ends[text] for text in closed_on], dtype=np.int64),
        np.array(terms, dtype=np.int64),
        agreed,
        plans.catalogue(connection),
    )


def _number(month: Month) -> int:
    return month.year * 12 + month.number - 1


def _last_month(closed_on: str) -> int:
    """The last month that begins on the day of closing or before it."""
    day = date.fromisoformat(closed_on)
    return day.year * 12 + day.month - 1


def _now(store: EventStore, ledger: _Ledger, months: Sequence[Month]) -> tuple[Integers, LeftOut]:
    counted = store.billable_months(months[0].start, months[-1].end)
    place = {account_id: number for number, account_id in enumerate(ledger.ids)}
    of_name = np.array([place.get(name, -1) for name in counted.accounts], dtype=np.int64)
    account = of_name[counted.account] if len(of_name) else counted.account
    known = account >= 0
    found: Integers = np.zeros((len(ledger.ids), len(months)), dtype=np.int64)
    first = (months[0].year - 1970) * 12 + months[0].number - 1
    found[account[known], counted.month[known] - first] = counted.billable[known]
    others = counted.billable[~known]
    return found, LeftOut(int((of_name < 0).sum()), int(others.sum()))


def _then(ledger: _Ledger, threshold: Threshold, size: tuple[int, int]) -> Integers:
    place = {account_id: number for number, account_id in enumerate(ledger.ids)}
    found: Integers = np.zeros(size, dtype=np.int64)
    for month, billable in enumerate(threshold.billable):
        for account, runs in billable.items():
            if account in place:
                found[place[account], month] = runs
    return found


def _contracts(
    store: EventStore,
    ledger: _Ledger,
    months: Sequence[Month],
    terms_in: Sequence[Month],
    columns: tuple[Integers, Integers, Integers, Integers],
    threshold: Threshold | None,
) -> Any:
    """Whether a contract covers each account and month. Of those that one does, the columns (now, then, and
    what is rated of either) are set: grants are drawn day by day, whatever the plan."""
    under_contract = np.zeros((len(ledger.ids), len(months)), dtype=np.bool_)
    held: list[tuple[int, int, Contract]] = []
    having = [number for number, each in enumerate(ledger.agreed) if each.contracts]
    for place in np.flatnonzero(np.isin(ledger.terms, having)).tolist():
        terms = ledger.agreed[ledger.terms[place]]
        for number, month in enumerate(terms_in):
            contract = terms.contract(month)
            if contract is not None:
                under_contract[place, number] = True
                held.append((place, number, contract))
    if not held:
        return under_contract
    now, then, rated, rated_then = columns
    for place, number, drawn, on_demand in _drawn(store, ledger, months, held, None):
        now[place, number], rated[place, number] = drawn + on_demand, on_demand
    for place, number, drawn, on_demand in _drawn(store, ledger, months, held, threshold):
        then[place, number], rated_then[place, number] = drawn + on_demand, on_demand
    return under_contract


def _drawn(
    store: EventStore,
    ledger: _Ledger,
    months: Sequence[Month],
    held: Sequence[tuple[int, int, Contract]],
    threshold: Threshold | None,
) -> list[tuple[int, int, int, int]]:
    """Account, month, drawn and on demand."""
    since: dict[str, int] = {}
    for place, _, contract in held:
        start = min(day_start(contract.start), months[0].start)
        since[ledger.ids[place]] = min(since.get(ledger.ids[place], start), start)
    days: Mapping[str, Mapping[date, int]]
    if threshold is None:
        counted = store.days_of(since, months[-1].end, store.cutoff().position)
        days = {account: billable_by_day(found) for account, found in counted.items()}
    else:
        days = store.days_at(sorted(since), min(since.values()), months[-1].end, threshold.us)
    drawings: dict[tuple[int, str], Any] = {}
    found = []
    for place, number, contract in held:
        key = place, contract.id
        if key not in drawings:
            drawings[key] = draw(contract.grants, term_usage(contract, days[ledger.ids[place]]))
        month = months[number]
        found.append((place, number, drawings[key].drawn(month), drawings[key].on_demand(month)))
    return found


def _priced_by(
    ledger: _Ledger, terms_in: Sequence[Month], account: Integers, month: Integers
) -> tuple[tuple[PlanVersion, ...], Integers, Integers, Integers]:
    """The versions that price any row; and of each row its version, percentage off and charge. What was
    agreed is looked up once for all that agreed to the same."""
    terms = ledger.terms[account]
    pairs, of_row = np.unique(terms * len(terms_in) + month, return_inverse=True)
    versions: dict[str, int] = {}
    found = []
    for pair in pairs.tolist():
        agreed, when = ledger.agreed[pair // len(terms_in)], terms_in[pair % len(terms_in)]
        program = best(agreed.programs, when) if agreed.programs else None
        protection = agreed.protection(when) if agreed.protections else None
        is_alone = len(agreed.enrolments) == 1 and not agreed.contracts
        plan = agreed.enrolments[0].plan_id if is_alone else agreed.plan(when)
        found.append(
            (
                versions.setdefault(plan, len(versions)),
                0 if program is None else int(program.percentage * PERCENT_UNIT),
                NO_CHARGE if protection is None else protection.charge,
            )
        )
    columns = np.array(found, dtype=np.int64).reshape(-1, 3)[of_row]
    made = tuple(ledger.catalogue.get(name) for name in versions)
    return made, columns[:, 0], columns[:, 1], columns[:, 2]


def months_between(first: Month, last: Month) -> tuple[Month, ...]:
    """Both included.

    >>> [str(each) for each in months_between(Month(2026, 12), Month(2027, 1))]
    ['2026-12', '2027-01']
    """
    found = [first]
    while found[-1] < last:
        found.append(found[-1].next())
    return tuple(found)
