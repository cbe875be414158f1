"""billing export"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from billing.cli.commands import command
from billing.cli.options import AccountFilter, AsJson, read_month
from billing.cli.output import print_json, say
from billing.cli.service import open_service
from metering.period import Month

What = Literal["usage", "invoices", "contracts", "focus", "revenue", "journal"]
Format = Literal["csv", "parquet", "xlsx"]


def add_to(app: typer.Typer) -> None:
    command(app, "export", example="billing export usage --month 2026-10 --format csv -o usage.csv")(export)


def export(
    what: Annotated[What, typer.Argument(help="What of the month.", show_default=False)],
    month: Annotated[Month, typer.Option(parser=read_month, metavar="MONTH", help="As YYYY-MM.")],
    format: Annotated[Format, typer.Option(help="Of the file.")] = "csv",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="By default usage-2026-10.csv, in this folder."),
    ] = None,
    account: AccountFilter = None,
    as_json: AsJson = False,
) -> None:
    """Write a month's usage (by account, day, workspace and flow), invoices (a row a line), contracts, all
    charges in the columns of FOCUS, its revenue report, or its journal (a row a posting) to a file. The sums
    are those of billing usage, invoices show, contracts report and report revenue."""
    from billing.exports.operation import export as table_of
    from billing.exports.operation import file_name, write_file

    place = output or Path(file_name(what, month, format))
    with open_service() as service:
        table = table_of(service, what, month, account=account)
        rows = write_file(table, format, place)
    if as_json:
        print_json({"file": str(place), "rows": rows, "bytes": place.stat().st_size})
    else:
        say(f"wrote {place}: {rows:,} rows, {place.stat().st_size:,} bytes")
