"""billing invoices …; those that change something are in `billing/cli/invoice_changes.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import AccountFilter, AsJson, MonthFilter
from billing.cli.output import console, heading, note, print_json, print_json_rows, say, table
from billing.cli.service import open_service

group = noun("Invoices: list, show, prove, approve, void and credit them.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The invoice's number, 2026-10-000001, or its id.")]


@command(group, "list", example="billing invoices list --month 2026-10 --status open")
def list_(
    account: AccountFilter = None,
    month: MonthFilter = None,
    status: Annotated[
        str | None, typer.Option(help="draft, finalized, open, paid, void or uncollectible.")
    ] = None,
    failing: Annotated[
        bool, typer.Option("--failing", help="Those that are not collected as they should be, and why.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List invoices, oldest first."""
    from billing.cli.run import print_invoices
    from billing.invoices import each_invoice, failing_invoices, invoice_summary

    if failing:
        if month is not None or status is not None:
            raise typer.BadParameter("--failing lists all months and states; leave out --month and --status")
        with open_service() as service:
            _show_failing(failing_invoices(service.engine, service.now(), account=account), as_json)
        return
    with open_service() as service:
        found = each_invoice(service.engine, account=account, month=month, status=status)
        if as_json:
            print_json_rows(invoice_summary(invoice) for invoice in found)
        elif not print_invoices(found):
            say("No such invoices; they are made by: billing run MONTH")


def _show_failing(found: list[dict[str, Any]], as_json: bool) -> None:
    from billing.cli.documents import collection_line

    if as_json:
        print_json(found)
    elif not found:
        say("None: no payment of an open invoice failed, and none is past due.")
    else:
        shown = table("invoice", "account", "collection")
        for each in found:
            line = collection_line(each["collection"], each["currency"])
            shown.add_row(each["number"], each["account"], line)
        console().print(shown)


@command(group, "show", example="billing invoices show 2026-10-000001")
def show(id: Id, as_json: AsJson = False) -> None:
    """Show an invoice: its lines, what was not billed and why, its cutoff, and how to check its quantity."""
    from billing.cli.documents import print_document
    from billing.invoices import invoice_data, show_invoice

    with open_service() as service:
        data = invoice_data(service.engine, show_invoice(service.engine, id), service.now())
    if as_json:
        print_json(data)
    else:
        print_document(data)


@command(group, "verify", example="billing invoices verify 2026-10-000001")
def verify(id: Id, as_json: AsJson = False) -> None:
    """Recompute an invoice from the stored events as of its cutoff; exit 1 if anything differs."""
    from billing.reporting.proof import verify as recompute

    with open_service() as service:
        result = recompute(service.engine, service.store, id)
    if as_json:
        print_json(result.to_data())
    elif result.ok:
        say(f"{id}: ok, recomputed from its events, and nothing differs")
    else:
        heading(id, " differs from its events")
        for each in result.differences:
            say(f"  {each.field}: stored {_short(each.stored)}, recomputed {_short(each.recomputed)}")
        say(f"In full: billing invoices verify {id} --json")
    if not result.ok:
        raise typer.Exit(LOOK)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 70 else f"{text[:67]}…"


@command(group, "runs", example="billing invoices runs 2026-10-000001 | sha256sum")
def runs(
    id: Id,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file instead of stdout.")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Read them from the files of billing events archive.")
    ] = None,
) -> None:
    """Write the CSV of every billed task run of an invoice, exactly as its SHA-256 was taken: one line a run
    after a header line."""
    from billing.invoices import show_invoice
    from billing.reporting.archive import archived_run_list
    from billing.reporting.proof import invoice_run_list

    with open_service() as service:
        if archive is None:
            lines = invoice_run_list(service.engine, service.store, id)
        else:
            lines = archived_run_list(show_invoice(service.engine, id), archive)
        if output is None:
            sys.stdout.flush()
            sys.stdout.buffer.writelines(lines)
            sys.stdout.buffer.flush()
            return
        with output.open("wb") as file:
            file.writelines(lines)
    note(f"wrote {output}")


@command(group, "pdf", example="billing invoices pdf 2026-10-000001 -o october.pdf")
def pdf(
    id: Id,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="By default the number, in this folder; - is stdout."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write an invoice as a PDF, as it stands now: lines, brackets, what was not billed, the tax that Stripe
    added, what was paid. Who it is from is in BILLING_SELLER_NAME and its fellows."""
    from billing.reporting.invoice_pdf import invoice_pdf

    with open_service() as service:
        made = invoice_pdf(service.engine, service.settings, id, service.now())
    if str(output) == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(made.content)
        sys.stdout.buffer.flush()
        return
    place = output or Path(made.name)
    place.write_bytes(made.content)
    if as_json:
        print_json({"file": str(place), "bytes": len(made.content), "missing": made.missing})
    else:
        say(f"wrote {place}, {len(made.content):,} bytes")
    if not made.seller.name:
        note("It names no seller; set BILLING_SELLER_NAME, and BILLING_SELLER_ADDRESS.")
    if made.missing is not None:
        note(
            f"No font here has {made.missing!r}, which is a box in it; install one, such as Debian's "
            "fonts-noto-core or fonts-noto-cjk, and write it again."
        )
        raise typer.Exit(LOOK)
