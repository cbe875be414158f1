"""billing preview"""

from __future__ import annotations

import typer

from billing.cli.commands import command
from billing.cli.options import AccountArgument, AsJson, OptionalMonth
from billing.cli.output import print_json
from billing.cli.service import open_service
from metering.period import Month


def add_to(app: typer.Typer) -> None:
    command(app, "preview", example="billing preview acme --month 2026-11")(preview)


def preview(account: AccountArgument, month: OptionalMonth = None, as_json: AsJson = False) -> None:
    """Show the invoice that a month would make if it ended now. Nothing is stored, and nothing is sent."""
    from billing.cli.documents import print_document
    from billing.invoices import preview as preview_month

    with open_service() as service:
        data = preview_month(service.engine, service.store, account, month or Month.of(service.now()))
    if as_json:
        print_json(data)
    else:
        print_document(data)
