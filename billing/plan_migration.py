"""Moving accounts to another plan version from a month on, with a preview of who would pay more
(docs/rules.md §3, Which version applies; §5, 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import sqlalchemy as sa

from billing.audit.trail import changing
from billing.billing_run import Progress
from billing.errors import BillingError, Invalid
from billing.pricing.adjustment import priced
from billing.pricing.basis import Basis
from billing.pricing.catalogue import Catalogue, PlanVersion
from billing.pricing.days import first_day
from billing.pricing.errors import PricingError
from billing.pricing.invoice import compose
from billing.pricing.plan_file import parse_plan_file
from billing.pricing.price_protection import PriceProtection
from billing.pricing.terms import Enrolment, Protection, Terms, changed
from billing.repository import accounts, plans
from billing.repository.accounts import Account
from billing.terms import change_terms, check_change, get_account
from metering.database import reading
from metering.period import Month
from metering.store import EventStore
from metering.usage import Counts

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Moved:
    """One account: what the compared month's usage costs on its present terms and on the new ones, in minor
    units of its currency. `protected_at` is the charge that protects it, where it is."""

    account: str
    from_plan: str
    to_plan: str
    currency: str
    now: int
    then: int
    protected_at: int | None = None

    def to_data(self) -> dict[str, object]:
        return {
            "account": self.account,
            "from_plan": self.from_plan,
            "to_plan": self.to_plan,
            "currency": self.currency,
            "now": self.now,
            "then": self.then,
            "change": self.then - self.now,
            "protected_at": self.protected_at,
        }


@dataclass(slots=True)
class MigrationReport:
    """`compared` is the month whose usage was priced twice. `skipped` accounts stay as they are, `failed`
    ones could not be moved; both with a sentence."""

    plan: str
    from_month: Month
    compared: Month
    dry_run: bool
    moved: list[Moved] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers; those who would pay more come first, by how much."""
        in_order = sorted(self.moved, key=lambda each: (each.now - each.then, each.account))
        return {
            "plan": self.plan,
            "from": str(self.from_month),
            "compared": str(self.compared),
            "dry_run": self.dry_run,
            "pay_more": sum(each.then > each.now for each in self.moved),
            "accounts": [each.to_data() for each in in_order],
            "skipped": [{"account": account, "message": message} for account, message in self.skipped],
            "failed": [{"account": account, "message": message} for account, message in self.failed],
            "totals": self._totals(),
        }

    def _totals(self) -> list[dict[str, object]]:
        """What all accounts together pay before and after, by currency."""
        sums: dict[str, tuple[int, int]] = {}
        for each in self.moved:
            now, then = sums.get(each.currency, (0, 0))
            sums[each.currency] = now + each.now, then + each.then
        return [{"currency": code, "now": now, "then": then} for code, (now, then) in sorted(sums.items())]


def migrate_plan(
    engine: sa.Engine,
    store: EventStore,
    plan: str,
    from_month: Month,
    *,
    account_ids: Sequence[str] = (),
    protect_until: date | None = None,
    dry_run: bool = False,
    by: str,
    now: int,
) -> MigrationReport:
    """Enrol accounts in a plan version from a month on: those named, or all that are on another version of
    the same plan. The usage of the last whole month is priced on both, as if it were that month's.
    `protect_until`: who would pay more is held to what it would pay now, until that day. `dry_run` changes
    nothing, and fails where the change would. Raises NotFound for an unknown account, Invalid for an unknown
    plan, or for a protection that ends before it begins."""
    if protect_until is not None and protect_until <= first_day(from_month):
        raise Invalid(
            f"a protection until {protect_until} would end before it begins in {from_month}; choose a later "
            "day",
            field="protect_until",
        )
    with reading(engine) as connection:
        catalogue = plans.catalogue(connection)
        version = _resolve(catalogue, plan, from_month)
        if account_ids:
            chosen = [get_account(connection, each) for each in dict.fromkeys(account_ids)]
        else:
            chosen = [
                each
                for each in accounts.every(connection)
                if each.terms.plan(from_month).partition("@")[0] == version.plan
            ]
    compared = Month.of(now).previous()
    report = MigrationReport(version.id, from_month, compared, dry_run)
    for account in chosen:
        reason = _left_alone(account, version, from_month)
        if reason is not None:
            report.skipped.append((account.id, reason))
            continue
        counts = store.usage(account.id, compared.start, compared.end, by="month").counts
        try:
            moved, terms = _compare(account, version, from_month, counts, catalogue, protect_until)
            changes = _new(account.terms, terms)
            if dry_run:
                _check(engine, account, changes)
            else:
                _record(engine, account, changes, by=by, now=now)
        except (BillingError, PricingError) as error:
            report.failed.append((account.id, str(error)))
        else:
            report.moved.append(moved)
    return report


