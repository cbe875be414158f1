"""What a rerating comes to: who pays more, how changes are distributed, which brackets are crossed, and what
is at risk. Pure; never adds up two currencies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from billing.backtest.columns import Amounts, Integers, brackets_reached, sums, total
from billing.backtest.rerating import Rerated

# Bounds, in percent, of the bands that changes fall into.
EDGES = (-50, -20, -10, 0, 10, 20, 50, 100)
# Revenue is at risk where an account pays more by more than so many percent.
RISKS = (0, 10, 25, 50, 100)


class PerAccount(NamedTuple):
    """Of each account of a history, by its place: all its months together."""

    billable: Integers
    usage_now: Amounts
    usage_then: Amounts
    net_now: Amounts
    net_then: Amounts
    moves: NDArray[np.bool_]

    @property
    def change(self) -> Amounts:
        found: Amounts = self.net_then - self.net_now
        return found


def per_account(rerated: Rerated) -> PerAccount:
    history = rerated.history
    places, size = history.account, len(history.accounts)
    columns = (
        history.billable,
        rerated.usage_now,
        rerated.usage_then,
        rerated.net_now,
        rerated.net_then,
        rerated.moves.astype(np.int64),
    )
    billable, *amounts, moves = (sums(places, column, size) for column in columns)
    usage_now, usage_then, net_now, net_then = amounts
    return PerAccount(billable, usage_now, usage_then, net_now, net_then, moves > 0)


class Sums(NamedTuple):
    """Amounts of some rows, and how many accounts they are of."""

    accounts: int
    billable: int
    usage_now: int
    usage_then: int
    net_now: int
    net_then: int


def added_up(rerated: Rerated, rows: NDArray[np.int64]) -> Sums:
    """Of some rows, by their numbers, of one currency."""
    history = rerated.history
    return Sums(
        int(np.count_nonzero(np.bincount(history.account[rows]))) if len(rows) else 0,
        total(history.billable[rows]),
        total(rerated.usage_now[rows]),
        total(rerated.usage_then[rows]),
        total(rerated.net_now[rows]),
        total(rerated.net_then[rows]),
    )


class ByMonth(NamedTuple):
    month: int
    currency: str
    sums: Sums


class ByPlan(NamedTuple):
    """A month's rows on one plan version now, and on one then; places in `Rerated.versions`."""

    month: int
    currency: str
    version: int
    version_then: int
    sums: Sums


def by_month(rerated: Rerated) -> list[ByMonth]:
    """Of each month and currency that has any rows, in order."""
    codes = rerated.history.currency_codes()
    groups = _groups(rerated.history.month, rerated.history.currency())
    return [ByMonth(month, codes[code], added_up(rerated, rows)) for (month, code), rows in groups]


def by_plan(rerated: Rerated) -> list[ByPlan]:
    """The same, and of each plan."""
    history = rerated.history
    codes = history.currency_codes()
    keys = (history.month, history.currency(), history.version, rerated.version_then)
    return [
        ByPlan(month, codes[code], version, then, added_up(rerated, rows))
        for (month, code, version, then), rows in _groups(*keys)
    ]


def _groups(*keys: Integers) -> Iterator[tuple[tuple[int, ...], NDArray[np.int64]]]:
    """Rows with equal keys, by their numbers; in the order of the keys."""
    if not len(keys[0]):
        return
    order = np.lexsort(keys[::-1])
    in_order = [key[order] for key in keys]
    breaks = np.zeros(len(order), dtype=np.bool_)
    breaks[0] = True
    for key in in_order:
        breaks[1:] |= key[1:] != key[:-1]
    starts = np.flatnonzero(breaks)
    for first, end in zip(starts, [*starts[1:], len(order)], strict=True):
        yield tuple(int(key[first]) for key in in_order), order[first:end]


class Band(NamedTuple):
    """Accounts whose change, in percent, is above `above` and at most `up_to` (None: without bound); a change
    of nothing is a band of its own, both zero. `from_nothing`: they pay nothing now, so there is no percent.
    """

    above: int | None
    up_to: int | None
    from_nothing: bool
    accounts: int
    net_now: int
    net_then: int


def distribution(found: PerAccount, which: NDArray[np.bool_]) -> list[Band]:
    """Of some accounts, which have one currency. Falls are bounded from above by what they reach: the
    band of -20 to -10 has a fall of 20 % and none of 10 %."""
    now, change = found.net_now, found.change
    base = which
    bands = [_band(found, base & (change == 0), 0, 0)]
    falls = [each for each in EDGES if each < 0]
    rises = [each for each in EDGES if each > 0]
    below: list[Band] = []
    for least, short_of in zip([None, *falls], [*falls, 0], strict=True):
        inside = base & (change < 0)
        if least is not None:
            inside &= change * 100 >= least * now
        if short_of:
            inside &= change * 100 < short_of * now
        below.append(_band(found, inside, least, short_of))
    bands = below + bands
    for above, up_to in zip([0, *rises], [*rises, None], strict=True):
        inside = base & (change > 0) & (now > 0) & (change * 100 > above * now)
        if up_to is not None:
            inside &= change * 100 <= up_to * now
        bands.append(_band(found, inside, above, up_to))
    bands.append(_band(found, base & (change > 0) & (now == 0), None, None, from_nothing=True))
    return bands


def _band(
    found: PerAccount,
    inside: NDArray[np.bool_],
    above: int | None,
    up_to: int | None,
    *,
    from_nothing: bool = False,
) -> Band:
    sums_ = total(found.net_now[inside]), total(found.net_then[inside])
    return Band(above, up_to, from_nothing, int(inside.sum()), *sums_)


class Risk(NamedTuple):
    """Accounts that would pay more by more than `above` percent, what they bring now and what they would.
    If all of them leave, `net_now` is lost; `from_nothing`, which pay nothing now, are among those above 0
    alone."""

    above: int
    accounts: int
    net_now: int
    net_then: int


def at_risk(found: PerAccount, which: NDArray[np.bool_]) -> list[Risk]:
    """Of accounts of one currency."""
    now, change = found.net_now, found.change
    risks = []
    for above in RISKS:
        inside = which & (change > 0) & ((change * 100 > above * now) & ((now > 0) | (above == 0)))
        risks.append(Risk(above, int(inside.sum()), *(total(x[inside]) for x in (now, found.net_then))))
    return risks


class Crossing(NamedTuple):
    """Months of accounts that move, by the bracket that their last run is in, now and then, and how much they
    pay; versions are places in `Rerated.versions`."""

    version: int
    version_then: int
    bracket: int
    bracket_then: int
    months: int
    net_now: int
    net_then: int


def crossings(rerated: Rerated) -> list[Crossing]:
    history = rerated.history
    now, then = (np.zeros(history.rows, dtype=np.int64) for _ in range(2))
    for place, version in enumerate(rerated.versions):
        for column, version_of, rated in (
            (now, history.version, history.rated),
            (then, rerated.version_then, history.rated_then),
        ):
            rows = np.flatnonzero(version_of == place)
            column[rows] = brackets_reached(rated[rows], version)
    moving = np.flatnonzero(rerated.moves)
    keys = tuple(each[moving] for each in (history.version, rerated.version_then, now, then))
    found = []
    for (version_, version_then, bracket, bracket_then), inside in _groups(*keys):
        rows = moving[inside]
        amounts = total(rerated.net_now[rows]), total(rerated.net_then[rows])
        found.append(Crossing(version_, version_then, bracket, bracket_then, len(rows), *amounts))
    return found
