"""billing audit …"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import AccountFilter, AsJson, read_date
from billing.cli.output import console, fields, note, print_json, say, table
from billing.cli.service import open_service
from metering.period import day_start

group = noun("The audit trail: who changed what, when, from what to what; sealed, entry by entry.")

_SHOWN = 50


@command(group, "list", example="billing audit list --account acme")
def list_(
    account: AccountFilter = None,
    subject: Annotated[str | None, typer.Option(metavar="ID", help="What was changed, by its id.")] = None,
    deed: Annotated[
        str | None, typer.Option(help="What was done: invoice.voided, or all that begins with invoice.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who did it: operator ada, or every operator.")
    ] = None,
    since: Annotated[
        date | None, typer.Option(parser=read_date, metavar="DATE", help="From this day on, UTC.")
    ] = None,
    until: Annotated[
        date | None, typer.Option(parser=read_date, metavar="DATE", help="Before this day, UTC.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = _SHOWN,
    as_json: AsJson = False,
) -> None:
    """List entries of the audit trail, the last first."""
    from billing.audit.reading import entry_data, list_entries
    from billing.repository.audit import Wanted

    begins = None if since is None else day_start(since)
    ends = None if until is None else day_start(until)
    with open_service() as service:
        wanted = Wanted(account, subject, deed, by, begins, ends)
        found = list_entries(service.engine, wanted, limit=limit)
    rows = [entry_data(each) for each in found]
    if as_json:
        print_json(rows)
        return
    if not rows:
        say("None.")
        return
    shown = table("number", "at", "by", "deed", "of", numbers=("number",))
    for row in rows:
        shown.add_row(str(row["number"]), str(row["at"])[:19], str(row["by"]), str(row["deed"]), _of(row))
    console().print(shown)


@command(group, "show", example="billing audit show 17")
def show(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="As shown by: billing audit list")],
    as_json: AsJson = False,
) -> None:
    """Show an entry: what was before, and what is since."""
    from billing.audit.reading import changes, entry_data, show_entry

    with open_service() as service:
        data = entry_data(show_entry(service.engine, number))
    if as_json:
        print_json(data)
        return
    known = {name: data[name] for name in ("number", "at", "by", "request", "deed", "reason", "seal")}
    console().print(
        fields({name: value for name, value in known.items() if value is not None} | {"of": _of(data)})
    )
    for row in changes(data):
        say(row)
    if data["erased"]:
        say("What changed was erased from this entry; that it happened was not.")


def _of(data: dict[str, Any]) -> str:
    if data["subject"]:
        return f"{str(data['kind']).replace('_', ' ')} {data['subject']}"
    return f"{data['subjects'] or 0:,} of kind {str(data['kind']).replace('_', ' ')}"


@command(group, "verify", example="billing audit verify")
def verify(
    seal: Annotated[
        str | None,
        typer.Option(metavar="NUMBER:SHA256", help="That you noted: nothing before it was rewritten since."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every entry's seal, and that accounts, invoices, keys and all else that is audited are as the
    trail says; exit 1 if anything was edited, removed or put in another order behind the service's back. Note
    the seal that it prints somewhere else: with it nobody can rewrite what came before."""
    from billing.audit.verification import verify as verify_trail

    with open_service() as service:
        done = verify_trail(service.engine, seal)
    if as_json:
        print_json(done.to_data())
    else:
        say(f"{done.entries:,} entries, {done.subjects:,} things that they tell of")
        for finding in done.findings:
            say(f"  {finding.says}")
        if done.count > len(done.findings):
            say(f"  … and {done.count - len(done.findings):,} more")
        if done.count:
            say(f"{done.count:,} finding{'s' if done.count > 1 else ''}")
        else:
            say(f"seal {done.entries}:{done.seal}")
    if done.count:
        raise typer.Exit(LOOK)


@command(group, "export", example="billing audit export --out audit.ndjson")
def export(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; by default the standard output.")
    ] = None,
) -> None:
    """Write the whole trail as lines of JSON, for an auditor: docs/audit.md says how to check it without this
    service."""
    from billing.audit.reading import export_lines

    with open_service() as service:
        if out is None:
            for line in export_lines(service.engine):
                sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            return
        with out.open("wb") as file:
            entries = sum(bool(file.write(line)) for line in export_lines(service.engine))
    note(f"{entries:,} entries in {out}")
