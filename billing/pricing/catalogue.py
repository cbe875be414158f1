"""The catalogue: plans, their versions and brackets (docs/rules.md §3).

A `PlanVersion` that exists is valid: the constructor checks it, and every error names the plan and, where
it lies in one, the bracket. `plan_file` makes versions from what an operator writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from billing.pricing.currency import currency
from billing.pricing.errors import CatalogueError, CurrencyError, UnknownPlan, VersionConflict
from billing.pricing.money import plain
from metering.period import Month

MAX_PRICE_PLACES = 12  # also the finest price that Stripe takes
MAX_PRICE_DIGITS = 12  # before the point

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bracket:
    """A range of the month's billable runs with one price a run. It holds the runs above the bracket before
    it, up to and including `up_to`; None: without end. `unit_price` is in major units; zero is free."""

    up_to: int | None
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """An immutable price schedule, in force from `effective_from` on. Runs beyond `soft_limit` (None: no
    limit) are shown as over the limit and cost nothing. Raises CatalogueError if a rule is broken, and
    TypeError for a price that is no Decimal."""

    plan: str
    version: str
    effective_from: date
    currency: str
    soft_limit: int | None
    brackets: tuple[Bracket, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.plan, str) or _NAME.fullmatch(self.plan) is None:
            raise CatalogueError(
                f"{self.plan!r} is not a plan's name; use up to 64 small letters, digits and hyphens"
            )
        if not _is_version(self.version):
            raise CatalogueError(
                f"plan {self.plan}: {self.version!r} is not a version; "
                "write 2021-02, or up to 64 other printable characters without @"
            )
        if not isinstance(self.effective_from, date) or isinstance(self.effective_from, datetime):
            raise CatalogueError(f"plan {self.id}: effective_from must be a date such as 2021-02-01")
        if not isinstance(self.currency, str):
            raise CatalogueError(f"plan {self.id}: currency must be text such as USD")
        try:
            currency(self.currency)
        except CurrencyError as error:
            raise CatalogueError(f"plan {self.id}: currency {error}") from None
        if self.soft_limit is not None and not _is_count(self.soft_limit, least=0):
            raise CatalogueError(
                f"plan {self.id}: soft_limit must be a whole number of runs or null, not {self.soft_limit!r}"
            )
        _check_brackets(self)

    @property
    def id(self) -> str:
        """The name people use, for example `starter@2021-02`."""
        return f"{self.plan}@{self.version}"

    def to_data(self) -> dict[str, object]:
        """The version in the shape of a plan file, ready for JSON: prices as text, the date as YYYY-MM-DD."""
        return {
            "plan": self.plan,
            "version": self.version,
            "effective_from": self.effective_from.isoformat(),
            "currency": self.currency,
            "soft_limit": self.soft_limit,
            "brackets": [
                {"up_to": bracket.up_to, "unit_price": plain(bracket.unit_price)} for bracket in self.brackets
            ],
        }


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_version(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= 64
        and value.isprintable()
        and value == value.strip()
        and "@" not in value
    )


def _check_brackets(version: PlanVersion) -> None:
    """Ascending without gap or overlap, the last one open, prices that are exact and not negative."""
    if not version.brackets:
        raise CatalogueError(f"plan {version.id} has no brackets; give at least one, with up_to null")
    lower = 0
    limit = version.soft_limit
    for number, bracket in enumerate(version.brackets, start=1):
        where = f"plan {version.id}, bracket {number}"
        _check_price(where, bracket.unit_price)
        _check_bound(where, bracket.up_to, lower, last=number == len(version.brackets))
        reaches_beyond = limit is not None and (bracket.up_to is None or bracket.up_to > limit)
        if reaches_beyond and bracket.unit_price > 0:
            raise CatalogueError(
                f"{where}: runs over the soft limit of {limit:,} are not charged, so a bracket that reaches "
                "beyond it must have the price 0"
            )
        lower = bracket.up_to or lower


def _check_bound(where: str, up_to: int | None, lower: int, last: bool) -> None:
    if up_to is None:
        if not last:
            raise CatalogueError(f"{where}: only the last bracket may be open (up_to null)")
    elif not _is_count(up_to, least=1):
        raise CatalogueError(f"{where}: up_to must be a whole number above 0, not {up_to!r}")
    elif up_to <= lower:
        raise CatalogueError(f"{where}: up_to {up_to:,} must be above {lower:,}, where the one before ends")
    elif last:
        raise CatalogueError(
            f"{where}: the last bracket must be open (up_to null), or runs above {up_to:,} have no price"
        )


def _check_price(where: str, price: Decimal) -> None:
    if not isinstance(price, Decimal):
        raise TypeError(f"{where}: a price is a Decimal, never {type(price).__name__}")
    if not price.is_finite():
        raise CatalogueError(f"{where}: unit_price {price} is not a number")
    if price < 0:
        raise CatalogueError(f"{where}: unit_price {plain(price)} is negative")
    exponent = price.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_PRICE_PLACES:
        raise CatalogueError(
            f"{where}: unit_price {plain(price)} has {-exponent} decimal places; "
            f"at most {MAX_PRICE_PLACES} are allowed"
        )
    if price >= 10**MAX_PRICE_DIGITS:
        raise CatalogueError(
            f"{where}: unit_price is too large; at most {MAX_PRICE_DIGITS} digits go before the point"
        )


class Catalogue:
    """An immutable collection of plan versions. `add` answers a new one."""

    def __init__(self, versions: Iterable[PlanVersion] = ()) -> None:
        """Raises VersionConflict if one version comes twice with different content."""
        self._versions: dict[str, PlanVersion] = {}
        for version in versions:
            known = self._versions.setdefault(version.id, version)
            if known != version:
                raise VersionConflict(
                    f"plan {version.id} exists with other content, and a version never changes; "
                    "give the new prices a new version"
                )

    def add(self, *versions: PlanVersion) -> Catalogue:
        """This catalogue with more versions. One that exists with equal content (prices equal as numbers)
        changes nothing; with other content it raises VersionConflict, and nothing is added."""
        return Catalogue((*self, *versions))

    def __iter__(self) -> Iterator[PlanVersion]:
        """By plan, then from the oldest version to the newest."""
        return iter(sorted(self._versions.values(), key=lambda version: (version.plan, *_age(version))))

    def __len__(self) -> int:
        return len(self._versions)

    def __contains__(self, id: object) -> bool:
        return id in self._versions

    def get(self, id: str) -> PlanVersion:
        """The version named like `starter@2021-02`. Raises UnknownPlan, listing what there is."""
        if id in self._versions:
            return self._versions[id]
        plan = id.partition("@")[0]
        known = self._of(plan)
        if known and "@" in id:
            raise UnknownPlan(f"plan {plan} has no version {id!r}; known: {_list(v.id for v in known)}")
        raise self._unknown(plan)

    def newest(self, plan: str, month: Month) -> PlanVersion:
        """The newest version of a plan in effect in a month, that is, on the month's first day: a month has
        one price schedule, so a version dated inside a month begins with the next. Of versions with the same
        date the one whose name sorts last holds. Raises UnknownPlan."""
        known = self._of(plan)
        if not known:
            raise self._unknown(plan)
        in_effect = [version for version in known if _in_effect(version, month)]
        if not in_effect:
            first = known[0]
            raise UnknownPlan(
                f"plan {plan} has no version in effect in {month}; the first, {first.id}, "
                f"takes effect on {first.effective_from}"
            )
        return in_effect[-1]

    def resolve(self, name: str, month: Month) -> PlanVersion:
        """What a user means by `starter` (its newest version in effect in the month) or `starter@2021-02`
        (that one). Raises UnknownPlan, also for a version that takes effect after the month has begun."""
        if "@" not in name:
            return self.newest(name, month)
        version = self.get(name)
        if not _in_effect(version, month):
            raise UnknownPlan(
                f"plan {version.id} takes effect on {version.effective_from}, so it cannot price {month}"
            )
        return version

    def _of(self, plan: str) -> list[PlanVersion]:
        return [version for version in self if version.plan == plan]

    def _unknown(self, plan: str) -> UnknownPlan:
        names = _list(dict.fromkeys(version.plan for version in self))
        return UnknownPlan(f"there is no plan {plan!r}; known: {names or 'none, load a plan file first'}")


def _age(version: PlanVersion) -> tuple[date, str]:
    return version.effective_from, version.version


def _in_effect(version: PlanVersion, month: Month) -> bool:
    return version.effective_from <= date(month.year, month.number, 1)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
