"""billing whatif: what another threshold of the rule would have made of what really ran."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billing.cli.backtest import (
    AllMonths,
    AsJson,
    Format,
    Months,
    OutputFormat,
    amounts_in,
    print_csv,
    signed,
)
from billing.cli.commands import command
from billing.cli.output import console, heading, say, table
from billing.cli.service import open_service

_WIDTH = 40
_SHOWN = 10


def add_to(group: typer.Typer) -> None:
    example = "billing whatif --threshold 0.5 --threshold 2 --months 2026-08:2026-10"
    command(group, "whatif", example=example)(_whatif)


def _whatif(
    threshold: Annotated[
        list[str], typer.Option(metavar="SECONDS", help="Only longer runs count; may come many times.")
    ],
    months: Months,
    all_months: AllMonths = False,
    format: OutputFormat = Format.TABLE,
    as_json: AsJson = False,
) -> None:
    """Show how many runs would be billable, and what they would bring, if only longer runs were billed than
    some thresholds; with a histogram of durations, in which gaming and clocks that are off pile up next to
    the threshold. Reads all runs of the months. Nothing is changed."""
    from billing.backtest.thresholds import what_if

    first, last = months
    with open_service() as service:
        found = what_if(
            service.engine,
            service.store,
            threshold,
            first,
            last,
            now=service.now(),
            unbilled=all_months,
        )
    if as_json or format is Format.JSON:
        print(json.dumps(found.to_data(), indent=1))
    elif format is Format.CSV:
        from billing.backtest.tables import account_table

        rows = (
            {"threshold": each["threshold"], **row}
            for each in found.to_data()["thresholds"]
            for row in each["accounts"]
        )
        print_csv(account_table(rows, "threshold"))
    else:
        _print(found.to_data(limit=_SHOWN))


def _print(data: Mapping[str, Any]) -> None:
    partial = f"; {data['to']} is not over" if data["partial"] else ""
    heading("Another threshold", f", {data['from']} to {data['to']}{partial}")
    say(f"Now more than {data['threshold_now']} s: {data['billable_now']:,} billable runs.")
    for each in data["thresholds"]:
        change = each["billable"] - data["billable_now"]
        says = f"{each['billable']:,} billable runs ({'+' if change > 0 else ''}{change:,})"
        near = f"{each['just_below']:,} within 5 % below, {each['just_above']:,} above"
        say(f"More than {each['threshold']} s: {says}; {near}.")
        for total in each["totals"]:
            money, code = amounts_in(total["currency"]), total["currency"]
            rise = signed(total["change"], code)
            brings = f"{money(total['draft_net'])} then, {money(total['current_net'])} now ({rise})"
            say(f"  {code}: {brings}; {total['pay_more']:,} pay more, {total['pay_less']:,} less.")
    shown = table("took, s", "completed", "cached", "", numbers=("completed", "cached"))
    most = max((each["completed"] + each["cached"] for each in data["histogram"]), default=0)
    for each in data["histogram"]:
        both = each["completed"] + each["cached"]
        name = f"{each['above']} to {each['up_to']}" if each["up_to"] else f"more than {each['above']}"
        bar = "█" * -(-both * _WIDTH // most) if most else ""
        shown.add_row(name, f"{each['completed']:,}", f"{each['cached']:,}", bar)
    console().print(shown)
