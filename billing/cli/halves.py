"""billing sources halves"""

from __future__ import annotations

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.options import AccountFilter, AsJson
from billing.cli.output import console, note, print_json, table
from billing.cli.service import open_service


def add_to(group: typer.Typer) -> None:
    command(group, "halves", example="billing sources halves --account acme")(halves)


def halves(account: AccountFilter = None, as_json: AsJson = False) -> None:
    """List starts of runs without an end, and ends without a start (OpenLineage), the oldest first. A run
    counts once both are here; exit 1 if an end is alone, or a start for more than a day."""
    from billing.halves import alone, half_data, waiting_halves

    with open_service() as service:
        service.store.catch_up(service.now())
        found = [half_data(half) for half in waiting_halves(service.engine, account)]
        starts, ends = alone(service.engine, service.now())
    if as_json:
        print_json(found)
    else:
        rows = table("half", "account", "task run", "at", "workspace", "flow")
        for each in found:
            rows.add_row(
                *(str(each[name]) for name in ("half", "account", "task_run_id", "at", "workspace", "flow"))
            )
        console().print(rows)
    if starts or ends:
        note(
            f"{ends:,} ends without a start, {starts:,} starts without an end for more than a day: hand in "
            "the events that are missing; what has waited for 62 days is dropped"
        )
        raise typer.Exit(LOOK)
