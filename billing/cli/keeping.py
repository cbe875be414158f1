"""billing backup, billing prove"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.options import AsJson, MonthFilter
from billing.cli.output import note, print_json, progress, say
from billing.cli.service import open_service


def add_to(app: typer.Typer) -> None:
    command(app, "backup", example="billing backup billing-2026-11-01.db")(backup)
    command(app, "prove", example="billing prove --month 2026-10")(prove)


def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; it can serve as the database.")],
    as_json: AsJson = False,
) -> None:
    """Copy the SQLite database into one file, while it is served. To restore: put the file where
    BILLING_DATABASE_URL points, then billing prove. PostgreSQL is backed up by its own pg_dump."""
    from billing.backup import back_up

    with open_service() as service:
        done = back_up(service.engine, to)
    if as_json:
        print_json(done.to_data())
        return
    say(f"{done.path}: {done.bytes:,} bytes, checked.")
    note("It holds secrets: keep it as you keep the database.")


def prove(
    month: MonthFilter = None,
    seal: Annotated[
        str | None,
        typer.Option(metavar="NUMBER:SHA256", help="Of the audit trail, as you noted it."),
    ] = None,
    counters: Annotated[
        bool, typer.Option("--counters", help="Count all task runs again, one by one, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compute every issued invoice again from its events, and check the audit trail against all that it
    tells of, numbers for gaps, that all that is owed is sent or was, and the record of corrections; exit 1 if
    anything differs. For after a restore, a move or an upgrade."""
    from billing.reporting.everything import prove as prove_all

    with open_service() as service, progress("proving", unit="count") as show:
        done = prove_all(
            service.engine,
            service.store,
            month=month,
            seal=seal,
            counters=counters,
            now=service.now(),
            progress=lambda count: show(count, None),
        )
    if as_json:
        print_json(done.to_data())
    else:
        differing = len(done.differing)
        say(f"{done.invoices:,} invoices computed again from their events, {differing:,} differ")
        if done.drafts:
            say(f"{done.drafts:,} draft{'s' * (done.drafts > 1)}, made anew by the next run")
        for each in done.differing:
            say(f"  {each.id}: {', '.join(difference.field for difference in each.differences)}")
        say(
            f"{done.trail.entries:,} entries of the audit trail, {done.trail.subjects:,} things that they"
            f" tell of, {done.trail.count:,} findings"
        )
        for finding in done.trail.findings:
            say(f"  {finding.says}")
        for finding in done.beside:
            say(f"  {finding.says}")
        say(f"seal {done.trail.entries}:{done.trail.seal}")
    if not done.ok:
        raise typer.Exit(LOOK)
