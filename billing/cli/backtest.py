"""billing backtest: what draft plans would have made of what really ran."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing.cli.commands import command
from billing.cli.output import console, heading, say, table
from billing.cli.service import open_service
from metering.period import Month

if TYPE_CHECKING:
    from billing.exports.table import Table

# Accounts of a table; JSON and CSV have all.
_SHOWN = 20


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def read_months(text: str) -> tuple[Month, Month]:
    """`2026-01:2026-12`, or a month alone. Raises typer.BadParameter."""
    first, _, last = text.partition(":")
    try:
        return Month.parse(first), Month.parse(last or first)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; months are FROM:TO, both included") from None


Months = Annotated[
    Any,  # a pair; typer knows no such option
    typer.Option(
        "--months", parser=read_months, metavar="FROM:TO", help="Both included, as 2026-01:2026-12."
    ),
]
OutputFormat = Annotated[Format, typer.Option("--format", help="CSV has a row an account.")]
AllMonths = Annotated[
    bool, typer.Option("--all-months", help="Also months in which an account was not billed.")
]
AsJson = Annotated[bool, typer.Option("--json", help="The same as --format json.")]


def add_to(group: typer.Typer) -> None:
    command(group, "backtest", example="billing backtest draft.yaml --months 2026-01:2026-12")(_backtest)


def _backtest(
    files: Annotated[
        list[Path], typer.Argument(metavar="PLANFILE…", help="Draft plans: .json, .yaml or .toml files.")
    ],
    months: Months,
    instead_of: Annotated[
        str | None,
        typer.Option(
            metavar="PLAN",
            help="The plan, or its version, whose accounts move; by default the draft's own, all versions.",
        ),
    ] = None,
    solve: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="What keeps revenue: free-runs, or price:2 for the second bracket. May come many times.",
        ),
    ] = None,
    places: Annotated[int, typer.Option(min=0, max=12, help="Of a price that is solved for.")] = 6,
    threshold: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="Then, only longer runs are billed; now it is 1."),
    ] = None,
    all_months: AllMonths = False,
    csv_months: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a CSV with a row an account and month."),
    ] = None,
    format: OutputFormat = Format.TABLE,
    as_json: AsJson = False,
) -> None:
    """Price every account's real months again under draft plans that are not loaded. Shows revenue now and
    then by month and plan, who would pay more and by how much, the price protection that would hold them
    harmless, which brackets are crossed, and what revenue is at risk. Nothing is changed, nor loaded."""
    from billing.backtest.operation import backtest

    texts = [(read_plan(file), file.name) for file in files]
    first, last = months
    with open_service() as service:
        report = backtest(
            service.engine,
            service.store,
            texts,
            first,
            last,
            now=service.now(),
            instead_of=instead_of,
            solve=solve or (),
            places=places,
            unbilled=all_months,
            threshold=threshold,
        )
    if csv_months is not None:
        from billing.backtest.tables import month_table

        _write_csv(month_table(report.rerated), csv_months)
    if as_json or format is Format.JSON:
        print(json.dumps(report.to_data(), indent=1))
    elif format is Format.CSV:
        from billing.backtest.tables import account_table

        print_csv(account_table(report.account_rows()))
    else:
        _print(report.to_data(limit=_SHOWN))


def read_plan(file: Path) -> str:
    """Raises Invalid for a file that is not text."""
    from billing.errors import Invalid

    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"{file.name} is not text in UTF-8; a plan file is JSON, YAML or TOML") from None


def print_csv(table: Table) -> None:
    from billing.exports.csv_file import csv_lines

    for piece in csv_lines(table):
        sys.stdout.write(piece.decode())


def _write_csv(table: Table, file: Path) -> None:
    """Raises Invalid where it cannot be written."""
    from billing.errors import Invalid
    from billing.exports.csv_file import csv_lines

    try:
        with file.open("wb") as out:
            out.writelines(csv_lines(table))
    except OSError as error:
        raise Invalid(
            f"{file} cannot be written: {error.strerror}; name another", field="csv_months"
        ) from None


def _print(data: Mapping[str, Any]) -> None:
    names = ", ".join(f"{each['plan']} instead of {each['instead_of']}" for each in data["drafts"])
    partial = f"; {data['to']} is not over" if data["partial"] else ""
    heading(names, f", {data['from']} to {data['to']}{partial}")
    for total in data["totals"]:
        print_total(total)
    _print_months(data)
    _print_distribution(data)
    print_accounts(data)
    _print_risks(data)
    _print_crossings(data)
    print_solved(data["solved"])
    print_left_out(data)
    say(data["basis"][0].upper() + data["basis"][1:])


def print_total(total: Mapping[str, Any]) -> None:
    money = amounts_in(total["currency"])
    say(
        f"{total['currency']}: {money(total['current_net'])} now, {money(total['draft_net'])} then "
        f"({signed(total['change'], total['currency'])}). Of {total['accounts']:,} accounts "
        f"{total['pay_more']:,} pay more and {total['pay_less']:,} less; {total['begin_to_pay']:,} begin to "
        f"pay, {total['stop_paying']:,} stop."
    )


def _print_months(data: Mapping[str, Any]) -> None:
    shown = table("month", "plan", "accounts", "runs", "now", "then", "change", numbers=_NUMBERS)
    for each in data["plans"]:
        money = amounts_in(each["currency"])
        moved = each["plan"] != each["plan_then"]
        change = signed(each["draft_net"] - each["current_net"], each["currency"])
        shown.add_row(
            each["month"],
            f"{each['plan']} → {each['plan_then']}" if moved else each["plan"],
            f"{each['accounts']:,}",
            f"{each['billable']:,}",
            money(each["current_net"]),
            money(each["draft_net"]),
            change,
        )
    console().print(shown)


_NUMBERS = ("accounts", "runs", "now", "then", "change", "months", "protection", "costs")


def _print_distribution(data: Mapping[str, Any]) -> None:
    from billing.backtest.report import band_name

    shown = table("change a month and account", "accounts", "now", "then", numbers=_NUMBERS)
    shown.columns[0].header = "change in all"
    for each in data["distribution"]:
        if each["accounts"]:
            money = amounts_in(each["currency"])
            now, then = money(each["current_net"]), money(each["draft_net"])
            shown.add_row(band_name(each), f"{each['accounts']:,}", now, then)
    console().print(shown)


def print_accounts(data: Mapping[str, Any]) -> None:
    dear = [each for each in data["accounts"] if each["change"] > 0]
    if not dear:
        say("No account would pay more.")
        return
    columns = ("account", "now", "then", "change", "hold at, every month", "hold at, in all", "costs")
    shown = table(*columns, numbers=columns[1:])
    for each in dear:
        money = amounts_in(each["currency"])
        shown.add_row(
            each["account"],
            money(each["current_net"]),
            money(each["draft_net"]),
            signed(each["change"], each["currency"]),
            money(each["hold_every_month"]),
            money(each["hold_in_all"]),
            money(each["hold_in_all_costs"]),
        )
    console().print(shown)
    more = sum(total["pay_more"] for total in data["totals"]) - len(dear)
    if more > 0:
        say(f"and {more:,} more; --json and --format csv have all")
    say("To hold one harmless: billing accounts protect ACCOUNT AMOUNT --from MONTH --until DATE")


def _print_risks(data: Mapping[str, Any]) -> None:
    shown = table("pay more by more than", "accounts", "now", "then", numbers=_NUMBERS)
    for each in data["at_risk"]:
        if each["accounts"]:
            money = amounts_in(each["currency"])
            now, then = money(each["current_net"]), money(each["draft_net"])
            shown.add_row(f"{each['above_percent']} %", f"{each['accounts']:,}", now, then)
    if shown.row_count:
        say("Revenue at risk, if those leave:")
        console().print(shown)


def _print_crossings(data: Mapping[str, Any]) -> None:
    crossed = [each for each in data["crossings"] if each["bracket"] != each["bracket_then"]]
    shown = table("plan", "last run in", "then in", "months", "now", "then", numbers=_NUMBERS)
    for each in crossed:
        money = amounts_in(each["currency"])
        shown.add_row(
            f"{each['plan']} → {each['plan_then']}",
            f"bracket {each['bracket']}, at {each['unit_price']}",
            f"bracket {each['bracket_then']}, at {each['unit_price_then']}",
            f"{each['months']:,}",
            money(each["current_net"]),
            money(each["draft_net"]),
        )
    if crossed:
        say("Months that end in another bracket:")
        console().print(shown)


def print_solved(solved: Iterable[Mapping[str, Any]]) -> None:
    for each in solved:
        money = amounts_in(each["currency"])
        name = "free runs" if each["what"] == "free_runs" else f"price of bracket {each['what'][6:]}"
        if each["value"] is None:
            say(f"{each['draft']}: to keep {money(each['target'])}, {each['message']}.")
            continue
        value = f"{each['value']:,}" if isinstance(each["value"], int) else each["value"]
        rest = ""
        if each["next_value"] is not None:
            after = each["next_value"]
            after = f"{after:,}" if isinstance(after, int) else after
            rest = f"; {after} would bring {money(each['next_brings'])}"
        says = f"{name} {value} brings {money(each['brings'])}, and now is {money(each['target'])}{rest}"
        say(f"{each['draft']}: {says}.")


def print_left_out(data: Mapping[str, Any]) -> None:
    left, stay = data["left_out"], data["stay"]
    if left["not_billed_then"]["billable"]:
        runs, accounts = left["not_billed_then"]["billable"], left["not_billed_then"]["accounts"]
        say(f"Left out: {runs:,} runs of {accounts:,} accounts in months that are not billed (--all-months).")
    if left["unassigned"]["billable"]:
        runs, accounts = left["unassigned"]["billable"], left["unassigned"]["accounts"]
        say(f"Left out: {runs:,} runs of {accounts:,} accounts that billing does not know.")
    kept = [f"{months:,} {reason.replace('_', ' ')}" for reason, months in stay.items() if months]
    if kept and data["drafts"]:
        say(f"Months of accounts that stay as they are: {', '.join(kept)}.")


def amounts_in(code: str) -> Any:
    from billing.pricing.money import format_amount

    return lambda amount: "" if amount is None else format_amount(amount, code)


def signed(amount: int, code: str) -> str:
    from billing.pricing.money import format_amount

    return f"{'+' if amount > 0 else ''}{format_amount(amount, code)}"
