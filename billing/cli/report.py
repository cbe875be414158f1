"""billing report: what finance asks of a month."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
    "voided": "voided",
    "drawn": "earned: runs drawn",
    "expired": "earned: runs expired",
    "services": "earned: services delivered",
    "closing": "as it ended",
}
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
    invoiced, credited, paid = found["invoiced"], found["credited"], found["paid"]
    _rows(
        f"Invoiced: {invoiced['invoices']:,} invoices",
        [
            ("usage", invoiced["usage"]),
            ("contracts", invoiced["contracts"]),
            ("voided", invoiced["voided"]),
            ("tax, added by Stripe", invoiced["tax"]),
        ],
        money,
    )
    granted = [(f"credit: {kind}", amount) for kind, amount in credited["credit"].items()]
    left = ("credit of customers as it ended", credited["credit_balance"])
    _rows("Credited", [("credit notes", credited["credit_notes"]), *granted, left], money)
    _rows(
        f"Paid: {paid['payments']:,} payments",
        [
            ("paid", paid["amount"]),
            ("settled at Stripe", paid["settled_at_stripe"]),
            ("refunds and chargebacks", paid["refunds"]),
        ],
        money,
    )
    open_ = found["outstanding"]
    ages = [(name, open_[age]) for age, name in _AGES.items()]
    _rows(f"Outstanding on {data['as_of']}", [*ages, ("total", open_["total"])], money)
    earned = found["revenue"]
    _rows("Revenue", [(name, amount) for name, amount in earned.items() if name != "total"], money)
    programs = [(f"discount: {name}", amount) for name, amount in found["discounts"].items()]
    _rows("", [("revenue of the month", earned["total"]), *programs], money, keep=1)
    rolled = found["deferred"]
    if rolled["contracts"]:
        lines = [(text, -rolled[name] if name in _LESS else rolled[name]) for name, text in _ROLLED.items()]
        _rows("Deferred revenue of commitments", lines, money, keep=len(lines))
    _rows("", [("usage that is not invoiced yet", found["unbilled_usage"])], money)
    given = found["not_billed"]
    runs = sum(given["runs"].values())
    reasons = [
        (f"{reason}: {given['runs'][reason]:,} runs", value) for reason, value in given["value"].items()
    ]
    _rows(f"Not billed: {runs:,} runs, at list price", [*reasons, ("total", given["total"])], money)
    broken = [each for each in found["ties"] if not each["ok"]]
    for each in broken:
        apart = f"{money(each['documents'])} by the documents, {money(each['journal'])} by the journal"
        say(f"does not tie: {each['name']}: {apart}")
    if not broken:
        say(f"All {len(found['ties'])} figures that stand in the journal, too, agree with it to the cent.")
    say()


def _rows(title: str, rows: Iterable[tuple[str, int]], money: Callable[[int], str], *, keep: int = 0) -> None:
    """Rows of nothing are left out, but the first `keep`."""
    kept = [row for place, row in enumerate(rows) if row[1] or place < keep]
    if not kept:
        return
    shown = table(title, "amount", numbers=("amount",))
    for name, amount in kept:
        shown.add_row(name, money(amount))
    console().print(shown)
