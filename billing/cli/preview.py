"""billing preview"""

from __future__ import annotations

from typing import Annotated

import typer

from billing.cli.commands import command
from billing.cli.explain import Line, tell
from billing.cli.options import AccountArgument, AsJson, OptionalMonth
from billing.cli.output import print_json
from billing.cli.service import open_service
from metering.period import Month


def add_to(app: typer.Typer) -> None:
    command(app, "preview", example="billing preview acme --month 2026-11")(preview)


def preview(
    account: AccountArgument,
    month: OptionalMonth = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="How each line comes about, and what changed.")
    ] = False,
    line: Line = None,
    as_json: AsJson = False,
) -> None:
    """Show the invoice that a month would make if it ended now. Nothing is stored, and nothing is sent."""
    from billing.cli.documents import print_document
    from billing.explaining.operation import explain_preview
    from billing.invoices import preview as preview_month

    if line is not None and not explain:
        raise typer.BadParameter("--line goes with --explain")
    with open_service() as service:
        wanted = month or Month.of(service.now())
        if explain:
            explained = explain_preview(service.engine, service.store, account, wanted)
        else:
            data = preview_month(service.engine, service.store, account, wanted)
    if explain:
        tell(explained, line, as_json=as_json)
    elif as_json:
        print_json(data)
    else:
        print_document(data)
