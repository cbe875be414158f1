"""billing accounts …: what is agreed with an account, and how it came to be."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from billing.cli.accounts import show_changed
from billing.cli.commands import command
from billing.cli.options import OPERATOR, AccountArgument, Amend, AsJson, Reason, read_date, read_month
from billing.cli.output import console, print_json, say, table
from billing.cli.service import open_service
from metering.period import Month

ProgramArgument = Annotated[str, typer.Argument(metavar="PROGRAM", help="academia, startups or nonprofits.")]


def add_to(group: typer.Typer) -> None:
    command(group, "set-plan", example="billing accounts set-plan acme standard --from 2026-12")(set_plan)
    command(group, "protect", example="billing accounts protect acme 100.00 --until 2027-07-01")(protect)
    command(group, "protections", example="billing accounts protections --within 90")(protections)
    command(
        group,
        "apply-program",
        example="billing accounts apply-program acme nonprofits --percent 50 --until 2027-10-01",
    )(apply_program)
    command(group, "leave-program", example="billing accounts leave-program acme nonprofits --on 2027-01-01")(
        leave_program
    )
    command(group, "history", example="billing accounts history acme")(history)


def set_plan(
    id: AccountArgument,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="starter, or a version: starter@2021-02.")],
    from_month: Annotated[
        Month, typer.Option("--from", parser=read_month, metavar="MONTH", help="First month on the new plan.")
    ],
    amend: Amend = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Enrol an account in another plan from the start of a month on. A month that is invoiced already is
    refused, unless it is an amendment."""
    from billing.accounts import set_plan as enrol

    with open_service() as service:
        account = enrol(
            service.engine, id, plan, from_month, now=service.now(), by=OPERATOR, amend=amend, reason=reason
        )
    show_changed(account, as_json)


def protect(
    id: AccountArgument,
    charge: Annotated[str, typer.Argument(metavar="CHARGE", help="The old monthly charge, such as 100.00.")],
    until: Annotated[
        date, typer.Option(parser=read_date, metavar="DATE", help="The first day without protection.")
    ],
    from_month: Annotated[
        Month | None,
        typer.Option(
            "--from", parser=read_month, metavar="MONTH", help="First month; by default the current one."
        ),
    ] = None,
    amend: Amend = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Protect an account from paying more than its old monthly charge, until a date. It takes the place of
    any protection from then on."""
    from billing.grandfathering import protect as agree

    with open_service() as service:
        account = agree(
            service.engine,
            id,
            charge,
            until,
            now=service.now(),
            from_month=from_month,
            by=OPERATOR,
            amend=amend,
            reason=reason,
        )
    show_changed(account, as_json)


def protections(
    within: Annotated[
        int | None, typer.Option(min=0, metavar="DAYS", help="Those that end in so many days; by default 60.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that hold now.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the price protections that will soon end, the next one first."""
    from billing.grandfathering import LISTED_DAYS, protections_ending
    from billing.pricing.money import format_amount

    days = None if every else LISTED_DAYS if within is None else within
    with open_service() as service:
        found = protections_ending(service.engine, service.now(), within_days=days)
    if as_json:
        print_json(found)
        return
    if not found:
        say("No price protection holds now." if days is None else f"None ends within {days} days.")
        return
    shown = table(
        "account", "at most a month", "ends on", "days left", numbers=("at most a month", "days left")
    )
    for each in found:
        charge = format_amount(each["charge"], each["currency"])
        shown.add_row(each["account"], charge, each["ends_on"], f"{each['days_left']:,}")
    console().print(shown)


def apply_program(
    id: AccountArgument,
    program: ProgramArgument,
    percent: Annotated[str, typer.Option(metavar="N", help="Off the month's usage, such as 50 or 12.5.")],
    until: Annotated[
        date, typer.Option(parser=read_date, metavar="DATE", help="The first day without the program.")
    ],
    starts_on: Annotated[
        date | None,
        typer.Option("--from", parser=read_date, metavar="DATE", help="First day; by default today."),
    ] = None,
    founded_on: Annotated[
        date | None, typer.Option(parser=read_date, metavar="DATE", help="Of a startup: when.")
    ] = None,
    raised: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Of a startup: what it has raised so far, in USD.")
    ] = None,
    amend: Amend = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Record an application to a program, which takes a percentage off in the months on whose first day it
    holds. Startups are less than three years old and have raised less than 10 million USD; an application
    that fails is kept with the reason."""
    from billing.programs import apply_program as apply

    with open_service() as service:
        account = apply(
            service.engine,
            id,
            program,
            percent=percent,
            until=until,
            starts_on=starts_on,
            founded_on=founded_on,
            raised=raised,
            by=OPERATOR,
            now=service.now(),
            amend=amend,
            reason=reason,
        )
    show_changed(account, as_json)


def leave_program(
    id: AccountArgument,
    program: ProgramArgument,
    on: Annotated[
        date, typer.Option(parser=read_date, metavar="DATE", help="The first day without the program.")
    ],
    amend: Amend = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """End a program for an account earlier than agreed."""
    from billing.programs import leave_program as leave

    with open_service() as service:
        account = leave(
            service.engine, id, program, on, by=OPERATOR, now=service.now(), amend=amend, reason=reason
        )
    show_changed(account, as_json)


def history(id: AccountArgument, as_json: AsJson = False) -> None:
    """Show all that was agreed with an account: who recorded what, when, why, and whether it amended months
    that were invoiced."""
    from billing.accounts import show_account
    from billing.cli.account_text import print_history
    from billing.terms import list_terms

    with open_service() as service:
        entries = list_terms(service.engine, id)
        currency = show_account(service.engine, id).currency
    if as_json:
        print_json(entries)
    else:
        print_history(entries, currency)
