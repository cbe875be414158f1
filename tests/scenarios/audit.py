"""What must hold at the end of every story, whatever happened in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from billing.accounts import list_accounts
from billing.explaining.operation import explain_invoice
from billing.invoices import list_invoices
from billing.pricing.drawdown import draw
from billing.pricing.line import LineKind
from billing.pricing.run_ledger import EntryKind, balance
from billing.reporting.proof import verify
from billing.repository import contracts, credits
from billing.repository.credits import GRANTS, CreditKind
from billing.repository.invoices import Invoice
from billing.run_balance import record_contract_runs, usage_of_term
from metering.database import reading
from metering.period import day_of
from metering.store.sql import SqlEventStore
from tests import checked_by_customer, recomputed
from tests.billing.revenue.ties import check_revenue
from tests.scenarios.office import Office


def audit(office: Office) -> None:
    made = list_invoices(office.engine)
    _check_numbers(made)
    for invoice in made:
        assert sum(line.amount for line in invoice.lines) == invoice.total >= 0
        assert invoice.status == "draft" or invoice.id in office.described, (
            f"the story does not describe {invoice.number} of {invoice.account}"
        )
        if invoice.status != "draft":
            _check_never_changed(office.issued[invoice.id], invoice)
        if invoice.status != "draft" and not office.hurries:
            found = verify(office.engine, office.store, invoice.id)
            assert found.ok, f"{invoice.number}: {found.to_data()}"
            recomputed.check(explain_invoice(office.engine, office.store, invoice.id).to_data())
            has_events = isinstance(office.store, SqlEventStore)
            checked_by_customer.check(office.engine, office.store, invoice, with_runs=has_events)
    for account in list_accounts(office.engine):
        check_credit_ledger(office, account.id, [each for each in made if each.account == account.id])
        for contract in account.terms.contracts:
            check_run_ledger(office, contract.id)
    check_revenue(office)


def _check_numbers(made: list[Invoice]) -> None:
    """Within a prefix they begin with 1 and have no gaps, void invoices included."""
    held: dict[str, list[int]] = defaultdict(list)
    for invoice in made:
        assert (invoice.number is None) == (invoice.status == "draft")
        if invoice.number is not None:
            prefix, _, number = invoice.number.rpartition("-")
            assert prefix == str(invoice.month)
            held[prefix].append(int(number))
    for numbers in held.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def _check_never_changed(then: Invoice, now: Invoice) -> None:
    """After it was made, nothing changes but what Stripe says of it, and that it is void."""
    fields = ("status", "amount_paid", "stripe_invoice_id", "stripe_status", "hosted_invoice_url")
    fields += ("invoice_pdf", "void_entry", "voided_at", "void_reason")
    assert replace(now, **{name: getattr(then, name) for name in fields}) == then


def check_credit_ledger(office: Office, account: str, made: list[Invoice]) -> None:
    """What was granted is what was used and what is left; each invoice used what its lines say, once, and a
    void one nothing; no credit is below zero at any time."""
    with reading(office.engine) as connection:
        rows = credits.ledger(connection, account)
    left: Counter[str] = Counter()
    of_invoice: Counter[tuple[str | None, CreditKind]] = Counter()
    for row in rows:
        left[row.credit_id] += row.amount
        assert left[row.credit_id] >= 0, f"{row.credit_id} is below zero"
        of_invoice[row.invoice_id, row.kind] += row.amount
    for invoice in made:
        used = sum(line.amount for line in invoice.lines if line.kind is LineKind.CREDIT)
        carried = sum(line.amount for line in invoice.lines if line.kind is LineKind.CARRIED)
        void = invoice.status == "void"
        if invoice.status == "draft":
            used = carried = 0
        assert of_invoice[invoice.id, CreditKind.USED] == used
        assert of_invoice[invoice.id, CreditKind.RETURNED] == (-used if void else 0)
        assert of_invoice[invoice.id, CreditKind.CARRIED] == carried
        assert of_invoice[invoice.id, CreditKind.WITHDRAWN] == (-carried if void else 0)
    granted = sum(row.amount for row in rows if row.kind in GRANTS)
    taken = -sum(row.amount for row in rows if row.kind not in GRANTS)
    assert granted == taken + sum(left.values())


def check_run_ledger(office: Office, contract_id: str) -> None:
    """The ledger says what drawing says: granted, less used, less expired is what is left, of each grant."""
    record_contract_runs(office.engine, office.store, contract_id, office.now)
    assert record_contract_runs(office.engine, office.store, contract_id, office.now) == []
    today = day_of(office.now)
    with reading(office.engine) as connection:
        entries = contracts.ledger(connection, contract_id)
    account = next(
        each
        for each in list_accounts(office.engine)
        if any(held.id == contract_id for held in each.terms.contracts)
    )
    contract = account.terms.find_contract(contract_id)
    over = {day: runs for day, runs in usage_of_term(office.store, contract).items() if day < today}
    drawdown = draw(contract.grants, over)
    for grant in contract.grants:
        holds = grant.granted_on <= today < grant.expires_on
        expected = drawdown.left[grant.id] if holds else 0
        assert balance(entries, today, grant.id) == expected >= 0
        used = -sum(e.quantity for e in entries if e.grant == grant.id and e.place.purpose is EntryKind.USAGE)
        assert used == sum(runs for day in drawdown.days for id, runs in day.by_grant if id == grant.id)
