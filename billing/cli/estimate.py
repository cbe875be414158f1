"""billing estimate"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.ingest import ERRORS_ON_SCREEN
from billing.cli.options import AsJson
from billing.cli.output import console, heading, note, print_json, progress, reasons, say, table

if TYPE_CHECKING:
    from billing.estimate import Estimate, EstimatedMonth

Format = Literal["airflow", "prefect"]


def add_to(app: typer.Typer) -> None:
    command(app, "estimate", example="billing estimate task_instance.csv --format airflow --plan starter")(
        estimate
    )


def estimate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE…",
            help="Airflow: the table task_instance as CSV or JSON, or answers of its API. Prefect: events.",
        ),
    ] = None,
    format: Annotated[Format | None, typer.Option(help="Whose export it is.")] = None,
    api_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="A Prefect server instead of files; its key is BILLING_PREFECT_API_KEY."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="MONTH", help="Of a server: from when on; by default three months.")
    ] = None,
    plan: Annotated[str, typer.Option(help="The plan to price on.")] = "starter",
    as_json: AsJson = False,
) -> None:
    """What would a month cost? Prices somebody's task runs on a plan, month by month, and shows what would
    not be billed. Needs no database, and keeps nothing."""
    if bool(files) == bool(api_url):
        raise typer.BadParameter("name files to read, or a Prefect server with --api-url")
    if api_url:
        if format == "airflow":
            raise typer.BadParameter("--api-url reads Prefect; save answers of Airflow's API in files")
        made = _of_server(api_url, since, plan)
    elif format is None:
        raise typer.BadParameter("say whose export it is, with --format airflow or --format prefect")
    else:
        made = _of_files(files or [], format, plan)
    if as_json:
        print_json(made.to_data())
    else:
        print_estimate(made)
    for error in made.ingest.errors[:ERRORS_ON_SCREEN]:
        note(f"task run {error.index} (from 0), {error.field}: {error.message}")
    if made.ingest.rejected:
        note(f"{made.ingest.rejected:,} task runs cannot be read, and are not in the estimate")
        raise typer.Exit(LOOK)


def _of_files(files: list[Path], format: Format, plan: str) -> Estimate:
    from billing.estimate import estimate as compute
    from metering import clock

    with ExitStack() as stack:
        sources = []
        for path in files:
            show = stack.enter_context(progress(f"reading {path.name}", unit="bytes"))
            size = path.stat().st_size
            file = stack.enter_context(path.open("rb"))
            sources.append((file, lambda done, show=show, size=size: show(done, size)))
        return compute(sources, format, plan, clock.now_instant())  # type: ignore[arg-type]


def _of_server(url: str, since: str | None, plan: str) -> Estimate:
    from billing.estimate import estimate_server
    from metering import clock
    from metering.collecting.prefect_http import KEY_NAME
    from metering.collecting.prefect_server import PrefectServer
    from metering.period import Month
    from metering.settings import Settings

    now = clock.now_instant()
    try:
        first = Month.of(now).previous().previous() if since is None else Month.parse(since)
    except ValueError as error:
        raise typer.BadParameter(f"since: {error}") from None
    with (
        PrefectServer(url, Settings().prefect_key(KEY_NAME)) as server,
        progress("asking the server") as show,
    ):
        return estimate_server(server, first, plan, now, show)


def print_estimate(made: Estimate) -> None:
    """The months, the busiest one in full, and where it stands."""
    from billing.cli.documents import lines_table
    from billing.pricing.money import format_amount

    busiest = made.busiest
    if busiest is None:
        say("No task run in it is over: there is nothing to price.")
        return
    numbers = ("billable", "not billed", "total")
    shown = table("month", *numbers, numbers=numbers)
    for each in made.months:
        total = format_amount(each.document.total, made.version.currency)
        shown.add_row(str(each.month), f"{each.counts.billable:,}", f"{_not_billed(each):,}", total)
    heading("Estimate", f" on plan {made.version.id}")
    console().print(shown)
    heading(f"{busiest.month}", ", the busiest month")
    console().print(lines_table({**busiest.document.to_data(), "currency": made.version.currency}))
    say(f"Not billed: {reasons(busiest.counts.not_billed)}")
    for sentence in where_it_stands(made, busiest):
        say(sentence)


def where_it_stands(made: Estimate, busiest: EstimatedMonth) -> list[str]:
    """Against the free runs, which cover the median Airflow user."""
    billable, free = busiest.counts.billable, made.free
    if free is None:
        return ["On this plan no run is charged."]
    median = f"{free:,} runs a month are free, which covers the median Airflow user"
    if billable <= free:
        share = billable * 100 // free if free else 0
        return [f"{median}: the busiest month uses {share} % of them, and costs nothing."]
    price = f"the next run would cost {busiest.standing.next_price:f} {made.version.currency}"
    return [
        f"{median}: the busiest month has {billable - free:,} more ({billable / free:.1f} times); {price}."
    ]


def _not_billed(each: EstimatedMonth) -> int:
    return sum(each.counts.not_billed.values())
