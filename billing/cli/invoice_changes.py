"""billing invoices void | credit-note | approve: what changes an invoice, or what is owed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.invoices import Id
from billing.cli.options import AsJson, read_month
from billing.cli.output import console, note, print_json, say
from billing.cli.service import open_service
from metering.period import Month

if TYPE_CHECKING:
    from billing.app import Service
    from billing.repository.invoices import Invoice

Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the document.")]


def add_to(group: typer.Typer) -> None:
    command(group, "void", example='billing invoices void 2026-10-000001 --reason "wrong plan"')(void)
    command(
        group,
        "credit-note",
        example='billing invoices credit-note 2026-10-000001 20.00 --kind goodwill --reason "outage"',
    )(credit_note)
    command(group, "approve", example="billing invoices approve --month 2026-10")(approve)


def void(id: Id, reason: Reason, as_json: AsJson = False) -> None:
    """Void an invoice, at Stripe and here. Credit that it used is given back, and its month can be billed
    again: billing run MONTH. One that is paid takes a credit note instead."""
    from billing.audit.actor import OPERATOR
    from billing.voids import void_invoice

    with open_service() as service:
        asked = void_invoice(service.engine, id, reason, by=OPERATOR, now=service.now())
        problems = service.send_invoice(asked.id).problems
        data = _data(service, asked.id)
        connected = service.gateway is not None
    if as_json:
        print_json(data)
    elif data["status"] == "void":
        say(f"Invoice {data['number']} is void; {_again(asked)}")
    elif data["voiding"] and data["voiding"]["status"] == "pending":
        say(f"Invoice {data['number']} is {data['status']}, and void once Stripe has voided it.")
    else:
        say(f"Invoice {data['number']} is {data['status']}.")
    if data["status"] != "void" and not connected:
        note("Stripe is not configured: set BILLING_STRIPE_API_KEY, then start the command again")
    _tell(problems)


def credit_note(
    id: Id,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In major units: 20.00")],
    kind: Annotated[
        str,
        typer.Option(
            metavar="usage|goodwill", help="Whether less was billed for the month, or this is a gift."
        ),
    ],
    reason: Reason,
    stripe_note: Annotated[
        str | None,
        typer.Option(metavar="cn_…", help="Given at Stripe by hand already: only booked here."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Reduce an issued invoice. At Stripe less is due then; what was paid already becomes account credit, for
    invoices to come."""
    from billing.audit.actor import OPERATOR
    from billing.cli.proposals import tell
    from billing.credit_notes import show_credit_note, warning
    from billing.proposals import Proposal, perform
    from billing.proposals.deeds import CREDIT_NOTE

    with open_service() as service:
        asked = {
            "invoice": id,
            "amount": amount,
            "kind": kind,
            "reason": reason,
            "stripe_note": stripe_note,
        }
        done = perform(service, CREDIT_NOTE, asked, by=OPERATOR)
        if isinstance(done, Proposal):
            tell(service, done, as_json)
            return
        made, delivery = done
        problems = delivery.problems
        data = show_credit_note(service.engine, made.id)
        currency = _data(service, made.invoice_id)["currency"]
        warned = warning(service.engine, made)
    if as_json:
        print_json(data)
    else:
        from billing.cli.documents import credit_note_line

        say(credit_note_line(data, currency))
    if warned is not None:
        note(f"note: {warned}")
    _tell(problems)


def approve(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The draft's id.")] = None,
    month: Annotated[
        Month | None,
        typer.Option("--month", parser=read_month, metavar="MONTH", help="All drafts of a month."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Issue a draft of `billing run MONTH --early` exactly as it was reviewed, and send it. Refused if it was
    drafted before the month was over, or would have other lines now."""
    from billing.audit.actor import OPERATOR
    from billing.cli.run import invoice_table
    from billing.errors import Invalid

    if (id is None) == (month is None):
        raise Invalid("name one draft by its ID, or all drafts of a month with --month", field="id")
    with open_service() as service:
        if month is not None:
            done = service.approve_month(month, by=OPERATOR)
        else:
            assert id is not None
            done = service.approve(id, by=OPERATOR)
    if as_json:
        print_json(done.to_data())
    elif done.approved:
        console().print(invoice_table(done.approved))
    for account, message in done.failed:
        note(f"failed: {account}: {message}")
    if done.failed:
        raise typer.Exit(LOOK)


def _again(invoice: Invoice) -> str:
    """How what a void invoice billed is billed again."""
    if invoice.kind == "contract":
        return "what is due is issued again with: billing contracts invoice"
    return f"bill the month again with: billing run {invoice.month}"


def _data(service: Service, invoice_id: str) -> dict[str, Any]:
    from billing.invoices import invoice_data, show_invoice

    return invoice_data(service.engine, show_invoice(service.engine, invoice_id), service.now())


def _tell(problems: dict[str, str]) -> None:
    """What is in the way at Stripe is something to look at."""
    for message in problems.values():
        note(message)
    if problems:
        raise typer.Exit(LOOK)
