"""A history priced twice: as it is, and under drafts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from billing.backtest.columns import Amounts, Integers, net_amounts, number_type, usage_amounts
from billing.backtest.history import Draft, History
from billing.pricing.catalogue import PlanVersion


@dataclass(frozen=True, slots=True)
class Rerated:
    """Of each row of a history what it costs now and then, in minor units: the usage lines (`usage_…`), and
    what is left after programs and protection (`net_…`). `versions` are those of the history, and then the
    drafts; `version_then` are places in it. `draft` is the place of the draft that a row moves to; -1 where
    it stays. `other_currency`: rows that would move, and are billed in another currency."""

    history: History
    drafts: tuple[Draft, ...]
    versions: tuple[PlanVersion, ...]
    version_then: Integers
    draft: Integers
    other_currency: NDArray[np.bool_]
    usage_now: Amounts
    usage_then: Amounts
    net_now: Amounts
    net_then: Amounts

    @property
    def moves(self) -> NDArray[np.bool_]:
        return self.draft >= 0


def rerate(history: History, drafts: Sequence[Draft] = ()) -> Rerated:
    """Months on a plan that a draft takes the place of are priced by the draft; months under contract, and on
    other plans, stay as they are. Programs and protection are kept."""
    versions = (*history.versions, *(each.version for each in drafts))
    draft = np.full(history.rows, -1, dtype=np.int64)
    other_currency = np.zeros(history.rows, dtype=np.bool_)
    codes, of_row = history.currency_codes(), history.currency()
    for number, each in enumerate(drafts):
        replaced = np.array([each.replaces(version) for version in history.versions], dtype=np.bool_)
        here = (replaced[history.version] if len(replaced) else other_currency) & ~history.under_contract
        fits = np.array([code == each.version.currency for code in codes], dtype=np.bool_)
        same = fits[of_row] if len(fits) else other_currency
        draft[here & same] = number
        other_currency |= here & ~same
    version_then = np.where(draft >= 0, draft + len(history.versions), history.version)
    most = max(int(history.rated.max(initial=0)), int(history.rated_then.max(initial=0)))
    numbers = number_type(most, history.rows, versions)
    usage_now, net_now = _priced(history, history.version, history.rated, versions, numbers)
    usage_then, net_then = _priced(history, version_then, history.rated_then, versions, numbers)
    return Rerated(
        history,
        tuple(drafts),
        versions,
        version_then,
        draft,
        other_currency,
        usage_now,
        usage_then,
        net_now,
        net_then,
    )


def _priced(
    history: History,
    version_of: Integers,
    rated: Integers,
    versions: Sequence[PlanVersion],
    numbers: type,
) -> tuple[Amounts, Amounts]:
    """Usage lines, and what is left after programs and protection, of each row."""
    usage: Amounts = np.zeros(history.rows, dtype=numbers)
    net: Amounts = np.zeros(history.rows, dtype=numbers)
    for place, version in enumerate(versions):
        rows = np.flatnonzero(version_of == place)
        if len(rows):
            usage[rows] = usage_amounts(rated[rows], version, numbers)
            percent, charge = history.percent[rows], history.charge[rows]
            net[rows] = net_amounts(usage[rows], percent, charge, version.currency)
    return usage, net
