"""billing ingest"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.options import AsJson
from billing.cli.output import console, note, print_json, progress, table
from billing.cli.service import open_service

if TYPE_CHECKING:
    from billing.app import Service
    from metering.ingestion import IngestReport

STDIN = "-"
ERRORS_ON_SCREEN = 10

Format = Literal["auto", "task-run", "cloudevents", "prefect", "openlineage", "airflow"]


def add_to(app: typer.Typer) -> None:
    command(app, "ingest", example="billing ingest october.ndjson.gz --account acme")(ingest)


def ingest(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help="JSON or one event a line, plain or gzip; - is stdin."),
    ],
    format: Annotated[
        Format, typer.Option(help="What the events are in; auto tells it from the first.")
    ] = "auto",
    account: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="The account of events that name none (Prefect's and OpenLineage's never do)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Keep and count the task-run events of files. Every event is accepted, a duplicate, ignored (not final)
    or rejected; a broken one never costs the others their place. Repeating it changes nothing."""
    from metering.sources.fields import is_account

    if account is not None and not is_account(account):
        raise typer.BadParameter("--account is 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    _check_readable(files)
    unread = []
    with open_service() as service:
        reports = []
        for name in files:
            report, problem = _ingest_one(service, name, format, account)
            reports.append((name, report))
            if problem:
                unread.append((name, problem))
    if as_json:
        print_json(_data(reports, unread))
    else:
        _print(reports)
    for name, problem in unread:
        note(f"billing: {_shown(name)}: {problem}")
    if unread or any(report.rejected for _, report in reports):
        raise typer.Exit(LOOK)


def _check_readable(files: list[str]) -> None:
    """Nothing is kept of any file if one is not there."""
    for name in files:
        if name != STDIN:
            with Path(name).open("rb"):
                pass


def _ingest_one(
    service: Service, name: str, format: Format, account: str | None
) -> tuple[IngestReport, str | None]:
    from metering.airflow_files import Lines, instances
    from metering.ingestion import IngestReport
    from metering.sources import UndecodableBody
    from metering.streams import ingest_stream

    report = IngestReport()
    size = None if name == STDIN else Path(name).stat().st_size
    with progress(f"reading {_shown(name)}", unit="bytes") as show:

        def read(source: BinaryIO, tell: Callable[[int], None]) -> None:
            ingest_stream(
                service.store,
                Lines(instances(source)) if format == "airflow" else source,  # type: ignore[arg-type]
                report,
                clock=service.now,
                format=format,
                account=account,
                progress=tell,
            )

        try:
            if name == STDIN:
                read(sys.stdin.buffer, lambda done: show(done, None))
            else:
                with Path(name).open("rb") as source:
                    read(source, lambda done: show(done, size))
        except UndecodableBody as error:
            return report, str(error)
    return report, None


def _data(reports: list[tuple[str, IngestReport]], unread: list[tuple[str, str]]) -> dict[str, object]:
    """One report over all files; where there are several, each error says of which file. A file that cannot
    be read at all is an error of its `body`."""
    from metering.ingestion import ERRORS_SHOWN

    counted = ("received", "accepted", "duplicate", "ignored", "rejected")
    data: dict[str, object] = {name: sum(getattr(report, name) for _, report in reports) for name in counted}
    wrong = [(name, 0, "body", problem) for name, problem in unread]
    wrong += [
        (name, each.index, each.field, each.message) for name, report in reports for each in report.errors
    ]
    errors = [
        {"index": index, "field": field, "message": message}
        | ({"file": _shown(name)} if len(reports) > 1 else {})
        for name, index, field, message in wrong
    ]
    return data | {"errors": errors[:ERRORS_SHOWN]}


def _print(reports: list[tuple[str, IngestReport]]) -> None:
    columns = ("received", "accepted", "duplicate", "ignored", "rejected")
    shown = table("file", *columns, numbers=columns)
    for name, report in reports:
        shown.add_row(_shown(name), *(f"{getattr(report, column):,}" for column in columns))
    console().print(shown)
    errors = [(name, error) for name, report in reports for error in report.errors]
    for name, error in errors[:ERRORS_ON_SCREEN]:
        note(f"{_shown(name)}, event {error.index} (from 0), {error.field}: {error.message}")
    more = sum(report.rejected for _, report in reports) - ERRORS_ON_SCREEN
    if more > 0:
        note(f"… and {more:,} more rejected events; --json names the first 100")


def _shown(name: str) -> str:
    return "stdin" if name == STDIN else name
