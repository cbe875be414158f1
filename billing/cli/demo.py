"""billing demo"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from billing.cli.commands import command
from billing.cli.options import AsJson


def add_to(app: typer.Typer) -> None:
    command(app, "demo", example="billing demo")(demo)


def demo(
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Where its database goes; made anew each time.")
    ] = Path("billing-demo"),
    as_json: AsJson = False,
) -> None:
    """Show the whole service at work, on a database of its own: a real capture and a month of synthetic task
    runs are metered, priced, invoiced through the bundled Stripe sandbox, and paid. Without a key or a
    network, in some seconds."""
    from billing.cli.output import print_json
    from billing.demo.story import tell

    result = tell(folder, quiet=as_json)
    if as_json:
        print_json(result)
