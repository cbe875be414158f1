"""The revenue report of a month: its figures, and each of them beside the journal. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from billing.pricing.catalogue import PlanVersion
from billing.revenue.facts import AccountFacts
from billing.revenue.figures import AGES, Figures, Window
from billing.revenue.journal import journal
from billing.revenue.ledger import Kind, LedgerAccount

_L = LedgerAccount
EARNED = tuple(each for each in LedgerAccount if each.is_earned)


class Tie(NamedTuple):
    """A figure as the documents say it, and as the journal says it, in minor units."""

    name: str
    documents: int
    journal: int

    @property
    def ok(self) -> bool:
        return self.documents == self.journal


@dataclass
class _Journal:
    """What is kept of the entries: balances at the ends of the days that are looked at, and what moved."""

    all: int = 0
    open: int = 0
    closing: Counter[LedgerAccount] = field(default_factory=Counter)
    moved: Counter[tuple[Kind, LedgerAccount]] = field(default_factory=Counter)
    entries: int = 0

    def add(self, facts: AccountFacts, window: Window) -> None:
        for entry in journal(facts):
            is_in = window.has_day(entry.on)
            self.entries += is_in
            for ledger, amount in entry.postings:
                self.all += amount
                self.open += amount * (ledger is _L.RECEIVABLE and entry.on <= window.as_of)
                self.closing[ledger] += amount * (entry.on <= window.last)
                self.moved[entry.kind, ledger] += amount * is_in

    def of(self, kind: Kind, ledger: LedgerAccount) -> int:
        return self.moved[kind, ledger]

    def earned(self, ledger: LedgerAccount) -> int:
        return -sum(amount for (_, each), amount in self.moved.items() if each is ledger)


@dataclass(frozen=True, slots=True)
class RevenueReport:
    """By currency. `not_invoiced`: accounts that ran something in the month and have no invoice of it.
    `unassigned`: those that billing does not know, with their billable runs: no revenue of anybody's."""

    window: Window
    figures: Mapping[str, Figures]
    ties: Mapping[str, tuple[Tie, ...]]
    entries: int
    not_invoiced: Sequence[str] = ()
    unassigned: Sequence[tuple[str, int]] = ()

    @property
    def unsettled(self) -> list[str]:
        """Contracts of which the month was not billed yet: what was drawn may still change."""
        return sorted(
            name for each in self.figures.values() for name, r in each.contracts.items() if not r.is_final
        )

    @property
    def ok(self) -> bool:
        tied = all(tie.ok for ties in self.ties.values() for tie in ties)
        return tied and not self.not_invoiced and not self.unsettled

    def to_data(self) -> dict[str, Any]:
        """In the shape of JSON answers; amounts in minor units, revenue above 0 and what lessens it below."""
        return {
            "month": str(self.window.month),
            "through": self.window.last.isoformat(),
            "as_of": self.window.as_of.isoformat(),
            "ok": self.ok,
            "journal_entries": self.entries,
            "not_invoiced": list(self.not_invoiced),
            "unsettled": self.unsettled,
            "unassigned": [{"account": account, "billable": runs} for account, runs in self.unassigned],
            "currencies": [self._data(code) for code in sorted(self.figures)],
        }

    def _data(self, code: str) -> dict[str, Any]:
        found = self.figures[code]
        counts, sums = found.counts, found.sums
        earned = {each.title: found.earned[each] for each in EARNED}
        return {
            "currency": code,
            "invoiced": {
                "invoices": counts["usage"] + counts["contract"],
                "usage": sums["invoiced_usage"],
                "contracts": sums["invoiced_contract"],
                "voided": -sums["voided"],
                "tax": sums["tax"],
                "invoices_of_month": counts["of_month"],
                "of_month": sums["of_month"],
            },
            "credited": {
                "credit_notes": sums["credit_notes"],
                "notes": counts["credit_notes"],
                "credit": {kind: amount for kind, amount in found.granted.items() if amount},
                "credit_balance": sums["credit_closing"],
            },
            "paid": {
                "payments": counts["payments"],
                "amount": sums["paid"],
                "settled_at_stripe": sums["settled"],
                "refunds": -sums["reversals"],
            },
            "outstanding": {
                **{age: found.open_by_age[age] for age in (*AGES, "to_give_back")},
                "total": sum(found.open_by_age.values()),
            },
            "revenue": earned | {"total": sum(earned.values())},
            "discounts": dict(sorted(found.programs.items())),
            "deferred": _rolled(found),
            "unbilled_usage": sums["unbilled_usage"],
            "not_billed": {
                "runs": dict(found.not_billed),
                "value": dict(found.given_away),
                "total": sum(found.given_away.values()),
            },
            "ties": [{**tie._asdict(), "ok": tie.ok} for tie in self.ties[code]],
        }


