"""billing summary"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from billing.cli.commands import command
from billing.cli.options import AccountArgument, AsJson
from billing.cli.output import console, heading, print_json, say, table
from billing.cli.service import open_service
from metering.period import format_instant

if TYPE_CHECKING:
    from billing.pricing.outlook import MonthEnd, Outlook
    from billing.summary import Summary


def add_to(app: typer.Typer) -> None:
    command(app, "summary", example="billing summary acme")(summary)


def summary(account: AccountArgument, as_json: AsJson = False) -> None:
    """Show this month so far and what it will come to: usage, free runs, the price of the next run, the
    amount and a forecast, and what is to be paid. What is expected lies from .. to four times of five."""
    from billing.summary import account_summary

    with open_service() as service:
        found = account_summary(service, account)
    if as_json:
        print_json(found.to_data())
    else:
        _print(found)


def _print(found: Summary) -> None:
    heading(f"{found.account.id}, {found.month}", f", as of {format_instant(found.now)}")
    numbers = ("so far", "expected", "from", "to")
    shown = table("", *numbers, numbers=numbers)
    for row in _rows(found):
        shown.add_row(*row)
    console().print(shown)
    for line in _notes(found):
        say(line)


def _rows(found: Summary) -> list[tuple[str, ...]]:
    held = found.outlook
    ends = (None, None, None) if held is None else (held.expected, held.low, held.high)
    rows = [("billable runs", f"{found.counts.billable:,}", *(_runs(each) for each in ends))]
    if held is not None:
        amounts = (_amount(found, each) for each in ends)
        rows.append(("amount", found.money(held.document.total), *amounts))
    not_billed = found.counts.total - found.counts.billable
    return [*rows, ("not billed", f"{not_billed:,}", "", "", "")]


def _runs(end: MonthEnd | None) -> str:
    return "" if end is None else f"{end.billable:,}"


def _amount(found: Summary, end: MonthEnd | None) -> str:
    return "" if end is None else found.money(end.total)


def _notes(found: Summary) -> list[str]:
    if found.outlook is None:
        return [f"Not priced: {found.unpriced}."]
    last = found.comparison
    ahead = found.outlook.forecast
    return [
        *_next_run(found, found.outlook),
        *([] if ahead is None or ahead.past is None else [ahead.past.message]),
        f"{last.month} to the same hour: {last.last:,} billable runs.",
        *(f"To pay: {found.money(each.amount)} for {each.invoice.number}." for each in found.due),
    ]


def _next_run(found: Summary, held: Outlook) -> list[str]:
    from billing.pricing.money import plain

    if held.free is not None and held.free_used is not None:
        free = [f"Free runs: {held.free_used:,} of {held.free:,} used."]
    else:
        free = ["Every run is free."]
    if held.committed_left:
        return [*free, f"The next run is a committed one; {held.committed_left:,} are left."]
    price = plain(held.standing.next_price)
    left = held.standing.left_in_bracket
    until = "" if left is None else f", and {left:,} runs until the next bracket"
    return [*free, f"The next run costs {price} {found.account.currency}{until}."]
