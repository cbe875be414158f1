"""Reconciliation of a month: three sides gathered and compared, and what can be mended is (docs/rules.md
§7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from billing.app import Service
from billing.errors import Invalid
from billing.reconciliation.difference import EXTRA, Difference
from billing.reconciliation.fixes import mend
from billing.reconciliation.meter_side import MeterSide, Progress, compare_meter
from billing.reconciliation.stripe_side import StripeSide, compare_stripe, our_invoices
from billing.reconciliation.with_source import compare_with_source
from metering.period import HOUR_US, Month

if TYPE_CHECKING:
    from metering.collecting.prefect_server import PrefectServer

# A progress bar for a part of the work, by its name.
Bars = Callable[[str], AbstractContextManager[Progress]]

# By account, or by None for the one that was asked for, or else the only one that has runs of Prefect.
Servers = Mapping[str | None, Sequence["PrefectServer"]]

NO_STRIPE = "Stripe is not configured: invoices were not compared with it; set BILLING_STRIPE_API_KEY"


@dataclass(frozen=True, slots=True)
class Money:
    """What invoices of one currency come to, and what of it is paid, in minor units."""

    total: int = 0
    paid: int = 0


@dataclass(slots=True)
class Reconciliation:
    """`differences` are those that are left, `fixed` those that were there before; `notes` say what was not
    compared, or not mended. `accounts`, `invoices`, `at_stripe` and `source_runs` are how many of each were
    compared, the last two None where they were not."""

    month: Month
    differences: list[Difference] = field(default_factory=list)
    fixed: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    accounts: int = 0
    invoices: int = 0
    at_stripe: int | None = None
    source_runs: int | None = None
    money: dict[str, Money] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.differences

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "month": str(self.month),
            "ok": self.ok,
            "differences": [each.to_data() for each in self.differences],
            "fixed": [each.to_data() for each in self.fixed],
            "notes": self.notes,
            "compared": {
                "accounts": self.accounts,
                "invoices": self.invoices,
                "at_stripe": self.at_stripe,
                "source_runs": self.source_runs,
                "amounts": [
                    {"currency": code, "total": money.total, "amount_paid": money.paid}
                    for code, money in sorted(self.money.items())
                ],
            },
        }


def reconcile(
    service: Service,
    month: Month,
    *,
    account: str | None = None,
    servers: Servers | None = None,
    fix: bool = False,
    bars: Bars = lambda name: nullcontext(lambda done, total: None),
) -> Reconciliation:
    """Compare a month: of one account, or of all; with what Prefect servers say ran, where some are given.
    `fix` mends what can be mended, and compares again. Raises NotFound, Invalid if the servers' account is
    not known, PrefectError, PaymentError."""
    report = Reconciliation(month)
    source = [
        difference
        for of, asked in (servers or {}).items()
        for difference in _compare_source(service, month, of or account, asked, report, bars)
    ]
    before = _compare_books(service, month, account, bars, report)
    left = before
    if fix and any(each.fix for each in before):
        report.notes += mend(service, before)
        left = _compare_books(service, month, account, bars, report)
        still = {_key(each) for each in left}
        report.fixed = [each for each in before if each.fix and _key(each) not in still]
    report.differences = source + left
    _add_notes(service, report)
    return report


def _compare_source(
    service: Service,
    month: Month,
    account: str | None,
    servers: Sequence[PrefectServer],
    report: Reconciliation,
    bars: Bars,
) -> list[Difference]:
    from metering.collecting.comparison import compare_month

    of = account or _only_account(service)
    with bars(f"task runs of {month} at {', '.join(each.url for each in servers)}") as progress:
        compared = compare_month(service.store, servers, of, month, progress=progress)
    report.source_runs = (report.source_runs or 0) + compared.runs
    return compare_with_source(of, month, compared.disagreement)


def _only_account(service: Service) -> str:
    """The account that a server's task runs belong to, where there can be no doubt. Raises Invalid."""
    from metering.collecting.comparison import SOURCE

    known = service.store.accounts_of_source(SOURCE)
    if len(known) == 1:
        return known[0]
    which = f"{len(known)} accounts have" if known else "no account has"
    raise Invalid(
        f"{which} task runs of Prefect; say whose the server's are, with the account", field="account"
    )


def _compare_books(
    service: Service, month: Month, account: str | None, bars: Bars, report: Reconciliation
) -> list[Difference]:
    """Meter, invoices and Stripe as they are now, in this order."""
    with bars(f"accounts of {month}") as progress:
        meter = compare_meter(service, month, account, progress)
    if service.gateway is None:
        ours = [each for each in our_invoices(service.engine, month, account) if each.status != "draft"]
        stripe = StripeSide(ours)
    else:
        with bars("invoices at Stripe") as progress:
            stripe = compare_stripe(service.engine, service.gateway, month, account, progress)
        report.at_stripe = stripe.at_stripe
    _count(report, meter, stripe)
    return meter.differences + stripe.differences


def _count(report: Reconciliation, meter: MeterSide, stripe: StripeSide) -> None:
    live = [each for each in stripe.ours if each.status != "void"]
    report.accounts, report.invoices, report.money = meter.accounts, len(live), {}
    for each in live:
        held = report.money.get(each.currency, Money())
        report.money[each.currency] = Money(held.total + each.total, held.paid + each.amount_paid)


def _add_notes(service: Service, report: Reconciliation) -> None:
    month, grace = report.month, service.settings.grace_hours
    if service.gateway is None:
        report.notes.append(NO_STRIPE)
    if service.now() < month.end + grace * HOUR_US:
        report.notes.append(f"{month} is not due yet: accounts without an invoice are no difference so far")


def _key(each: Difference) -> tuple[str, str, str | None]:
    which = each.stripe_invoice_id if each.cause == EXTRA else each.invoice_id
    return each.account, each.cause, which
