"""A backtest as data: for JSON answers, tables, files and pages. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from billing.backtest.columns import total
from billing.backtest.findings import (
    Band,
    PerAccount,
    Sums,
    at_risk,
    by_month,
    by_plan,
    crossings,
    distribution,
    per_account,
)
from billing.backtest.history import LeftOut
from billing.backtest.holding import Holding, holding
from billing.backtest.rerating import Rerated
from billing.backtest.solving import Solved
from billing.pricing.currency import currency
from billing.pricing.money import plain

# What "now" is: said wherever a backtest is shown.
BASIS = (
    "now: every month's runs as they are counted today, on the account's own terms of that month; not what "
    "was invoiced, which adjustments, credit and credit notes have changed since. then: the same months with "
    "the drafts in the place of the plans they replace; programs, protection and contracts are kept."
)
COLUMNS = (
    "account",
    "currency",
    "moves",
    "billable",
    "current",
    "draft",
    "current_net",
    "draft_net",
    "change",
    "hold_every_month",
    "hold_every_month_costs",
    "hold_in_all",
    "hold_in_all_costs",
)


@dataclass(frozen=True, slots=True)
class Report:
    """`partial`: whether the last month is not over."""

    rerated: Rerated
    found: PerAccount
    held: Holding
    solved: tuple[Solved, ...]
    partial: bool

    @classmethod
    def of(cls, rerated: Rerated, solved: Sequence[Solved] = (), *, partial: bool = False) -> Report:
        history = rerated.history
        step = np.array([currency(code).step for code in history.currencies], dtype=np.int64)
        net = rerated.net_now, rerated.net_then
        held = holding(history.account, *net, len(history.accounts), step)
        return cls(rerated, per_account(rerated), held, tuple(solved), partial)

    def to_data(self, *, limit: int | None = None, by_size: bool = False) -> dict[str, Any]:
        """In the shape of JSON answers; of the accounts the first so many, as `account_rows` orders them.
        Amounts are in minor units."""
        history = self.rerated.history
        rows = list(self.account_rows(limit=limit, by_size=by_size))
        return {
            "from": str(history.months[0]),
            "to": str(history.months[-1]),
            "partial": self.partial,
            "basis": BASIS,
            "drafts": [
                {"plan": each.version.id, "instead_of": each.instead_of} for each in self.rerated.drafts
            ],
            "totals": self._totals(),
            "months": [
                {"month": str(history.months[each.month]), "currency": each.currency, **_amounts(each.sums)}
                for each in by_month(self.rerated)
            ],
            "plans": [
                {
                    "month": str(history.months[each.month]),
                    "currency": each.currency,
                    "plan": self.rerated.versions[each.version].id,
                    "plan_then": self.rerated.versions[each.version_then].id,
                    **_amounts(each.sums),
                }
                for each in by_plan(self.rerated)
            ],
            "distribution": self._distribution(),
            "at_risk": self._at_risk(),
            "crossings": self._crossings(),
            "solved": [solved_data(each) for each in self.solved],
            "accounts": rows,
            "accounts_left_off": len(history.accounts) - len(rows),
            "stay": self._stay(),
            "left_out": {
                "not_billed_then": _left_out(history.not_billed_then),
                "unassigned": _left_out(history.unassigned),
            },
        }

    def account_rows(self, *, limit: int | None = None, by_size: bool = False) -> Iterator[dict[str, Any]]:
        """An account that has anything to rate each, by currency, those first who would pay more, by how
        much; or (`by_size`) those first whose price changes most, up or down. The protections are None where
        the account pays no more: `hold_every_month` where no month does, `hold_in_all` where all months
        together do not."""
        history, found, held = self.rerated.history, self.found, self.held
        change = found.change
        codes = np.array(history.currencies, dtype=object)
        rank = abs(change) if by_size else change
        order = sorted(range(len(history.accounts)), key=lambda at: (codes[at], -rank[at], at))
        rises = np.zeros(len(history.accounts), dtype=np.bool_)
        rises[history.account[self.rerated.net_then > self.rerated.net_now]] = True
        columns = [each.tolist() for each in (found.moves, *found[:5], change, rises, *held)]
        for at in order[:limit]:
            moves, billable, current, draft, now, then, more, rise, *charges = (each[at] for each in columns)
            yield {
                "account": history.accounts[at],
                "currency": history.currencies[at],
                "moves": moves,
                "billable": billable,
                "current": current,
                "draft": draft,
                "current_net": now,
                "draft_net": then,
                "change": more,
                "hold_every_month": charges[0] if rise else None,
                "hold_every_month_costs": charges[1] if rise else None,
                "hold_in_all": charges[2] if more > 0 else None,
                "hold_in_all_costs": charges[3] if more > 0 else None,
            }

    def _of(self, code: str) -> Any:
        return np.array([each == code for each in self.rerated.history.currencies], dtype=np.bool_)

    def _totals(self) -> list[dict[str, Any]]:
        found, history = self.found, self.rerated.history
        totals = []
        for code in history.currency_codes():
            here = self._of(code)
            change, now, then = found.change[here], found.net_now[here], found.net_then[here]
            totals.append(
                {
                    "currency": code,
                    "accounts": int(here.sum()),
                    "moves": int(found.moves[here].sum()),
                    "pay_more": int((change > 0).sum()),
                    "pay_less": int((change < 0).sum()),
                    "begin_to_pay": int(((now == 0) & (then > 0)).sum()),
                    "stop_paying": int(((now > 0) & (then == 0)).sum()),
                    "billable": total(found.billable[here]),
                    "current": total(found.usage_now[here]),
                    "draft": total(found.usage_then[here]),
                    "current_net": total(now),
                    "draft_net": total(then),
                    "change": total(change),
                    "gained": total(change[change > 0]),
                    "lost": -total(change[change < 0]),
                    "hold_in_all_costs": total(self.held.in_all_costs[here & (found.change > 0)]),
                }
            )
        return totals

    def _distribution(self) -> list[dict[str, Any]]:
        return [
            {"currency": code, **_band(each)}
            for code in self.rerated.history.currency_codes()
            for each in distribution(self.found, self._moving(code))
        ]

    def _moving(self, code: str) -> Any:
        """Accounts of a currency that may change: where no draft is given, under another rule all do."""
        here = self._of(code)
        return here & self.found.moves if self.rerated.drafts else here

    def _at_risk(self) -> list[dict[str, Any]]:
        return [
            {
                "currency": code,
                "above_percent": each.above,
                "accounts": each.accounts,
                "current_net": each.net_now,
                "draft_net": each.net_then,
            }
            for code in self.rerated.history.currency_codes()
            for each in at_risk(self.found, self._of(code))
        ]

    def _crossings(self) -> list[dict[str, Any]]:
        versions = self.rerated.versions
        return [
            {
                "currency": versions[each.version].currency,
                "plan": versions[each.version].id,
                "plan_then": versions[each.version_then].id,
                "bracket": each.bracket,
                "bracket_then": each.bracket_then,
                "unit_price": plain(versions[each.version].brackets[each.bracket - 1].unit_price),
                "unit_price_then": plain(
                    versions[each.version_then].brackets[each.bracket_then - 1].unit_price
                ),
                "months": each.months,
                "current_net": each.net_now,
                "draft_net": each.net_then,
            }
            for each in crossings(self.rerated)
        ]

    def _stay(self) -> dict[str, int]:
        """Months of accounts that stay as they are, by why."""
        rerated = self.rerated
        ids = {each.version.id for each in rerated.drafts}
        on_draft = np.array([each.id in ids for each in rerated.history.versions], dtype=np.bool_)
        contract = rerated.history.under_contract
        already = (on_draft[rerated.history.version] if len(on_draft) else contract) & ~contract
        other = ~(rerated.moves | contract | already | rerated.other_currency)
        return {
            "under_contract": int(contract.sum()),
            "on_the_draft_already": int(already.sum()),
            "other_currency": int(rerated.other_currency.sum()),
            "other_plan": int(other.sum()),
        }


def solved_data(each: Solved) -> dict[str, Any]:
    return {
        "what": each.what,
        "draft": each.draft,
        "currency": each.currency,
        "target": each.target,
        "value": _value(each.value),
        "brings": each.brings,
        "next_value": _value(each.next_value),
        "next_brings": each.next_brings,
        "plan": None if each.version is None else each.version.to_data(),
        "message": each.message,
    }


def _value(value: int | Decimal | None) -> int | str | None:
    return plain(value) if isinstance(value, Decimal) else value


def _amounts(sums: Sums) -> dict[str, int]:
    return {
        "accounts": sums.accounts,
        "billable": sums.billable,
        "current": sums.usage_now,
        "draft": sums.usage_then,
        "current_net": sums.net_now,
        "draft_net": sums.net_then,
    }


def _band(band: Band) -> dict[str, Any]:
    return {
        "above_percent": band.above,
        "up_to_percent": band.up_to,
        "from_nothing": band.from_nothing,
        "accounts": band.accounts,
        "current_net": band.net_now,
        "draft_net": band.net_then,
    }


def _left_out(left: LeftOut) -> dict[str, int]:
    return {"accounts": left.accounts, "billable": left.billable}


def band_name(band: Mapping[str, Any]) -> str:
    """A band of the distribution, in words."""
    above, up_to = band["above_percent"], band["up_to_percent"]
    if band["from_nothing"]:
        return "pay nothing now"
    if above == up_to == 0:
        return "the same"
    if above is None:
        return f"more than {-up_to} % less"
    if up_to is None:
        return f"more than {above} % more"
    return f"{above} to {up_to} %"
