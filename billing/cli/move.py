"""billing move"""

from __future__ import annotations

from typing import Annotated

import typer

from billing.cli.commands import command
from billing.cli.options import AsJson
from billing.cli.output import note, print_json, progress, say
from billing.cli.service import open_service


def add_to(app: typer.Typer) -> None:
    command(app, "move", example="billing move --to postgresql+psycopg://billing@db1/billing")(move)


def move(
    to: Annotated[
        str,
        typer.Option(
            metavar="URL", envvar="BILLING_MOVE_TO", help="An empty database, as in BILLING_DATABASE_URL."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Move the whole installation to another database: books, invoices, events and keys. Both are compared by
    the count and a digest of every table before anything is switched. Whoever writes meanwhile waits or is
    told to try again; afterwards this database refuses to be written. Stopped, it may be repeated."""
    from billing.moving.copying import move as move_all
    from metering.database import make_engine

    new = make_engine(to)
    with open_service() as service, progress("moving", unit="count") as show:
        moved = move_all(service.engine, new, service.now(), progress=show)
    new.dispose()
    if as_json:
        print_json(moved.to_data())
        return
    say(
        f"{moved.place} has all {sum(moved.rows.values()):,} rows of {len(moved.rows)} tables, equal by count"
        " and digest."
    )
    note("This database refuses to be written from here on. Set BILLING_DATABASE_URL to the new one.")
