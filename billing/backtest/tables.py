"""A backtest as tables for files: a row an account, or a row an account and month. Amounts are decimals in
the account's currency, as in every export. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from billing.backtest.report import COLUMNS
from billing.backtest.rerating import Rerated
from billing.exports.table import Columns, Kind, Table
from billing.pricing.money import to_major

_TEXTS = ("account", "currency", "month", "plan", "plan_then", "threshold")
_COUNTS = ("moves", "billable")
_MONTH_COLUMNS = (
    "account",
    "currency",
    "month",
    "plan",
    "plan_then",
    "billable",
    "current",
    "draft",
    "current_net",
    "draft_net",
    "change",
)


def account_table(rows: Iterable[Mapping[str, Any]], *more: str) -> Table:
    """Of rows as `Report.account_rows` has them, and `more` texts before them."""
    kinds = _kinds((*more, *COLUMNS))
    return Table("accounts", kinds, (_cells(row, kinds) for row in rows))


def month_table(rerated: Rerated) -> Table:
    """By account and month. `plan` prices it now, `plan_then` under the drafts."""
    kinds = _kinds(_MONTH_COLUMNS)
    return Table("months", kinds, (_cells(row, kinds) for row in month_rows(rerated)))


def month_rows(rerated: Rerated) -> Iterator[dict[str, Any]]:
    """Each month of an account that has anything to rate; amounts in minor units."""
    history = rerated.history
    names = [version.id for version in rerated.versions]
    months = [str(month) for month in history.months]
    columns = (
        history.account,
        history.month,
        history.version,
        rerated.version_then,
        history.billable,
        rerated.usage_now,
        rerated.usage_then,
        rerated.net_now,
        rerated.net_then,
    )
    for row in zip(*(each.tolist() for each in columns), strict=True):
        account, month, version, then, billable, current, draft, now, after = row
        yield {
            "account": history.accounts[account],
            "currency": history.currencies[account],
            "month": months[month],
            "plan": names[version],
            "plan_then": names[then],
            "billable": billable,
            "current": current,
            "draft": draft,
            "current_net": now,
            "draft_net": after,
            "change": after - now,
        }


def _kinds(names: Iterable[str]) -> Columns:
    return {
        name: Kind.TEXT if name in _TEXTS else Kind.COUNT if name in _COUNTS else Kind.NUMBER
        for name in names
    }


def _cells(row: Mapping[str, Any], kinds: Columns) -> tuple[Any, ...]:
    code = row["currency"]
    return tuple(
        _amount(row[name], code) if kind is Kind.NUMBER else row[name] for name, kind in kinds.items()
    )


def _amount(amount: int | None, code: str) -> Decimal | None:
    return None if amount is None else to_major(amount, code)
