"""billing events …"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import AsJson, read_month
from billing.cli.output import note, print_json, progress, say
from billing.cli.service import open_service
from metering.period import Month

group = noun("Where task-run events are kept.")


@command(group, "archive", example="billing events archive --before 2026-10 --to archive")
def archive(
    before: Annotated[
        Month, typer.Option(parser=read_month, metavar="MONTH", help="Months before this one, as YYYY-MM.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder; made if it is not there.")],
    as_json: AsJson = False,
) -> None:
    """Write the task runs of issued invoices to Parquet files, one an invoice, and compare each file with its
    invoice: counts by day and outcome, and the run list's SHA-256. Repeated, it writes what is missing.
    Nothing is removed from the database. Exit 1 if the runs of an invoice differ."""
    from billing.reporting.archive import archive as write

    with open_service() as service, progress("archiving") as show:
        done = write(service.engine, service.store, before, to, progress=show)
    if as_json:
        print_json(done.to_data())
    else:
        say(
            f"{done.written:,} invoices with {done.runs:,} task runs written to {to}, {done.bytes:,} bytes;"
            f" {done.kept:,} were there."
        )
        for number in done.differing:
            note(f"{number}: its runs are not what it says; see: billing invoices verify {number}")
    if done.differing:
        raise typer.Exit(LOOK)


@command(group, "copy", example="billing events copy --to clickhouse://billing:secret@ch1:8123/meter")
def copy(
    to: Annotated[
        str,
        typer.Option(
            metavar="URL", envvar="BILLING_EVENTS_COPY_TO", help="A ClickHouse, as in BILLING_EVENTS_URL."
        ),
    ],
    switch: Annotated[
        bool,
        typer.Option("--switch", help="The last pass: from here on the database takes no events itself."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the events of the database to ClickHouse, with their positions, and compare the counts of every
    account, day and outcome. It may be stopped and repeated, and done while the service runs: each pass
    copies what came since. The last one, with --switch, is followed by a restart with BILLING_EVENTS_URL."""
    from metering.store.clickhouse.address import parse_address
    from metering.store.clickhouse.copying import copy_events
    from metering.store.clickhouse.errors import CopyRefused
    from metering.store.sql import SqlEventStore

    address = parse_address(to)
    with open_service() as service:
        if not isinstance(service.store, SqlEventStore):
            raise CopyRefused("the events are in ClickHouse already; there is nothing to copy")
        done = 0
        with progress("copying", unit="events") as show:

            def tell(copied: int) -> None:
                nonlocal done
                done += copied
                show(done, None)

            report = copy_events(service.engine, address, switch=switch, progress=tell)
    if as_json:
        print_json(report.to_data())
        return
    say(
        f"{report.place} has all events up to position {report.position:,}: {report.runs:,} task runs of"
        f" {report.accounts:,} accounts, equal by account, day and outcome."
    )
    if report.complete:
        note("The database takes no events any more. Start the service with BILLING_EVENTS_URL set to it.")
    else:
        note("Repeat this to copy what comes meanwhile; the last time with --switch.")
