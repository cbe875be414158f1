"""billing run"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.options import AsJson, MonthArgument
from billing.cli.output import console, fields, note, print_json_rows, progress, table
from billing.cli.service import open_service
from metering.period import format_instant

if TYPE_CHECKING:
    from rich.table import Table

    from billing.repository.invoices import Invoice
    from billing.run_report import RunReport


# Rows of a table.
_ROWS = 500


def add_to(app: typer.Typer) -> None:
    command(app, "run", example="billing run 2026-10")(run)


def run(
    month: MonthArgument,
    account: Annotated[str | None, typer.Option(metavar="ID", help="Bill this account only.")] = None,
    early: Annotated[
        bool, typer.Option("--early", help="Before the month is over: drafts, which are not sent.")
    ] = False,
    no_send: Annotated[bool, typer.Option("--no-send", help="Finalize only; a later run sends.")] = False,
    bill_incomplete: Annotated[
        bool,
        typer.Option(
            "--bill-incomplete", help="Also accounts whose sources are not complete to the month's end."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bill a month: one invoice an account, finalized, then sent through Stripe. Safe to repeat and to
    interrupt: what is done is skipped, what is not is taken up. An account of which a source is not complete
    to the month's end is left as a draft."""
    with open_service() as service:
        with progress(f"billing {month}") as billing, progress(f"sending {month}") as sending:
            report = service.run_month(
                month,
                account=account,
                early=early,
                send=not no_send,
                bill_incomplete=bill_incomplete,
                progress=billing,
                sending=sending,
            )
        connected = service.gateway is not None
        if as_json:
            print_json_rows(report.rows(), of=report.figures(), name="invoices")
        else:
            print_report(report)
        _print_notes(report, waiting=not (connected or early or no_send))
    if report.failed or report.only_drafts:
        raise typer.Exit(LOOK)


def print_report(report: RunReport) -> None:
    """What a run did, and the invoices of its month."""
    at = "no events yet" if report.cutoff_at is None else f"{format_instant(report.cutoff_at)[:19]}Z"
    made: dict[str, object] = {"drafted": report.drafted} if report.drafted else {}
    if report.finalized or not report.drafted:
        made |= {"finalized": report.finalized, "sent": report.sent}
    pairs = {
        "month": report.month,
        "cutoff": f"{at} (commit {report.cutoff:,})",
        **made,
        "skipped": f"{report.skipped} (invoiced before, or without task runs)" if report.skipped else 0,
        "failed": len(report.failed),
        "unassigned": len(report.unassigned),
    }
    console().print(fields(pairs))
    print_invoices(report.invoices)


def print_invoices(invoices: Iterable[Invoice]) -> bool:
    """As tables of so many rows that few invoices are in memory at once. False if there are none."""
    rest = iter(invoices)
    printed = False
    while page := list(islice(rest, _ROWS)):
        console().print(invoice_table(page))
        printed = True
    return printed


def invoice_table(invoices: list[Invoice]) -> Table:
    """A row an invoice, of no more columns than a terminal of 80 characters can show."""
    from billing.pricing.money import format_amount

    numbers = ("billable", "not billed", "total")
    shown = table("invoice", "account", "status", *numbers, numbers=numbers)
    for each in sorted(invoices, key=lambda each: (each.month, each.number or "", each.id)):
        shown.add_row(
            each.number or each.id,
            each.account,
            each.status,
            f"{each.billable:,}",
            f"{sum(each.not_billed.values()):,}",
            format_amount(each.total, each.currency),
        )
    return shown


def _print_notes(report: RunReport, *, waiting: bool) -> None:
    for account, message in report.failed:
        note(f"failed: {account}: {message}")
    for each in report.incomplete:
        known = "not known to be complete"
        if each.complete_to is not None:
            known = f"complete to {format_instant(each.complete_to)[:19]}Z, not to the month's end"
        kept = "not billed until it is" if each.account in report.only_drafts else "billed all the same"
        note(f"incomplete: {each.account}: source {each.source} is {known}; {kept}")
    if report.only_drafts:
        note("See billing sources list; to bill them all the same: --bill-incomplete, or approve the drafts")
    for account, billable in report.unassigned:
        note(
            f"unassigned: {account} has {billable:,} billable task runs and no account; "
            f"add it with: billing accounts add {account} --billing-from {report.month}"
        )
    if waiting and any(each.status == "finalized" for each in report.invoices):
        note("Stripe is not configured: invoices stay finalized; set BILLING_STRIPE_API_KEY and run again")
