"""billing accounts …: adding, showing, closing. The terms are in `account_terms`, credit in
`account_credit`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer

from billing.cli import account_details as detail
from billing.cli.commands import command, noun
from billing.cli.options import (
    OPERATOR,
    AccountArgument,
    AsJson,
    OptionalMonth,
    Reason,
    read_date,
    read_month,
)
from billing.cli.output import console, print_json, say, table
from billing.cli.service import open_service
from metering.period import Month

group = noun("Who is billed: accounts, what is agreed with them, and their credit.")


@command(group, "add", example="billing accounts add acme --plan starter --billing-from 2026-10")
def add(
    id: Annotated[str, typer.Argument(metavar="ID", help="1 to 64 of the characters A-Z a-z 0-9 . _ -")],
    plan: Annotated[
        str, typer.Option(metavar="PLAN", help="starter, or a version: starter@2021-02.")
    ] = "starter",
    billing_from: Annotated[
        Month | None,
        typer.Option(
            parser=read_month, metavar="MONTH", help="First month to bill; by default the current one."
        ),
    ] = None,
    name: detail.Name = None,
    email: detail.Email = None,
    currency: Annotated[
        str | None, typer.Option(help="ISO 4217 code; by default BILLING_CURRENCY.", metavar="USD")
    ] = None,
    legacy_charge: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="Price protection: never more than this a month, until …"),
    ] = None,
    protected_until: Annotated[
        date | None,
        typer.Option(parser=read_date, metavar="DATE", help="… this day, the first without protection."),
    ] = None,
    opening_credit: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Credit that the account brings.")
    ] = None,
    opening_runs: Annotated[
        int | None, typer.Option(metavar="RUNS", help="Task runs it has paid for elsewhere, usable until …")
    ] = None,
    opening_runs_until: Annotated[
        date | None,
        typer.Option(parser=read_date, metavar="DATE", help="… this day, the first of a month."),
    ] = None,
    line1: detail.Line1 = None,
    line2: detail.Line2 = None,
    city: detail.City = None,
    postal_code: detail.PostalCode = None,
    state: detail.State = None,
    country: detail.Country = None,
    tax_id_type: detail.TaxIdType = None,
    tax_id: detail.TaxId = None,
    tax_exempt: detail.TaxExempt = None,
    purchase_order: detail.PurchaseOrder = None,
    collection: detail.Collection = None,
    days_until_due: detail.DaysUntilDue = None,
    as_json: AsJson = False,
) -> None:
    """Add an account, enrolled in a plan. Months before --billing-from are never billed."""
    from billing.accounts import add_account
    from billing.billing_details import BillingDetails

    details: dict[str, Any] = detail.given(
        line1=line1, line2=line2, city=city, postal_code=postal_code, state=state, country=country,
        tax_id_type=tax_id_type, tax_id=tax_id, purchase_order=purchase_order, collection=collection,
        days_until_due=days_until_due, tax_exempt=tax_exempt,
    )  # fmt: skip
    with open_service() as service:
        account = add_account(
            service.engine,
            id,
            now=service.now(),
            currency=currency or service.settings.currency,
            plan=plan,
            billing_from=billing_from,
            name=name or "",
            email=email or "",
            legacy_charge=legacy_charge,
            protected_until=protected_until,
            opening_credit=opening_credit,
            opening_runs=opening_runs,
            opening_runs_until=opening_runs_until,
            details=BillingDetails(**details),
        )
    show_changed(account, as_json)


@command(group, "update", example="billing accounts update acme --country DE --collection send")
def update(
    id: AccountArgument,
    name: detail.Name = None,
    email: detail.Email = None,
    line1: detail.Line1 = None,
    line2: detail.Line2 = None,
    city: detail.City = None,
    postal_code: detail.PostalCode = None,
    state: detail.State = None,
    country: detail.Country = None,
    tax_id_type: detail.TaxIdType = None,
    tax_id: detail.TaxId = None,
    tax_exempt: detail.TaxExempt = None,
    purchase_order: detail.PurchaseOrder = None,
    collection: detail.Collection = None,
    days_until_due: detail.DaysUntilDue = None,
    as_json: AsJson = False,
) -> None:
    """Change an account's name, e-mail address or billing details; an empty text takes one away. Invoices
    made before keep what they say."""
    from billing.accounts import update_account

    changes: dict[str, Any] = detail.given(
        name=name, email=email, line1=line1, line2=line2, city=city, postal_code=postal_code, state=state,
        country=country, tax_id_type=tax_id_type, tax_id=tax_id, purchase_order=purchase_order,
        collection=collection, days_until_due=days_until_due, tax_exempt=tax_exempt,
    )  # fmt: skip
    with open_service() as service:
        account = update_account(service.engine, id, now=service.now(), **changes)
    show_changed(account, as_json)


@command(group, "link", example="billing accounts link acme cus_NffrFeUfNV2Hib")
def link(
    id: AccountArgument,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id at Stripe.")],
    as_json: AsJson = False,
) -> None:
    """Link an account to a customer that Stripe has already, with its payment method. What the account says
    is told to the customer before the next invoice; what it does not say stays there as it is."""
    with open_service() as service:
        account = service.link_customer(id, customer)
    show_changed(account, as_json)


Search = Annotated[str, typer.Option(metavar="TEXT", help="Those with this in their id or name.")]


@command(group, "list", example="billing accounts list --json")
def list_(search: Search = "", as_json: AsJson = False) -> None:
    """List all accounts with the plans that price this month."""
    from billing.accounts import account_data, list_accounts

    with open_service() as service:
        accounts = list_accounts(service.engine, search=search)
        this_month = Month.of(service.now())
    if as_json:
        print_json([account_data(account) for account in accounts])
        return
    if not accounts:
        say("No accounts yet; add one with: billing accounts add ID" if not search else "No such accounts.")
        return
    shown = table("account", "name", "plan", "currency", "billing from", "email")
    for account in accounts:
        plan = account.terms.plan(this_month)
        since = str(account.billing_from)
        if account.closed_on is not None:
            since += f", closed {account.closed_on}"
        shown.add_row(account.id, account.name, plan, account.currency, since, account.email)
    console().print(shown)


@command(group, "figures", example="billing accounts figures --month 2026-10")
def figures(
    month: OptionalMonth = None,
    search: Search = "",
    after: Annotated[str, typer.Option(metavar="ID", help="Those after this one.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show what accounts come to in a month, by default this one: billable runs, and the month's own price,
    before adjustments, credit, instalments and tax."""
    from billing.account_figures import account_figures
    from billing.accounts import list_accounts
    from billing.pricing.money import format_amount

    with open_service() as service:
        wanted = month or Month.of(service.now())
        accounts = list_accounts(service.engine, after=after, limit=limit, search=search)
        found = account_figures(service.engine, service.store, accounts, wanted)
    if as_json:
        print_json([each.to_data() for each in found])
        return
    numbers = ("billable", "not billed", "amount")
    shown = table("account", "plan", *numbers, numbers=numbers)
    for each in found:
        amount = "" if each.amount is None else format_amount(each.amount, each.account.currency)
        shown.add_row(each.account.id, each.plan, f"{each.billable:,}", f"{each.not_billed:,}", amount)
    console().print(shown)


