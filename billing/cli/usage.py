"""billing usage"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from billing.cli.commands import command
from billing.cli.options import AccountArgument, AsJson, OptionalMonth, read_instant
from billing.cli.output import console, heading, print_json, say, table
from billing.cli.service import open_service
from metering.period import Month, format_instant

if TYPE_CHECKING:
    from rich.table import Table

    from billing.app import Service
    from metering.usage import Counts, Usage

By = Literal["hour", "day", "month"]
GroupBy = Literal["workspace", "flow", "both"]

# How much of an instant names a window: 2026-10-03T02:00, 2026-10-03, 2026-10.
_NAMED_BY = {"hour": 16, "day": 10, "month": 7}


def add_to(app: typer.Typer) -> None:
    command(app, "usage", example="billing usage acme --month 2026-10 --group-by flow --by month")(usage)


def usage(
    account: AccountArgument,
    month: OptionalMonth = None,
    from_instant: Annotated[
        int | None,
        typer.Option(
            "--from", parser=read_instant, metavar="T", help="Start, on a whole hour: 2026-10-03T00:00:00Z."
        ),
    ] = None,
    to_instant: Annotated[
        int | None, typer.Option("--to", parser=read_instant, metavar="T", help="End, itself not included.")
    ] = None,
    by: Annotated[By, typer.Option(help="The size of the windows.")] = "day",
    group_by: Annotated[
        GroupBy | None, typer.Option(help="A row for each workspace, or flow, or both, too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how many task runs count, and beside them those that do not, by reason. In UTC; windows without
    any run are left out."""
    with open_service() as service:
        from billing.completeness import account_watermark

        start, end = _period(service, month, from_instant, to_instant)
        watermark = account_watermark(service.engine, account)
        try:
            answer = service.store.usage(account, start, end, by=by, group_by=group_by)
        except ValueError as error:
            raise typer.BadParameter(f"--{error}") from None
        if not answer.counts.total:
            _require_known(service, account)
    if as_json:
        from metering.usage import usage_data

        print_json(usage_data(answer) | watermark)
    else:
        heading(account, f", task runs from {_instant(start)} to {_instant(end)} UTC")
        console().print(usage_table(answer, by, group_by))
        for each in watermark.values():
            say(_completeness(each))


def _completeness(watermark: dict[str, Any]) -> str:
    """To when the figures are complete, and by which source where there are several."""
    said = [
        f"{each['source']}: "
        + ("not known to be complete" if each["complete_to"] is None else f"to {_short(each['complete_to'])}")
        + ("" if each["runs"] is None else f", {each['runs']:,} task runs")
        for each in watermark["sources"]
    ]
    to = watermark["complete_to"]
    head = "Not known to be complete" if to is None else f"Complete to {_short(to)}"
    return f"{head} ({'; '.join(said)})"


def _short(instant: str) -> str:
    return instant[:19] + "Z" if len(instant) > 19 else instant


def _period(service: Service, month: Month | None, start: int | None, end: int | None) -> tuple[int, int]:
    if start is not None and end is not None and month is None:
        return start, end
    if start is not None or end is not None:
        raise typer.BadParameter("give both --from and --to, or --month alone")
    month = month or Month.of(service.now())
    return month.start, month.end


def _require_known(service: Service, account: str) -> None:
    """An account that billing does not know may still have been metered, at some other time."""
    from billing.accounts import show_account
    from billing.errors import NotFound

    try:
        show_account(service.engine, account)
    except NotFound:
        first, last = Month(2000, 1).start, Month(9998, 12).end
        if not service.store.usage(account, first, last, by="month").windows:
            raise


def usage_table(answer: Usage, by: By, group_by: GroupBy | None) -> Table:
    """Billable runs, and beside them every reason for not billing one."""
    names = [by, *_groups(group_by)]
    columns = ["billable", *(reason.replace("_", " ") for reason in answer.counts.not_billed)]
    shown = table(*names, *columns, numbers=tuple(columns))
    for window in answer.windows:
        label = format_instant(window.start)[: _NAMED_BY[by]].replace("T", " ")
        group = [_name(getattr(window, name)) for name in _groups(group_by)]
        shown.add_row(label, *group, *_numbers(window.counts))
    if len(answer.windows) != 1:
        shown.add_section()
        shown.add_row("total", *("" for _ in _groups(group_by)), *_numbers(answer.counts), style="bold")
    return shown


def _groups(group_by: GroupBy | None) -> list[str]:
    if group_by is None:
        return []
    return ["workspace", "flow"] if group_by == "both" else [group_by]


def _name(given: str | None) -> str:
    """A name as a terminal may see it: without control characters."""
    return "".join(each if each.isprintable() else "?" for each in given or "(none)")


def _instant(instant: int) -> str:
    return format_instant(instant)[:16].replace("T", " ")


def _numbers(counts: Counts) -> list[str]:
    return [f"{quantity:,}" for quantity in (counts.billable, *counts.not_billed.values())]
