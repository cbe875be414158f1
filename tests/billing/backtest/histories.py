"""Histories for the tests, from rows that are written as people say them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from billing.backtest.columns import NO_CHARGE, PERCENT_UNIT
from billing.backtest.history import History
from billing.pricing.catalogue import PlanVersion
from metering.period import Month


@dataclass(frozen=True)
class Row:
    """`rated` None: all billable runs."""

    account: str
    month: Month
    version: PlanVersion
    billable: int
    percent: Decimal = Decimal(0)
    charge: int | None = None
    rated: int | None = None
    rated_then: int | None = None
    under_contract: bool = False


def history(*rows: Row) -> History:
    accounts = sorted({row.account for row in rows})
    currencies = {row.account: row.version.currency for row in rows}
    months = sorted({row.month for row in rows})
    versions = list({row.version.id + row.version.currency: row.version for row in rows}.values())
    rated = [row.billable if row.rated is None else row.rated for row in rows]
    then = [rate if row.rated_then is None else row.rated_then for row, rate in zip(rows, rated, strict=True)]
    return History(
        tuple(accounts),
        tuple(currencies[each] for each in accounts),
        tuple(months),
        tuple(versions),
        np.array([accounts.index(row.account) for row in rows], dtype=np.int64),
        np.array([months.index(row.month) for row in rows], dtype=np.int64),
        np.array([versions.index(row.version) for row in rows], dtype=np.int64),
        np.array([row.billable for row in rows], dtype=np.int64),
        np.array(rated, dtype=np.int64),
        np.array(then, dtype=np.int64),
        np.array([int(row.percent * PERCENT_UNIT) for row in rows], dtype=np.int64),
        np.array([NO_CHARGE if row.charge is None else row.charge for row in rows], dtype=np.int64),
        np.array([row.under_contract for row in rows], dtype=np.bool_),
    )
