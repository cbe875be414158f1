"""billing init"""

from __future__ import annotations

from typing import Annotated

import typer

from billing.cli.commands import command
from billing.cli.options import AsJson
from billing.cli.output import note, print_json, say
from billing.cli.service import open_service


def add_to(app: typer.Typer) -> None:
    command(app, "init", example="billing init")(init)


def init(
    no_key: Annotated[
        bool, typer.Option("--no-key", help="Make no key: for scripts whose output is kept in a log.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create or upgrade the database's schema and load the catalogue. The first time it prints an admin API
    key, this once. Safe to repeat."""
    with open_service(schema=False) as service:
        first = service.init(with_key=not no_key)
        database = service.engine.url.render_as_string(hide_password=True)
    if as_json:
        print_json({"database": database, "admin_key": None if first is None else first.to_data()})
        return
    say(f"The schema and the catalogue of {database} are up to date.")
    if first is not None:
        say(f"Admin API key: {first.secret}")
        note("Keep the key now: it is not shown again. More: billing keys create --scope ingest")
