"""Signs of misuse, for the operator: what the meter shows (`metering.signs`), and what is at stake. Nothing
is accused, and nothing is changed (docs/anomalies.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import sqlalchemy as sa
import structlog

from billing.app import Service
from billing.pricing.catalogue import PlanVersion
from billing.pricing.money import round_to_minor, to_major
from billing.pricing.rating import rate
from billing.repository import accounts, plans
from billing.repository.accounts import Account
from billing.terms import get_account
from metering.database import reading
from metering.month_signs import Corrected, month_signs
from metering.period import Month
from metering.signs import Norm, Sign
from metering.store import corrections, run_key
from metering.usage import Counts

# The schedule reads the runs of months with no more runs than this: half a minute a day.
DAILY_RUNS = 10_000_000

_NO_COUNTS = Counts()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A sign of a month. `value`, in minor units of `currency`, is the most that is at stake: what the runs
    beyond the usual would cost on `plan`, on top of what is billable; all three are None for an account that
    billing does not know."""

    month: Month
    sign: Sign
    value: int | None = None
    currency: str | None = None
    plan: str | None = None

    @property
    def message(self) -> str:
        """What it is, in a sentence."""
        return _MESSAGES[self.sign.kind](self.sign)

    @property
    def look(self) -> str:
        """A command that shows more."""
        by = {"backdated": "", "shared_run_id": " --by month --group-by workspace"}
        more = by.get(self.sign.kind, " --by month --group-by flow")
        return f"billing usage {self.sign.account} --month {self.month}{more}"

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        sign = self.sign
        return {
            "account": sign.account,
            "kind": sign.kind,
            "share": _rounded(sign.share),
            "runs": sign.part,
            "of": sign.whole,
            "excess": sign.excess,
            "far_from": list(sign.far_from),
            "own_past": _norm_data(sign.own),
            "others": _norm_data(sign.others),
            "after_month": sign.after_month,
            "younger_ids": sign.younger,
            "shared_with": list(sign.accounts),
            "value": self.value,
            "currency": self.currency,
            "plan": self.plan,
            "message": self.message,
            "look": self.look,
        }


@dataclass(frozen=True, slots=True)
class Anomalies:
    """What a month shows, the most valuable first. `accounts` have runs in it, and were compared."""

    month: Month
    accounts: int
    signs: list[Anomaly] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.signs

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "month": str(self.month),
            "ok": self.ok,
            "accounts": self.accounts,
            "signs": [each.to_data() for each in self.signs],
        }


def find_anomalies(service: Service, month: Month, account: str | None = None) -> Anomalies:
    """The signs of a month now, of one account or of all; compared it is with all. Raises NotFound for an
    account that neither billing nor the meter knows."""
    if account is not None and not service.store.has_account(account):
        with reading(service.engine) as connection:
            get_account(connection, account)
    now = service.store.counts_by_account(month.start, month.end)
    signs = month_signs(service.store, month, _corrected(service))
    if account is not None:
        signs = [each for each in signs if each.account == account]
    compared = sum(counts.total > 0 for counts in now.values())
    return Anomalies(month, compared, _valued(service, month, signs, now))


def accounts_with_signs(service: Service, month: Month) -> int:
    """How many accounts show a sign; of a month with very many runs only by its counters."""
    now = service.store.counts_by_account(month.start, month.end)
    few = sum(counts.total for counts in now.values()) <= DAILY_RUNS
    signs = month_signs(service.store, month, _corrected(service), runs=few)
    return len({each.account for each in signs})


def _corrected(service: Service) -> Corrected:
    with reading(service.engine) as connection:
        held = corrections.by_name(connection, service.store.cutoff().position)
    return {account: [run_key.decode(key) for key in keys] for account, keys in held.items()}


def _valued(service: Service, month: Month, signs: list[Sign], now: Mapping[str, Counts]) -> list[Anomaly]:
    later: Mapping[str, Counts] = {}
    if any(each.after_month for each in signs):
        following = month.next()
        later = service.store.counts_by_account(following.start, following.end)
    with reading(service.engine) as connection:
        known = {
            each.id: each for each in accounts.some(connection, sorted({sign.account for sign in signs}))
        }
        found = [_anomaly(connection, month, sign, known.get(sign.account), now, later) for sign in signs]
    return sorted(found, key=_order)


