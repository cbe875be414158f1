"""billing accounts erase"""

from __future__ import annotations

from typing import Annotated

import typer

from billing.cli.commands import command
from billing.cli.options import OPERATOR, AccountArgument, AsJson, Reason
from billing.cli.output import note, print_json, say
from billing.cli.service import open_service


def add_to(group: typer.Typer) -> None:
    example = "billing accounts erase acme --yes --reason 'asked for on 2 November'"
    command(group, "erase", example=example)(erase)


def erase(
    id: AccountArgument,
    retain_years: Annotated[
        int,
        typer.Option(
            metavar="YEARS",
            help="For how many years after that of its issue an invoice keeps its addressee; 0: none.",
        ),
    ] = 10,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else it is said what would be.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a closed account's personal data: names, addresses, what was written in disputes, who was told,
    names of workspaces and flows. Invoices can be proved as before. There is no way back."""
    from billing.erasure import erase

    with open_service() as service:
        found = erase(
            service.engine,
            service.store,
            id,
            now=service.now(),
            retain_years=retain_years,
            reason=reason,
            by=OPERATOR,
            dry_run=not yes,
        )
    if as_json:
        print_json(found.to_data())
    else:
        verb = "was erased" if yes else "would be erased"
        what = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in found.counts.items())
        say(f"Of {id} {verb}: the account's name and addresses; {what}.")
        if found.kept:
            some = f"{', '.join(found.kept[:5])}{', …' if len(found.kept) > 5 else ''}"
            say(f"{len(found.kept)} invoices keep their addressee until {found.kept_until}: {some}.")
            note("The same command erases it then.")
        for column, rows in found.left.items():
            note(f"It still stands in {rows} row(s) of {column}.")
        for each in found.elsewhere:
            note(f"Not in this database: {each}.")
    if not yes:
        note("Nothing was erased; to do it, add --yes.")
    if not yes or found.left:
        raise typer.Exit(1)
