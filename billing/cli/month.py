"""billing month …: what to look at before a month is closed, and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import AsJson, MonthArgument
from billing.cli.output import console, print_json, say, table
from billing.cli.service import open_service

group = noun("Before a month is closed, and after: what to look at.")

Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]


@command(group, "check", example="billing month check 2026-10")
def check(month: MonthArgument, as_json: AsJson = False) -> None:
    """Show what stands in the way of closing a month: sources that are not complete, accounts that billing
    does not know, halves of runs, signs of misuse. Exit 1 if there is anything."""
    from billing.month_review import check_month

    with open_service() as service:
        found = check_month(service, month)
    if as_json:
        print_json(found.to_data())
    else:
        _print_check(found.to_data())
    if not found.ok:
        raise typer.Exit(LOOK)


def _print_check(data: Mapping[str, Any]) -> None:
    for each in data["incomplete"]:
        to = each["complete_to"]
        known = "not known to be complete" if to is None else f"complete to {to[:19]}Z"
        say(f"incomplete: {each['account']}: source {each['source']} is {known}")
    for each in data["unassigned"]:
        say(
            f"unassigned: {each['account']} has {each['billable']:,} billable task runs and no account; add "
            f"it with: billing accounts add {each['account']} --billing-from {data['month']}"
        )
    for each in data["signs"]:
        say(f"sign of misuse: {each['account']}: {each['message']}")
    if any(data["halves"].values()):
        starts, ends = data["halves"]["starts"], data["halves"]["ends"]
        say(f"halves: {starts:,} starts of more than a day ago have no end, {ends:,} ends have no start")
    if data["ok"]:
        say(f"{data['month']}: nothing stands in the way")


@command(group, "drafts", example="billing month drafts 2026-10")
def drafts(month: MonthArgument, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List a month's drafts beside the invoices of the month before, the largest changes first."""
    from billing.month_review import draft_changes
    from billing.pricing.money import format_amount

    with open_service() as service:
        found = draft_changes(service.engine, month, limit=limit)
    if as_json:
        print_json([each.to_data() for each in found])
        return
    if not found:
        say(f"{month} has no drafts; they are made by: billing run {month} --early")
        return
    numbers = ("before", "total", "change")
    shown = table("draft", "account", *numbers, numbers=numbers)
    for each in found:
        before = "" if each.before is None else format_amount(each.before, each.currency)
        amounts = [format_amount(amount, each.currency) for amount in (each.total, each.change)]
        shown.add_row(each.id, each.account, before, *amounts)
    console().print(shown)


@command(group, "unsent", example="billing month unsent 2026-10")
def unsent(month: MonthArgument, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List what was tried at Stripe for a month's invoices and is not done. Exit 1 if there is anything."""
    from billing.month_review import not_done

    with open_service() as service:
        found = not_done(service.engine, month, limit=limit)
    if as_json:
        print_json([each.to_data() for each in found])
    elif not found:
        say(f"{month}: nothing that was tried is left")
    else:
        for each in found:
            name = each.number or each.invoice_id
            say(f"{name} of {each.account}: {each.status} at {each.step}: {each.error}")
        say(f"To try again: billing run {month}")
    if found:
        raise typer.Exit(LOOK)
