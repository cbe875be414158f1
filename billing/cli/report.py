"""billing report: what finance asks of a month."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import typer

from billing.cli.backtest import amounts_in
from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import AccountFilter, AsJson, MonthArgument, read_date
from billing.cli.output import console, heading, print_json, say, table
from billing.cli.service import open_service

group = noun("What finance asks of a month.")


@command(group, "revenue", example="billing report revenue 2026-10")
def revenue(
    month: MonthArgument,
    as_of: Annotated[
        date | None,
        typer.Option(parser=read_date, metavar="DATE", help="What is open on this day; the month's last."),
    ] = None,
    account: AccountFilter = None,
    as_json: AsJson = False,
) -> None:
    """Show what a month brought: invoiced, credited, paid, outstanding by age, revenue, deferred revenue of
    commitments, discounts by program, and what was not billed; each figure beside the journal (billing
    export journal). Exit 1 if one does not tie, or something of the month is not billed yet."""
    from billing.revenue.operation import revenue_report

    with open_service() as service:
        found = revenue_report(service, month, as_of=as_of, account=account)
    data = found.to_data()
    print_json(data) if as_json else _print(data)
    if not found.ok:
        raise typer.Exit(LOOK)


def _print(data: Mapping[str, Any]) -> None:
    for each in data["currencies"]:
        _print_currency(data, each)
    if not data["currencies"]:
        say(f"{data['month']}: there are no accounts")
    for account in data["not_invoiced"][:20]:
        say(f"not invoiced: {account} ran task runs in {data['month']}; bill it: billing run {data['month']}")
    for each in data["unassigned"][:20]:
        runs = f"{each['billable']:,} billable task runs"
        say(f"unassigned: {each['account']} has {runs} and no account; they are in no figure above")
    for contract in data["unsettled"]:
        say(f"not final: contract {contract}; its figures stand once {data['month']} is billed")


def _print_currency(data: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    from billing.revenue.wording import sections

    money = amounts_in(found["currency"])
    heading(f"{data['month']}, {found['currency']}", f", through {data['through']}")
    shown = table("", "amount", numbers=("amount",))
    for title, rows in sections(data, found):
        shown.add_row(title, "")
        for name, amount in rows:
            shown.add_row(f"  {name}", money(amount))
    console().print(shown)
    broken = [each for each in found["ties"] if not each["ok"]]
    for each in broken:
        apart = f"{money(each['documents'])} by the documents, {money(each['journal'])} by the journal"
        say(f"does not tie: {each['name']}: {apart}")
    if not broken:
        say(f"All {len(found['ties'])} figures that the journal has, too, agree with it to the cent.")
    say()
