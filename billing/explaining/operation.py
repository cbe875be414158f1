"""Explains invoices and previews, the same for every door: gathers what the pure modules explain from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from billing.billing_month import RULE_VERSION, window_counts
from billing.contract_invoices import invoiced_amounts
from billing.errors import Invalid
from billing.explaining.change import MonthBill, change
from billing.explaining.draws import MonthDraws, month_draws
from billing.explaining.explanation import Explanation
from billing.explaining.facts import Facts, facts_of
from billing.explaining.lines import explain_contract, explain_lines
from billing.explaining.names import Top, top
from billing.explaining.rated_lines import bracket_rows
from billing.invoices import invoice_counts, invoice_head, preview_head, show_invoice
from billing.pricing.books import Books, billable_by_day, first_month, month_basis
from billing.pricing.catalogue import Catalogue
from billing.pricing.errors import PricingError
from billing.pricing.invoice import Document, Line, compose
from billing.pricing.terms import Terms
from billing.repository import books, invoices, plans
from billing.repository.accounts import Account
from billing.repository.invoices import Invoice
from billing.terms import get_account
from metering.database import reading
from metering.period import Month, day_start
from metering.store import EventStore

# Runs that are read, at most, where counters are no longer what they were as of a cutoff: that takes a tenth
# of a second or so. The command line reads all.
QUICK = 100_000

_NAMES_NOW = (
    "The workspaces and flows are as they are counted now: task runs of this month came, or were taken back, "
    "since the invoice was made, and the month is too large to be counted again for this answer."
)
_NO_DRAWS = (
    "Which grant served which day is not shown: task runs of the contract's earlier months came, or were "
    "taken back, since the invoice was made, and there are too many to be counted again for this answer."
)


@dataclass(frozen=True, slots=True)
class _Held:
    """An account's books as a document found them, and the live usage invoices in them."""

    account: Account
    catalogue: Catalogue
    books: Books
    issued: Sequence[Invoice]

    @property
    def numbers(self) -> dict[Month, str]:
        return {each.month: each.number or each.id for each in self.issued}

    def bill(self, month: Month) -> MonthBill | None:
        """A month as its live invoice bills it."""
        for each in self.issued:
            if each.month == month:
                version = self.catalogue.get(each.plan)
                return MonthBill(month, each.billable, each.drawn or 0, version, each.lines, each.number)
        return None


def explain_invoice(
    engine: sa.Engine,
    store: EventStore,
    id_or_number: str,
    *,
    account: str | None = None,
    most: int | None = QUICK,
) -> Explanation:
    """By our id or by number; of one account only, where given. Where counters have changed since the cutoff,
    at most `most` task runs are read to know what was (None: any number); `notes` say what then is not as of
    it. Raises NotFound, Invalid."""
    invoice = show_invoice(engine, id_or_number, account=account)
    with reading(engine) as connection:
        held = _held(connection, get_account(connection, invoice.account), before=invoice.entry)
        if invoice.kind == "contract":
            assert invoice.contract is not None
            invoiced = invoiced_amounts(connection, invoice.contract, before=invoice.entry)
            contract = held.books.terms.find_contract(invoice.contract)
            lines = explain_contract(contract, invoiced, invoice.lines)
            return Explanation(_document(invoice), invoice.month, invoice.currency, lines)
    assert invoice.cutoff is not None
    month = invoice.month
    version = held.catalogue.get(invoice.plan)
    now = MonthBill(month, invoice.billable, invoice.drawn or 0, version, invoice.lines, invoice.number)
    draws = _draws(store, held.books.terms, invoice, most)
    named = _top(store, invoice, invoice.cutoff, most)
    notes = [_NAMES_NOW] if named.as_of_now else []
    notes += [_NO_DRAWS] if invoice.drawn and draws is None else []
    return Explanation(
        _document(invoice),
        month,
        invoice.currency,
        explain_lines(_facts(held, month, invoice.plan, invoice.billable, invoice.drawn, invoice.lines)),
        brackets=bracket_rows(now.billable - now.drawn, version),
        rated=now.billable - now.drawn,
        contract=invoice.contract,
        drawn=invoice.drawn,
        draws=draws,
        change=change(now, held.bill(month.previous()), invoice.currency),
        top=named,
        run_list_sha256=invoice.run_list_sha256,
        file=f"{invoice.number or invoice.id}-runs.csv",
        billable=invoice.billable,
        rule_version=invoice.rule_version,
        notes=tuple(notes),
    )


