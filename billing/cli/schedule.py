"""billing schedule"""

from __future__ import annotations

import typer

from billing.cli.commands import command
from billing.cli.options import AsJson
from billing.cli.output import console, note, print_json, table
from billing.cli.service import open_service


def add_to(app: typer.Typer) -> None:
    command(app, "schedule", example="billing schedule")(schedule)


def schedule(as_json: AsJson = False) -> None:
    """Show what the service does by itself, and when next. It acts while `billing serve` runs with
    BILLING_SCHEDULE=on."""
    from billing.jobs import schedule_data

    with open_service() as service:
        jobs = schedule_data(service)
        on = service.settings.schedule == "on"
    if as_json:
        print_json(jobs)
        return
    rows = table("job", "next", "done through", "finished at")
    for job in jobs:
        rows.add_row(*(str(job[key] or "") for key in ("job", "next", "done_through", "finished_at")))
    console().print(rows)
    if not on:
        note("The schedule is off: set BILLING_SCHEDULE=on for billing serve.")
