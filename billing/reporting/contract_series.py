"""A contract's runs as tables: a row a day, and a row a month (docs/rules.md §4, The report).

Quantities are whole numbers throughout: every column is of 64-bit integers, and no money comes here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date

import pandas as pd

from billing.pricing.contract import Grant
from billing.pricing.drawdown import Drawdown
from billing.pricing.run_ledger import EntryKind, truth

_COLUMNS = {EntryKind.GRANT: "granted", EntryKind.USAGE: "drawn", EntryKind.EXPIRY: "expired"}


def daily(grants: Iterable[Grant], drawdown: Drawdown, first: date, last: date) -> pd.DataFrame:
    """A row for each day from `first` to `last`, both included (none if `last` is before), with the runs
    `granted`, `drawn`, `expired` and `on_demand` on it, and the `balance` as it ends. `first` is the start of
    the contract's term, or before. The index is of days (`PeriodIndex`), which has no time zone to forget."""
    columns: dict[str, Counter[date]] = {name: Counter() for name in (*_COLUMNS.values(), "on_demand")}
    for place, quantity in truth(grants, drawdown, last).items():
        columns[_COLUMNS[place.purpose]][place.effective_on] += abs(quantity)
    for day in drawdown.days:
        if day.day <= last:
            columns["on_demand"][day.day] = day.on_demand
    index = pd.period_range(first, last, freq="D")
    frame = pd.DataFrame({name: _column(runs, index) for name, runs in columns.items()}, index=index)
    frame["balance"] = (frame["granted"] - frame["drawn"] - frame["expired"]).cumsum()
    assert (frame["balance"] >= 0).all(), "a balance went below zero"
    return frame


def monthly(days: pd.DataFrame, end: date) -> pd.DataFrame:
    """The days by month: sums, and the balance as the last of them ends. `end` is the end of the term. What
    expires on that very day, as the term ends, is counted in the last month, so that the months hold all that
    the contract ever granted."""
    day = days.index
    assert isinstance(day, pd.PeriodIndex)
    end_of_term = pd.Period(end, freq="D")
    month = day.where(day < end_of_term, end_of_term - 1).asfreq("M")
    sums = dict.fromkeys((*_COLUMNS.values(), "on_demand"), "sum")
    return days.groupby(month).agg({**sums, "balance": "last"})


def _column(runs: Mapping[date, int], index: pd.PeriodIndex) -> pd.Series[int]:
    days = pd.PeriodIndex(list(runs), freq="D")
    return pd.Series(list(runs.values()), index=days, dtype="int64").reindex(index, fill_value=0)
