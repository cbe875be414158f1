"""billing invoices explain, and what billing preview --explain prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.invoices import Id
from billing.cli.options import AsJson
from billing.cli.output import console, heading, note, print_json, say, table
from billing.cli.service import open_service
from billing.pricing.money import format_amount

if TYPE_CHECKING:
    from billing.explaining.explanation import Explanation

Line = Annotated[int | None, typer.Option("--line", metavar="N", help="This line alone, counted from 1.")]


def add_to(group: typer.Typer) -> None:
    command(group, "explain", example="billing invoices explain 2026-10-000001 --line 2")(explain)


def explain(id: Id, line: Line = None, as_json: AsJson = False) -> None:
    """Explain every line of an invoice as a calculation with its numbers, what changed against the month
    before, and which flows the task runs are of; exit 1 if a calculation does not come to its line."""
    from billing.explaining.operation import explain_invoice

    with open_service() as service:
        found = explain_invoice(service.engine, service.store, id, most=None)
    tell(found, line, as_json=as_json)


def tell(found: Explanation, line: int | None, *, as_json: bool) -> None:
    """Print an explanation, or one line of it. Raises Invalid for a line that there is not."""
    data = found.to_data(line=line)
    if as_json:
        print_json(data)
    else:
        print_explanation(data, only_lines=line is not None)
    if not data["agrees"]:
        name = data["number"] or data["id"]
        look = f"; see: billing invoices verify {name}" if name else ""
        note(f"Not every line is what its calculation comes to{look}")
        raise typer.Exit(LOOK)


def print_explanation(data: Mapping[str, Any], *, only_lines: bool) -> None:
    """An explanation in the shape of JSON answers; of the lines alone where it is of one."""
    code = data["currency"]
    name = data["number"] or data["id"] or "Preview"
    total = format_amount(data["total"], code)
    heading(name, f"  {data['account']}, {data['period']['start'][:7]}: {total}")
    if not only_lines:
        _rules(data)
        _change(data["change"], code)
    for line in data["lines"]:
        say()
        heading(f"{line['number']}  {line['description']}", f"  {format_amount(line['amount'], code)}")
        say(f"   {line['text']}")
        for step in line["steps"]:
            say(f"   · {step['text']}")
        if not line["agrees"]:
            say("   ! This does not come to the amount of the line.")
    if not only_lines:
        _brackets(data, code)
        _draws(data["contract"])
        _top(data["top"])
        _proof(data["proof"])
        for sentence in data["notes"]:
            say(sentence)


def _rules(data: Mapping[str, Any]) -> None:
    if data["rules"] is None:
        return
    say(f"Plan {data['plan']}, rules {data['rules']['version']}, events up to commit {data['cutoff']:,}.")
    for sentence in data["rules"]["text"]:
        say(sentence)


def _change(change: Mapping[str, Any] | None, code: str) -> None:
    if change is None:
        return
    say()
    heading("Against the month before", f"  {change['text']}")
    for each in change["drivers"]:
        sign = "+" if each["amount"] > 0 else ""
        say(f"   {sign}{format_amount(each['amount'], code)}  {each['text']}")


def _brackets(data: Mapping[str, Any], code: str) -> None:
    if not data["brackets"]:
        return
    say()
    heading(f"Brackets of {data['plan']}")
    shown = table("task runs of a month", "each", "of these", "cost", numbers=("each", "of these", "cost"))
    for row in data["brackets"]:
        until = "and more" if row["to"] is None else f"to {row['to']:,}"
        cost = format_amount(row["amount"], code)
        shown.add_row(f"{row['from']:,} {until}", row["unit_price"], f"{row['quantity']:,}", cost)
    console().print(shown)


def _draws(contract: Mapping[str, Any] | None) -> None:
    if contract is None or contract["grants"] is None:
        return
    heading(f"Contract {contract['id']}", f"  {contract['drawn']:,} runs were paid for in advance")
    numbers = ("before", "drawn", "left")
    grants = table("grant", "usable", *numbers, numbers=numbers)
    for each in contract["grants"]:
        usable = f"{each['granted_on']} to {each['expires_on']}"
        grants.add_row(each["grant"], usable, *(f"{each[name]:,}" for name in numbers))
    console().print(grants)
    counted = ("billable", "drawn", "on demand")
    days = table("day", *counted, "of grants", numbers=counted)
    for day in contract["days"]:
        of = ", ".join(f"{grant} {runs:,}" for grant, runs in day["by_grant"].items())
        days.add_row(day["day"], f"{day['billable']:,}", f"{day['drawn']:,}", f"{day['on_demand']:,}", of)
    console().print(days)


def _top(top: Mapping[str, Any] | None) -> None:
    if top is None or not top["flows"]:
        return
    heading("Billable runs by workspace and flow", "  as they are now" if top["as_of"] == "now" else "")
    shown = table("workspace", "flow", "billable", "share", numbers=("billable", "share"))
    for each in top["workspaces"]:
        shown.add_row(each["workspace"] or "(none)", "", f"{each['billable']:,}", f"{each['share']}%")
    shown.add_section()
    for each in top["flows"]:
        name = each["flow"] or "(none)"
        shown.add_row(each["workspace"] or "(none)", name, f"{each['billable']:,}", f"{each['share']}%")
    others = top["other_flows"]
    if others["quantity"]:
        shown.add_row("", f"{others['quantity']:,} more", f"{others['billable']:,}", "")
    console().print(shown)


def _proof(proof: Mapping[str, Any] | None) -> None:
    if proof is None:
        return
    name = proof["file"].removesuffix("-runs.csv")
    heading("Check the run list", f"  billing invoices runs {name} -o {proof['file']}")
    for each in proof["commands"]:
        say(f"   {each['command']}")
        say(f"      {each['text']}" + (f": {each['expect']}" if each["expect"] else ""))