def _rolled(found: Figures) -> dict[str, Any]:
    names = ("opening", "invoiced", "voided", "drawn", "expired", "services", "closing")
    sums = {name: sum(getattr(each, name) for each in found.contracts.values()) for name in names}
    held = [each.closing for each in found.contracts.values()]
    return {
        **sums,
        "deferred_revenue": sum(each for each in held if each > 0),
        "unbilled_commitments": -sum(each for each in held if each < 0),
        "contracts": [{"contract": name, **asdict(each)} for name, each in sorted(found.contracts.items())],
    }


class Reporting:
    """Takes facts, an account at a time, and keeps sums alone."""

    def __init__(self, window: Window, versions: Mapping[str, PlanVersion]) -> None:
        self._window = window
        self._versions = versions
        self._figures: dict[str, Figures] = {}
        self._journals: dict[str, _Journal] = {}

    def add(self, facts: AccountFacts) -> None:
        code = facts.currency
        self._figures.setdefault(code, Figures(self._window)).add(facts, self._versions)
        self._journals.setdefault(code, _Journal()).add(facts, self._window)

    def report(
        self, not_invoiced: Sequence[str] = (), unassigned: Sequence[tuple[str, int]] = ()
    ) -> RevenueReport:
        ties = {code: tuple(_ties(each, self._journals[code])) for code, each in self._figures.items()}
        entries = sum(each.entries for each in self._journals.values())
        return RevenueReport(self._window, self._figures, ties, entries, not_invoiced, unassigned)


def _ties(found: Figures, made: _Journal) -> Iterator[Tie]:
    sums, rolled = found.sums, _rolled(found)
    yield Tie("debits and credits of all entries", 0, made.all)
    invoiced = sums["invoiced_usage"] + sums["invoiced_contract"]
    yield Tie("invoices issued", invoiced, made.of(Kind.INVOICE, _L.RECEIVABLE))
    voided = sums["voided"] - sums["voided_notes"] - sums["voided_paid"]
    tax = made.of(Kind.VOID, _L.TAX)
    yield Tie("invoices voided", -voided, made.of(Kind.VOID, _L.RECEIVABLE) + tax)
    yield Tie("tax on invoices", sums["tax"], -made.of(Kind.TAX, _L.TAX) - tax)
    yield Tie("credit notes", sums["credit_notes"], made.of(Kind.CREDIT_NOTE, _L.CREDIT_NOTES))
    yield Tie("payments", sums["paid"], made.of(Kind.PAYMENT, _L.CASH))
    yield Tie("refunds and chargebacks", sums["reversals"], -made.of(Kind.REFUND, _L.CASH))
    yield Tie("open invoices", sum(found.open_by_age.values()), made.open)
    yield Tie(
        "usage of the month, by its invoices", sums["accrued"], made.of(Kind.ACCRUAL, _L.UNBILLED_USAGE)
    )
    yield Tie("usage not invoiced yet", sums["unbilled_usage"], made.closing[_L.UNBILLED_USAGE])
    yield Tie("program discounts", sum(found.programs.values()), made.earned(_L.DISCOUNTS))
    held = rolled["deferred_revenue"] - rolled["unbilled_commitments"]
    yield Tie("commitments not earned yet, less those not invoiced yet", held, -made.closing[_L.DEFERRED])
    moved = rolled["opening"] + rolled["invoiced"] - rolled["voided"]
    earned = rolled["drawn"] + rolled["expired"] + rolled["services"]
    yield Tie("deferred revenue rolled forward", moved - earned, -made.closing[_L.DEFERRED])
    yield Tie("credit of customers", sums["credit_closing"], -made.closing[_L.CUSTOMER_CREDIT])
    revenue = sum(found.earned.values()), sum(made.earned(each) for each in EARNED)
    yield Tie("revenue", *revenue)
