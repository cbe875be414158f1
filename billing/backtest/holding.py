"""The price protection that would hold an account harmless (docs/backtest.md, Protection). Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from billing.backtest.columns import Amounts, Integers, sums


class Holding(NamedTuple):
    """Of each account, by its place; of those that would not pay more the values mean nothing.

    `every_month`: the highest monthly charge with which no month costs more than it does now; `costs` is what
    it takes off the draft over all months. `in_all`: the highest with which all months together cost no more
    than now. A protection is one charge for all its months: who has a free month among dear ones is held by
    `every_month` at nothing, and by `in_all` at what it is used to."""

    every_month: Amounts
    every_month_costs: Amounts
    in_all: Amounts
    in_all_costs: Amounts


def holding(account: Integers, now: Amounts, then: Amounts, accounts: int, step: Integers) -> Holding:
    """`account`, `now` and `then` are of rows: whose it is, and what the month costs on the terms of now and
    of then. `step` is the smallest coin of each account's currency, in minor units."""
    every_month = _lowest(account[then > now], now[then > now], accounts)
    all_then = sums(account, then, accounts)
    in_all = _highest_within(account, then, sums(account, now, accounts), accounts, step)

    def costs(charge: Amounts) -> Amounts:
        saved: Amounts = all_then - sums(account, np.minimum(then, charge[account]), accounts)
        return saved

    return Holding(every_month, costs(every_month), in_all, costs(in_all))


def _lowest(account: Integers, values: Amounts, accounts: int) -> Amounts:
    found: Amounts = np.full(accounts, values.max(initial=0), dtype=values.dtype)
    np.minimum.at(found, account, values)
    return found


def _highest_within(
    account: Integers, then: Amounts, budget: Amounts, accounts: int, step: Integers
) -> Amounts:
    """Of each account the highest charge with which its months come to no more than the budget: halved until
    one coin is left. More protection never costs the account more, so there is one such."""
    low: Amounts = np.zeros(accounts, dtype=then.dtype)
    high: Amounts = np.zeros(accounts, dtype=then.dtype)
    np.maximum.at(high, account, then)
    coin = step.astype(then.dtype)
    low, high = low // coin, high // coin
    while (low < high).any():
        middle = (low + high + 1) // 2
        fits = sums(account, np.minimum(then, (middle * coin)[account]), accounts) <= budget
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    found: Amounts = low * coin
    return found
