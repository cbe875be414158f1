"""Invoices of kind `contract`: instalments and services that are due, and the report on a contract, which
says what was invoiced (docs/rules.md §4, Instalments; The report)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

import sqlalchemy as sa

from billing.audit.trail import changed_many
from billing.billing_month import RULE_VERSION, bill_to
from billing.contracts import no_contract
from billing.ids import new_id
from billing.notifications.telling import tell_invoices
from billing.pricing.contract import Contract
from billing.pricing.contract_invoice import due_lines
from billing.pricing.line import Line
from billing.reporting.contract_report import ContractReport, contract_report
from billing.repository import accounts, contracts, invoices, outbox, plans
from billing.repository.accounts import Account
from billing.repository.invoices import Invoice
from billing.run_balance import usage_of_term
from billing.terms import get_account
from metering.database import reading, writing
from metering.period import Month, day_start
from metering.store import EventStore
from metering.usage import Counts


def invoice_contracts(
    engine: sa.Engine, as_of: date, *, now: int, contract_id: str | None = None
) -> list[Invoice]:
    """Issue what is due by the end of a day and not yet invoiced, one invoice a contract, numbered in the
    month of issue; answers them. A day that is still to come invoices in advance. Nothing is invoiced twice,
    however often or by however many it is started. Raises NotFound for a contract there is not."""
    with reading(engine) as connection:
        known = [each for each, _ in contracts.every(connection)]
    if contract_id is not None and contract_id not in known:
        raise no_contract(contract_id)
    issued = [
        _invoice(engine, each, as_of, now) for each in known if contract_id is None or each == contract_id
    ]
    return [invoice for invoice in issued if invoice is not None]


def _invoice(engine: sa.Engine, contract_id: str, as_of: date, now: int) -> Invoice | None:
    with reading(engine) as connection:
        owner = contracts.account_of(connection, contract_id)
        if owner is None or not _due(connection, contract_id, as_of):
            return None
    with writing(engine) as connection:
        accounts.lock(connection, owner)
        if contracts.account_of(connection, contract_id) is None:
            return None  # it was withdrawn meanwhile
        lines = _due(connection, contract_id, as_of)  # another may have been first
        if not lines:
            return None
        account = get_account(connection, owner)
        entry = accounts.next_entry(connection, owner)
        assert entry is not None
        contract = account.terms.find_contract(contract_id)
        invoice = _contract_invoice(account, contract, lines, as_of, entry, now)
        saved = invoices.save(connection, invoice)
        assert saved, "a contract may have any number of invoices"
        numbered = invoices.give_number(connection, invoice)
        outbox.add(connection, now, invoice.id)
        tell_invoices(connection, "finalized", [numbered], now)
        changed_many(connection, "invoice.issued", "invoice", [invoice.id], now=now, was={})
        return numbered


def _due(connection: sa.Connection, contract_id: str, as_of: date) -> tuple[Line, ...]:
    owner = contracts.account_of(connection, contract_id)
    assert owner is not None
    contract = get_account(connection, owner).terms.find_contract(contract_id)
    return due_lines(contract, invoiced_amounts(connection, contract_id), as_of)


def invoiced_amounts(
    connection: sa.Connection, contract_id: str, *, before: int | None = None
) -> Mapping[str, int]:
    """What live invoices hold for each grant and service of a contract, by reference, in minor units."""
    found: Counter[str] = Counter()
    for invoice in invoices.contract_invoices(connection, contract_id, before=before):
        for line in invoice.lines:
            assert line.reference is not None, "a line of a contract's invoice says what it is for"
            found[line.reference] += line.amount
    return found


def _contract_invoice(
    account: Account, contract: Contract, lines: tuple[Line, ...], as_of: date, entry: int, now: int
) -> Invoice:
    return Invoice(
        id=new_id("inv", now),
        account=account.id,
        kind="contract",
        month=Month.of(now),
        number=None,
        status="finalized",
        currency=contract.currency,
        plan=contract.plan,
        rule_version=RULE_VERSION,
        run_id=None,
        cutoff=None,
        cutoff_at=day_start(as_of),
        billable=0,
        not_billed=Counts().not_billed,
        usage_by_day={},
        run_list_sha256=None,
        lines=lines,
        total=sum(line.amount for line in lines),
        amount_paid=0,
        created_at=now,
        issued_at=now,
        contract=contract.id,
        entry=entry,
        bill_to=bill_to(account),
    )


def report_contract(
    engine: sa.Engine, store: EventStore, contract_id: str, as_of: date, *, account: str | None = None
) -> tuple[ContractReport, str]:
    """The report on a contract as of the end of a day, from usage known now; and the customer's name. Of one
    account only, where given. Raises NotFound."""
    with reading(engine) as connection:
        owner = contracts.account_of(connection, contract_id)
        if owner is None or account not in (None, owner):
            raise no_contract(contract_id)
        customer = get_account(connection, owner)
        catalogue = plans.catalogue(connection)
        invoiced = invoiced_amounts(connection, contract_id)
        delivered = contracts.delivered(connection, contract_id)
    terms = customer.terms
    contract = terms.find_contract(contract_id)
    inside = min(max(as_of, contract.start), contract.months[-1].last_day)
    held = terms.contract(Month(inside.year, inside.month))
    assert held is not None, "a day of the term is under contract"
    report = contract_report(
        held,
        {month: catalogue.get(terms.plan(month)) for month in contract.months},
        usage_of_term(store, contract),
        invoiced=invoiced,
        delivered=delivered,
        as_of=as_of,
    )
    return report, customer.name
