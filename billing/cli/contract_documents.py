"""billing contracts invoice, billing contracts report"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.options import AsJson, read_date
from billing.cli.output import console, count, fields, heading, note, print_json, say, table
from billing.cli.service import open_service
from metering.period import day_of

if TYPE_CHECKING:
    from collections.abc import Mapping

AsOf = Annotated[
    date | None,
    typer.Option(
        "--as-of", parser=read_date, metavar="DATE", help="As of the end of a day; by default today."
    ),
]


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"


def add_to(group: typer.Typer) -> None:
    command(group, "invoice", example="billing contracts invoice --as-of 2026-04-01")(invoice)
    command(group, "report", example="billing contracts report acme-2026 --format html -o acme.html")(report)


def invoice(
    as_of: AsOf = None,
    contract: Annotated[
        str | None, typer.Option("--contract", metavar="ID", help="Of this contract only.")
    ] = None,
    no_send: Annotated[bool, typer.Option("--no-send", help="Issue only; a later run sends.")] = False,
    as_json: AsJson = False,
) -> None:
    """Invoice the instalments and services that are due and not yet invoiced, one invoice a contract, and
    send them, also those that could not be sent before. Safe to repeat: nothing is invoiced twice."""
    from billing.cli.run import invoice_table
    from billing.contract_invoices import invoice_contracts
    from billing.invoices import invoice_summary, show_invoice

    with open_service() as service:
        day = as_of or day_of(service.now())
        service.record_seller()
        made = invoice_contracts(service.engine, day, now=service.now(), contract_id=contract)
        problems = {} if no_send else service.send_contracts(contract).problems
        made = [show_invoice(service.engine, each.id) for each in made]
    if as_json:
        print_json([invoice_summary(each) for each in made])
    elif made:
        console().print(invoice_table(made))
    else:
        say(f"Nothing of a contract is due by {day} that is not invoiced.")
    for message in problems.values():
        note(message)
    if problems:
        raise typer.Exit(LOOK)


def report(
    id: Annotated[str, typer.Argument(metavar="ID", help="The contract's id.")],
    as_of: AsOf = None,
    format: Annotated[Format, typer.Option("--format", help="html is a page to send.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file instead of stdout.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report on a contract: committed, used, expired and left; month by month; when it runs out at today's
    pace; what a run costs; what was invoiced and delivered."""
    from billing.contract_invoices import report_contract

    with open_service() as service:
        day = as_of or day_of(service.now())
        made, customer = report_contract(service.engine, service.store, id, day)
    if as_json or format is Format.JSON:
        print_json(made.to_data())
        return
    if format is Format.TABLE:
        _print(made.to_data())
        return
    if format is Format.CSV:
        text = made.to_csv()
    else:
        from billing.reporting.contract_page import contract_page

        text = contract_page(made, customer)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
        note(f"wrote {output}")


def _print(data: Mapping[str, Any]) -> None:
    from billing.pricing.money import format_amount

    code = data["currency"]
    heading(data["contract"], f"  {data['account']}, {data['start']} to {data['end']}, as of {data['as_of']}")
    price, listed = (
        "none" if data[name] is None else f"{data[name]} {code}"
        for name in ("effective_unit_price", "list_unit_price")
    )
    pairs = {
        "committed": f"{count(data['committed'])} task runs",
        "used": count(data["used"]),
        "expired": count(data["expired"]),
        "remaining": count(data["remaining"]),
        "runs a day": f"{data['runs_per_day']} over the last 30 days",
        "runs out": _runs_out(data),
        "unused at the end": f"{count(data['expected_unused'])} expected",
        "price a run": f"{price}, list {listed}",
    }
    top_up = data["top_up"]
    if top_up is not None:
        pairs["topping up"] = (
            f"{count(top_up['runs'])} runs for {format_amount(top_up['price'], code)}, on demand "
            f"{format_amount(top_up['on_demand_amount'], code)}"
        )
    console().print(fields(pairs))
    numbers = ("drawn", "on demand", "amount", "balance")
    shown = table("month", *numbers, numbers=numbers)
    for month in data["months"]:
        shown.add_row(
            month["month"],
            count(month["drawn"]),
            count(month["on_demand"]),
            format_amount(month["on_demand_amount"], code),
            count(month["balance"]),
        )
    console().print(shown)
    due = table("due", "what", "amount", "status", numbers=("amount",))
    for each in data["instalments"]:
        amount = format_amount(each["amount"], code)
        due.add_row(each["due_on"], f"instalment of grant {each['grant']}", amount, each["status"])
    for each in data["services"]:
        done = f"delivered {each['delivered_on']}" if each["delivered"] else "owed"
        status = done if each["status"] is None else f"{each['status']}, {done}"
        due.add_row(each["due_on"], each["description"], format_amount(each["amount"], code), status)
    console().print(due)


def _runs_out(data: Mapping[str, Any]) -> str:
    day = data["runs_out_on"]
    if day is None:
        return "not before the term ends"
    if day <= data["as_of"]:
        return f"ran out on {day}"
    early, late = data["runs_out_range"]
    return f"{day} (4 times of 5 between {early} and {late})"