@command(group, "show", example="billing accounts show acme")
def show(id: AccountArgument, as_json: AsJson = False) -> None:
    """Show an account: every plan it was, is or will be enrolled in, contracts, programs, price protection,
    and what its invoices say."""
    from billing.accounts import show_account

    with open_service() as service:
        account = show_account(service.engine, id)
    show_changed(account, as_json)


@command(group, "close", example="billing accounts close acme --on 2026-12-31")
def close(
    id: AccountArgument,
    on: Annotated[
        date | None,
        typer.Option(
            parser=read_date, metavar="DATE", help="The day, by default today: its month is billed."
        ),
    ] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Close an account, and print what is left: invoices to come, committed runs, credit. The month of the
    day is the last one billed; later usage is not billed but reported."""
    from billing.cli.account_text import print_left
    from billing.closing import close_account

    with open_service() as service:
        left = close_account(
            service.engine, service.store, id, on=on, by=OPERATOR, now=service.now(), reason=reason
        )
    if as_json:
        print_json(left)
    else:
        print_left(left)


@command(group, "reopen", example="billing accounts reopen acme")
def reopen(id: AccountArgument, reason: Reason = "", as_json: AsJson = False) -> None:
    """Bill a closed account again, as if it had never been closed."""
    from billing.closing import reopen_account

    with open_service() as service:
        account = reopen_account(service.engine, id, by=OPERATOR, now=service.now(), reason=reason)
    show_changed(account, as_json)


def show_changed(account: Any, as_json: bool) -> None:
    """Print an account as it is now."""
    from billing.accounts import account_data
    from billing.cli.account_text import print_account

    if as_json:
        print_json(account_data(account))
    else:
        print_account(account)
