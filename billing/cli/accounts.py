"""billing accounts …"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from billing.cli.commands import command, noun
from billing.cli.options import AccountArgument, AsJson, read_month
from billing.cli.output import console, fields, print_json, say, table
from billing.cli.service import open_service
from metering.period import Month

if TYPE_CHECKING:
    from billing.repository.accounts import Account

group = noun("Who is billed: add accounts, and choose their plans.")


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
    name: Annotated[str, typer.Option(help="The customer's name on invoices; by default the id.")] = "",
    email: Annotated[str, typer.Option(help="Where Stripe sends invoices.")] = "",
    currency: Annotated[
        str | None, typer.Option(help="ISO 4217 code; by default BILLING_CURRENCY.", metavar="USD")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add an account, enrolled in a plan. Months before --billing-from are never billed."""
    from billing.accounts import account_data, add_account

    with open_service() as service:
        account = add_account(
            service.engine,
            id,
            now=service.now(),
            currency=currency or service.settings.currency,
            plan=plan,
            billing_from=billing_from,
            name=name,
            email=email,
        )
    if as_json:
        print_json(account_data(account))
    else:
        _print(account)


@command(group, "list", example="billing accounts list --json")
def list_(as_json: AsJson = False) -> None:
    """List all accounts with the plans they are enrolled in now."""
    from billing.accounts import account_data, list_accounts

    with open_service() as service:
        accounts = list_accounts(service.engine)
        this_month = Month.of(service.now())
    if as_json:
        print_json([account_data(account) for account in accounts])
        return
    if not accounts:
        say("No accounts yet; add one with: billing accounts add ID")
        return
    shown = table("account", "name", "plan", "currency", "billing from", "email")
    for account in accounts:
        plan = account.terms.plan(this_month)
        shown.add_row(
            account.id, account.name, plan, account.currency, str(account.billing_from), account.email
        )
    console().print(shown)


@command(group, "show", example="billing accounts show acme")
def show(id: AccountArgument, as_json: AsJson = False) -> None:
    """Show an account and every plan it was, is or will be enrolled in."""
    from billing.accounts import account_data, show_account

    with open_service() as service:
        account = show_account(service.engine, id)
    if as_json:
        print_json(account_data(account))
    else:
        _print(account)


@command(group, "set-plan", example="billing accounts set-plan acme standard --from 2026-12")
def set_plan(
    id: AccountArgument,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="starter, or a version: starter@2021-02.")],
    from_month: Annotated[
        Month, typer.Option("--from", parser=read_month, metavar="MONTH", help="First month on the new plan.")
    ],
    as_json: AsJson = False,
) -> None:
    """Enrol an account in another plan from the start of a month on. A month that is invoiced already is
    refused."""
    from billing.accounts import account_data
    from billing.accounts import set_plan as enrol

    with open_service() as service:
        account = enrol(service.engine, id, plan, from_month, now=service.now())
    if as_json:
        print_json(account_data(account))
    else:
        _print(account)


def _print(account: Account) -> None:
    plans = " · ".join(f"{each.plan_id} from {each.from_month}" for each in account.terms.enrolments)
    pairs = {
        "account": account.id,
        "name": account.name,
        "email": account.email or "none",
        "currency": account.currency,
        "billing from": account.billing_from,
        "plan": plans,
        "Stripe customer": account.stripe_customer_id or "none yet: made with the first invoice",
    }
    console().print(fields(pairs))