def _anomaly(
    connection: sa.Connection,
    month: Month,
    sign: Sign,
    account: Account | None,
    now: Mapping[str, Counts],
    later: Mapping[str, Counts],
) -> Anomaly:
    if account is None:
        return Anomaly(month, sign)
    version = plans.version(connection, account.terms.plan(month))
    billable = now.get(account.id, _NO_COUNTS).billable
    is_billed = month >= account.billing_from
    if sign.kind == "backdated":
        # Where they are they may be free; where they came they would not have been.
        moved, following = sign.after_month, month.next()
        there = plans.version(connection, account.terms.plan(following))
        on_top = later.get(account.id, _NO_COUNTS).billable
        cost = _cost(on_top, moved, there) if following >= account.billing_from else Decimal(0)
        if is_billed:
            cost -= _cost(max(billable - moved, 0), moved, version)
    else:
        cost = _cost(billable, sign.excess, version) if is_billed else Decimal(0)
    value = round_to_minor(max(cost, Decimal(0)), version.currency)
    return Anomaly(month, sign, value, version.currency, version.id)


def _cost(billable: int, more: int, version: PlanVersion) -> Decimal:
    """What so many more runs cost a month that has `billable` ones, in major units."""
    total, before = (
        sum((each.exact_amount for each in rate(quantity, version)), Decimal(0))
        for quantity in (billable + more, billable)
    )
    return total - before


def _order(each: Anomaly) -> tuple[bool, str, Decimal, str, str]:
    """By value, each currency by itself; what has none last."""
    value = Decimal(0) if each.value is None or each.currency is None else to_major(each.value, each.currency)
    return each.value is None, each.currency or "", -value, each.sign.account, each.sign.kind


def _norm_data(norm: Norm | None) -> dict[str, object] | None:
    if norm is None:
        return None
    return {
        "median": _rounded(norm.median),
        "limit": _rounded(norm.limit),
        "spread": _rounded(norm.spread),
        "compared": norm.of,
    }


def _rounded(number: float) -> float:
    return round(number, 6)


def percent(share: float) -> str:
    """A share as people read it.

    >>> percent(0.4217)
    '42.2 %'
    """
    return f"{100 * share:.1f} %"


def _usual(sign: Sign) -> str:
    own, others = sign.own, sign.others
    said = []
    if own is not None:
        said.append(f"{percent(own.median)} in {own.of} months before")
    if others is not None:
        said.append(f"{percent(others.median)} among {others.of} accounts")
    if not said:
        said.append("not known, and by chance it would be half")
    return f"usual is {' and '.join(said)}; {sign.excess:,} beyond that"


def _share(sign: Sign) -> str:
    return f"{sign.part:,} of {sign.whole:,}"


_MESSAGES = {
    "cached_share": lambda s: f"{_share(s)} runs that ended well were cached; {_usual(s)}",
    "reversed_share": lambda s: f"{_share(s)} runs that ended well were rolled back; {_usual(s)}",
    "too_short_share": lambda s: (
        f"{_share(s)} runs that ended well took no longer than a second; {_usual(s)}"
    ),
    "just_under_a_second": lambda s: (
        f"{_share(s)} completions of 0.9 to 1.1 seconds took no longer than one second; {_usual(s)}"
    ),
    "backdated": lambda s: (
        f"{_share(s)} billable runs were handed in three days or more after they ended,"
        f" {s.after_month:,} of them after the month; of {s.younger:,} the id was made after the run ended;"
        f" {_usual(s)}"
    ),
    "shared_run_id": lambda s: (
        f"{_share(s)} runs have an id that {_names(s.accounts)} {'have' if len(s.accounts) > 1 else 'has'},"
        f" too; {s.excess:,} of them are billable for each"
    ),
}


def _names(names: tuple[str, ...]) -> str:
    few = ", ".join(names[:3])
    return few if len(names) <= 3 else f"{few} and {len(names) - 3} others"


def warn_of_signs(service: Service, month: Month) -> None:
    """Log how many accounts show signs in a month. What is handed in late falls into the month before as
    well: its signs are counted, too."""
    before = month.previous()
    shown = {each: accounts_with_signs(service, each) for each in (before, month)}
    if any(shown.values()):
        look = month if shown[month] else before
        log.warning(
            "accounts show signs of misuse",
            accounts=shown[month],
            accounts_of_month_before=shown[before],
            look=f"billing anomalies --month {look}",
        )
