"""billing downgrade"""

from __future__ import annotations

from typing import Annotated

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.options import AsJson
from billing.cli.output import note, print_json, say
from billing.cli.service import open_service


def add_to(app: typer.Typer) -> None:
    command(app, "downgrade", example="billing downgrade --to 0013")(downgrade)


def downgrade(
    to: Annotated[str, typer.Option(metavar="REVISION", help="Of the older version's schema, such as 0013.")],
    yes: Annotated[bool, typer.Option("--yes", help="Also where something is lost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take the schema back to that of an older version, with what it holds. Stop the service, and make a
    backup, before. Where something would be lost, that is said and nothing is done, unless you add --yes."""
    from billing.downgrade import take_back

    with open_service() as service:
        done = take_back(service.engine, to, now=service.now(), may_lose=yes)
    if as_json:
        print_json(done.to_data())
    else:
        for step in done.steps:
            lost = ", ".join(f"{rows:,} of {name}" for name, rows in step.lost.items())
            say(f"{step.revision}  {step.title}")
            say(f"      {'loses' if not done.done else 'lost'} {lost or 'nothing'}. {step.says}".rstrip())
        if done.done:
            say(f"The schema is that of {done.ends}; start the older version.")
            note("billing init of this version brings it back.")
        else:
            note("Nothing was done. With a backup, and --yes, it is.")
    if not done.done:
        raise typer.Exit(LOOK)
