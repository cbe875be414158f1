"""Reads what FOCUS is made of: the issued invoices of a month, and the contracts that cover it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import sqlalchemy as sa

from billing.contracts import list_contracts
from billing.exports.contract_rows import contracts_of
from billing.exports.focus import Issuer, drawn_charges, invoice_charges, row
from billing.exports.table import Row
from billing.invoices import each_invoice
from billing.pricing.contract import Grant
from billing.repository import accounts, collection, credit_notes, invoices, plans
from billing.repository.invoices import Invoice
from billing.run_balance import usage_of_term
from billing.sellers import seller_at
from metering.database import reading
from metering.period import Month
from metering.settings import Settings
from metering.store import EventStore

# Who issues, where the settings name no seller: a charge must name one.
NOBODY = "Success billing"
_ISSUED = ("finalized", "open", "paid", "uncollectible")


def focus_rows(
    engine: sa.Engine, store: EventStore, settings: Settings, month: Month, today: date, account: str | None
) -> Iterator[Row]:
    for invoice in each_invoice(engine, account=account, month=month):
        if invoice.status in _ISSUED:
            yield from _of_invoice(engine, settings, invoice)
    issuer = Issuer(seller_at(engine, settings, None).name or NOBODY)
    for contract in contracts_of(engine, month, account):
        with reading(engine) as connection:
            owner = accounts.get(connection, contract.account)
            catalogue = plans.catalogue(connection)
            live = invoices.live_usage_invoice(connection, contract.account, month)
        assert owner is not None, "a contract is an account's"
        number = None if live is None else live.number
        held = owner.terms.contract(month) or contract
        version = catalogue.get(owner.terms.plan(month))
        usage = usage_of_term(store, contract)
        charges = drawn_charges(held, owner.name, usage, version, month, issuer, today, number)
        yield from map(row, charges)


def _of_invoice(engine: sa.Engine, settings: Settings, invoice: Invoice) -> Iterator[Row]:
    with reading(engine) as connection:
        notes = credit_notes.of_invoice(connection, invoice.id)
        held = collection.get(connection, invoice.id)
    grants: dict[str, Grant] = {}
    if invoice.kind == "contract":
        known = list_contracts(engine, account=invoice.account)
        grants = {each.id: each for held_ in known if held_.id == invoice.contract for each in held_.grants}
    issuer = Issuer(seller_at(engine, settings, invoice.issued_at).name or NOBODY)
    tax = None if held is None else held.tax
    yield from map(row, invoice_charges(invoice, notes, tax, issuer, grants))