def preview_plan(
    engine: sa.Engine,
    store: EventStore,
    text: str,
    name: str,
    *,
    now: int,
    instead_of: str | None = None,
    progress: Progress = lambda done, total: None,
) -> MigrationReport:
    """What a plan version that is not loaded would do: the usage of the last whole month, of each account on
    another version of its plan (or of the plan `instead_of`), priced on both. `text` is that of a plan file,
    whose suffix in `name` says how to read it. Nothing is changed, nor loaded. Raises Invalid."""
    from billing.backtest.gathering import gather  # with numpy
    from billing.backtest.history import Draft
    from billing.backtest.operation import draft_plans
    from billing.backtest.rerating import rerate

    version = _draft(text, name)
    month, compared = Month.of(now), Month.of(now).previous()
    report = MigrationReport(version.id, month, compared, dry_run=True)
    with reading(engine) as connection:
        held = plans.catalogue(connection)
        everyone = accounts.ids(connection)
    plan = instead_of or version.plan
    if instead_of != version.plan or any(each.plan == plan for each in held):
        draft_plans(held, [version], instead_of)
    history = gather(engine, store, (compared,), unbilled=True, terms_of_month=month)
    rerated = rerate(history, [Draft(version, plan)])
    priced_ = zip(rerated.net_now.tolist(), rerated.net_then.tolist(), strict=True)
    amounts = {history.accounts[place]: each for place, each in zip(history.account, priced_, strict=True)}
    for number, account in enumerate(_each_account(engine)):
        progress(number, len(everyone))
        on = account.terms.plan(month)
        if plan not in (on, on.partition("@")[0]):
            continue
        reason = _left_alone(account, version, month)
        if reason is not None:
            report.skipped.append((account.id, reason))
        elif account.currency != version.currency:
            says = f"is billed in {account.currency}, but plan {version.id} is priced in {version.currency}"
            report.failed.append((account.id, f"account {account.id} {says}"))
        else:
            before, after = amounts.get(account.id, (0, 0))
            report.moved.append(Moved(account.id, on, version.id, account.currency, before, after))
    progress(len(everyone), len(everyone))
    return report


def _each_account(engine: sa.Engine) -> Iterator[Account]:
    """All of them, so many in memory at once."""
    after = ""
    while True:
        with reading(engine) as connection:
            page = accounts.every(connection, after=after, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].id


def _draft(text: str, name: str) -> PlanVersion:
    try:
        versions = parse_plan_file(text, name)
    except PricingError as error:
        raise Invalid(str(error), field="plan") from None
    if len(versions) != 1:
        raise Invalid(f"a preview is of one plan version, and this has {len(versions)}", field="plan")
    return versions[0]


def _resolve(catalogue: Catalogue, plan: str, month: Month) -> PlanVersion:
    try:
        return catalogue.resolve(plan, month)
    except PricingError as error:
        raise Invalid(str(error), field="plan") from None


def _left_alone(account: Account, version: PlanVersion, month: Month) -> str | None:
    contract = account.terms.contract(month)
    if account.closed_on is not None:
        return f"closed on {account.closed_on}"
    if contract is not None:
        return f"under contract {contract.id} until {contract.end}"
    if account.terms.plan(month) == version.id:
        return f"on {version.id} already"
    agreed = [each for each in account.terms.enrolments if each.from_month > month]
    if agreed:
        return (
            f"will be on {agreed[0].plan_id} from {agreed[0].from_month} on, which this would undo; "
            f"move it by itself: billing accounts set-plan {account.id}"
        )
    return None


def _compare(
    account: Account,
    version: PlanVersion,
    month: Month,
    counts: Counts,
    catalogue: Catalogue,
    protect_until: date | None,
) -> tuple[Moved, Terms]:
    """The two prices, and the terms that the account would have."""
    now = _price(account, account.terms, month, counts, catalogue)
    after = changed(account.terms, Enrolment(month, version.plan, version.version))
    moved = Moved(
        account.id,
        account.terms.plan(month),
        version.id,
        account.currency,
        now,
        _price(account, after, month, counts, catalogue),
    )
    if protect_until is None or moved.then <= moved.now:
        return moved, after
    protected = changed(after, Protection(month, PriceProtection(now, protect_until)))
    then = _price(account, protected, month, counts, catalogue)
    return replace(moved, then=then, protected_at=now), protected


def _price(account: Account, terms: Terms, month: Month, counts: Counts, catalogue: Catalogue) -> int:
    """What usage would cost in a month on these terms, no credit and no other document considered."""
    basis = Basis(
        account.id,
        month,
        account.currency,
        counts,
        catalogue.get(terms.plan(month)),
        programs=terms.programs,
        protection=terms.protection(month),
    )
    return priced(compose(basis).lines).amount


def _new(before: Terms, after: Terms) -> list[Enrolment | Protection]:
    """The changes that lead from one to the other: an enrolment, and perhaps a protection."""
    protections = [each for each in after.protections if each not in before.protections]
    return [after.enrolments[-1], *protections]


def _check(engine: sa.Engine, account: Account, changes: list[Enrolment | Protection]) -> None:
    with reading(engine) as connection:
        for change in changes:
            check_change(connection, account, change)


def _record(
    engine: sa.Engine, account: Account, changes: list[Enrolment | Protection], *, by: str, now: int
) -> None:
    with changing(
        engine, "account.plan_migrated", "account", account.id, now=now, by=by, reason="plan migration"
    ) as connection:
        for change in changes:
            change_terms(connection, account.id, change, by=by, now=now, reason="plan migration")
