"""Options and arguments that several commands share, and how their texts are read."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from billing.pricing.days import parse_day
from metering.period import Month, parse_bound

# Who acts at the command line, as it is recorded with what changes.
OPERATOR = "operator"

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def read_month(text: str) -> Month:
    """A month of the command line. Raises typer.BadParameter."""
    try:
        return Month.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def read_date(text: str) -> date:
    """A day of the command line. Raises typer.BadParameter."""
    try:
        return parse_day(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def read_instant(text: str) -> int:
    """An instant of the command line. Raises typer.BadParameter."""
    try:
        return parse_bound(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}") from None


MonthArgument = Annotated[Month, typer.Argument(parser=read_month, metavar="MONTH", help="As YYYY-MM.")]
OptionalMonth = Annotated[
    Month | None,
    typer.Option(
        "--month", parser=read_month, metavar="MONTH", help="As YYYY-MM; by default the current one."
    ),
]
MonthFilter = Annotated[
    Month | None, typer.Option("--month", parser=read_month, metavar="MONTH", help="Of this month only.")
]
AccountFilter = Annotated[str | None, typer.Option("--account", metavar="ID", help="Of this account only.")]
Amend = Annotated[
    bool,
    typer.Option("--amend", help="Also where it reaches into invoiced months; the next invoice adjusts."),
]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]
AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