def explain_preview(engine: sa.Engine, store: EventStore, account_id: str, month: Month) -> Explanation:
    """What a month would come to if it ended now; from the counters. Raises NotFound, Invalid."""
    with reading(engine) as connection:
        held = _held(connection, get_account(connection, account_id), before=None)
    try:
        return _preview(store, held, month)
    except PricingError as error:
        raise Invalid(str(error), field="plan") from None


def _preview(store: EventStore, held: _Held, month: Month) -> Explanation:
    previous = month.previous()
    since = min(first_month(held.books, month), first_month(held.books, previous))
    cutoff = store.cutoff()
    usage = store.usage(held.books.account, since.start, month.end, by="day")
    days = window_counts(usage.windows)
    composed = compose(month_basis(held.books, held.catalogue, month, days))
    now = _bill_of(composed, held)
    before = held.bill(previous)
    if before is None and previous >= held.account.billing_from:
        earlier = compose(month_basis(held.books, held.catalogue, previous, days))
        before = _bill_of(earlier, held) if earlier.counts.total or earlier.lines else None
    contract = held.books.terms.contract(month)
    return Explanation(
        preview_head(composed, cutoff),
        month,
        composed.currency,
        explain_lines(
            _facts(
                held,
                month,
                composed.plan,
                composed.counts.billable,
                None if composed.contract is None else composed.contract.drawn,
                composed.lines,
            )
        ),
        brackets=bracket_rows(now.billable - now.drawn, now.version),
        rated=now.billable - now.drawn,
        contract=None if contract is None else contract.id,
        drawn=None if composed.contract is None else composed.contract.drawn,
        draws=None if contract is None else month_draws(contract, month, billable_by_day(days)),
        change=change(now, before, composed.currency),
        top=top(store.names_as_of(held.account.id, month.start, month.end, None)),
        billable=composed.counts.billable,
        rule_version=RULE_VERSION,
        notes=composed.notes,
    )


def _held(connection: sa.Connection, account: Account, *, before: int | None) -> _Held:
    return _Held(
        account,
        plans.catalogue(connection),
        books.load(connection, account, before=before),
        invoices.live_usage_invoices(connection, account.id, before=before),
    )


def _facts(
    held: _Held, month: Month, plan: str, billable: int, drawn: int | None, lines: tuple[Line, ...]
) -> Facts:
    return facts_of(
        held.books,
        held.catalogue,
        month,
        plan=plan,
        billable=billable,
        drawn=drawn,
        lines=lines,
        numbers=held.numbers,
    )


def _bill_of(composed: Document, held: _Held) -> MonthBill:
    drawn = 0 if composed.contract is None else composed.contract.drawn
    version = held.catalogue.get(composed.plan)
    return MonthBill(composed.period, composed.counts.billable, drawn, version, composed.lines)


def _document(invoice: Invoice) -> dict[str, object]:
    """What identifies an invoice, as far as it explains something."""
    return invoice_head(invoice) | invoice_counts(invoice)


def _draws(store: EventStore, agreed: Terms, invoice: Invoice, most: int | None) -> MonthDraws | None:
    """None outside of a contract, where earlier months are too many runs to read again, or where they do not
    come to what the invoice says: a draft, made on other terms."""
    month, cutoff = invoice.month, invoice.cutoff
    contract = agreed.contract(month)
    if contract is None or cutoff is None or invoice.drawn is None:
        return None
    start, end = day_start(contract.start), month.start
    days: dict[date, int] = {}
    if start < end:
        if store.unchanged_since(invoice.account, start, end, cutoff):
            days = store.billable_days(invoice.account, start, end)
        elif _is_too_much(store, invoice.account, start, end, most):
            return None
        else:
            days = billable_by_day(store.days(invoice.account, start, end, cutoff))
    days |= {date.fromisoformat(day): held.get("billable", 0) for day, held in invoice.usage_by_day.items()}
    found = month_draws(contract, month, days)
    return (
        found if (found.drawn, found.drawn + found.on_demand) == (invoice.drawn, invoice.billable) else None
    )


def _top(store: EventStore, invoice: Invoice, cutoff: int, most: int | None) -> Top:
    """From the counters where they are as of the cutoff; else from the runs, unless they are too many."""
    month = invoice.month
    within = invoice.account, month.start, month.end
    is_exact = store.unchanged_since(*within, cutoff) or not _is_too_much(store, *within, most)
    return top(store.names_as_of(*within, cutoff if is_exact else None), as_of_now=not is_exact)


def _is_too_much(store: EventStore, account: str, start: int, end: int, most: int | None) -> bool:
    if most is None:
        return False
    return store.usage(account, start, end, by="month").counts.total > most
