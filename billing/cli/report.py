"""billing report: what finance asks of a month."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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

_AGES = {
    "not_due": "not due yet",
    "1-30": "1 to 30 days past due",
    "31-60": "31 to 60 days past due",
    "61-90": "61 to 90 days past due",
    "over_90": "more than 90 days past due",
    "to_give_back": "credited, to be given back",
}
_ROLLED = {
    "opening": "as the month began",
    "invoiced": "invoiced",
    "voided": "void since",
    "drawn": "earned: runs drawn",
    "expired": "earned: runs expired",
    "services": "earned: services delivered",
    "closing": "as it ended",
}
_ALWAYS = ("owed in all", "revenue of the month", *_ROLLED.values())
_LESS = ("voided", "drawn", "expired", "services")


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
    for contract in data["unsettled"]:
        say(f"not final: contract {contract}; its figures stand once {data['month']} is billed")


def _print_currency(data: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    money = amounts_in(found["currency"])
    heading(f"{data['month']}, {found['currency']}", f", through {data['through']}")
    shown = table("", "amount", numbers=("amount",))
    for title, rows in _sections(data, found):
        kept = [(name, amount) for name, amount in rows if amount or name in _ALWAYS]
        if kept:
            shown.add_row(title, "")
        for name, amount in kept:
            shown.add_row(f"  {name}", money(amount))
    console().print(shown)
    broken = [each for each in found["ties"] if not each["ok"]]
    for each in broken:
        apart = f"{money(each['documents'])} by the documents, {money(each['journal'])} by the journal"
        say(f"does not tie: {each['name']}: {apart}")
    if not broken:
        say(f"All {len(found['ties'])} figures that the journal has, too, agree with it to the cent.")
    say()


def _sections(
    data: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[tuple[str, Iterable[tuple[str, int]]]]:
    """Titles, and names with amounts."""
    invoiced, credited, paid = found["invoiced"], found["credited"], found["paid"]
    yield (
        f"Invoiced: {invoiced['invoices']:,} invoices",
        [
            ("usage", invoiced["usage"]),
            ("contracts", invoiced["contracts"]),
            ("voided", invoiced["voided"]),
            ("tax, added by Stripe", invoiced["tax"]),
        ],
    )
    granted = [(f"credit: {kind}", amount) for kind, amount in credited["credit"].items()]
    left = ("credit of customers as it ended", credited["credit_balance"])
    yield "Credited", [("credit notes", credited["credit_notes"]), *granted, left]
    yield (
        f"Paid: {paid['payments']:,} payments",
        [
            ("paid", paid["amount"]),
            ("settled at Stripe", paid["settled_at_stripe"]),
            ("refunds and chargebacks", paid["refunds"]),
        ],
    )
    open_ = found["outstanding"]
    ages = [(name, open_[age]) for age, name in _AGES.items()]
    yield f"Outstanding on {data['as_of']}", [*ages, ("owed in all", open_["total"])]
    earned = found["revenue"]
    lines = [(name, amount) for name, amount in earned.items() if name != "total"]
    yield "Revenue", [*lines, ("revenue of the month", earned["total"])]
    yield "Discounts, by program", found["discounts"].items()
    rolled = found["deferred"]
    if rolled["contracts"]:
        lines = [(text, -rolled[name] if name in _LESS else rolled[name]) for name, text in _ROLLED.items()]
        yield "Deferred revenue of commitments", lines
    yield (
        f"Usage of {data['month']}, by its invoices: {invoiced['invoices_of_month']:,}",
        [("as they were issued", invoiced["of_month"]), ("not issued by then", found["unbilled_usage"])],
    )
    given = found["not_billed"]
    runs = sum(given["runs"].values())
    lost = [(f"{name}: {given['runs'][name]:,} runs", value) for name, value in given["value"].items()]
    yield f"Not billed: {runs:,} runs, at list price", [*lost, ("given away", given["total"])]
