"""billing deliveries …"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import AccountFilter, AsJson
from billing.cli.output import console, fields, print_json, say, table
from billing.cli.service import open_service
from metering.period import format_instant

if TYPE_CHECKING:
    from billing.repository.notifications import Delivery

group = noun("Deliveries: what was sent by webhook and by mail, and what is on its way.")

Id = Annotated[str, typer.Argument(metavar="ID", help="As shown by: billing deliveries list")]
OfEndpoint = Annotated[str | None, typer.Option("--endpoint", metavar="ID", help="Of this endpoint only.")]


@command(group, "list", example="billing deliveries list --status failed")
def list_(
    endpoint: OfEndpoint = None,
    account: AccountFilter = None,
    status: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries of the last 90 days, oldest first."""
    from billing.notifications.log import delivery_data, list_deliveries
    from billing.repository.notifications import Wanted

    with open_service() as service:
        found = list_deliveries(service.engine, Wanted(endpoint, account, status))
    if as_json:
        print_json([delivery_data(each) for each in found])
        return
    shown = table("id", "event", "to", "status", "attempts", "last answer", numbers=("attempts",))
    for each in found:
        answer = each.error or (str(each.response_status) if each.response_status else "")
        shown.add_row(each.id, each.type, each.target, each.status, str(each.attempts), answer)
    console().print(shown)


@command(group, "show", example="billing deliveries show dlv_0006407e1f2a")
def show(id: Id, as_json: AsJson = False) -> None:
    """Show a delivery: what was sent, when it is tried again, and the beginning of the last answer."""
    from billing.notifications.log import delivery_shown

    with open_service() as service:
        data = delivery_shown(service.engine, id)
    if as_json:
        print_json(data)
        return
    console().print(fields({name: "" if value is None else value for name, value in data.items()}))


@command(group, "resend", example="billing deliveries resend dlv_0006407e1f2a")
def resend(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID…]", help="Deliveries to send again.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="ID", help="All that this endpoint was not told.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send deliveries again now, with the same ids, whether they were taken or not."""
    if bool(ids) == (endpoint is not None):
        raise typer.BadParameter("give the ids of deliveries, or --endpoint")
    from billing.notifications.log import delivery_data
    from billing.notifications.sending import resend, resend_failed
    from billing.notifications.setting_up import sender_of

    with open_service() as service:
        sender = sender_of(service)
        if endpoint is not None:
            again = resend_failed(service.engine, endpoint, service.now())
            sent = sender.send_due()
        else:
            asked = [resend(service.engine, each, service.now()).id for each in ids or ()]
            found = [sender.send_one(each) for each in asked]
    if endpoint is not None:
        _print_sent(sent["delivered"], sent["pending"], sent["failed"], as_json, again=again)
        return
    if as_json:
        print_json([delivery_data(each) for each in found])
    else:
        for each in found:
            say(f"{each.id}: {_outcome(each)}")
    if any(each.status != "delivered" for each in found):
        raise typer.Exit(LOOK)


@command(group, "send", example="billing deliveries send")
def send(as_json: AsJson = False) -> None:
    """Deliver what is due now, as the schedule does every minute."""
    from billing.notifications.setting_up import sender_of

    with open_service() as service:
        sent = sender_of(service).send_due()
    _print_sent(sent["delivered"], sent["pending"], sent["failed"], as_json)


def print_delivery(delivery: Delivery, as_json: bool) -> None:
    """What came of one attempt; exits with 1 where it was not taken."""
    from billing.notifications.log import delivery_data

    if as_json:
        print_json(delivery_data(delivery))
    else:
        say(f"{delivery.id}: {_outcome(delivery)}")
    if delivery.status != "delivered":
        raise typer.Exit(LOOK)


def _outcome(delivery: Delivery) -> str:
    if delivery.status == "delivered":
        return f"delivered, answered {delivery.response_status}"
    later = ""
    if delivery.status == "pending":
        later = f"; it is tried again at {format_instant(delivery.next_attempt_at)[:19]}"
    return f"{delivery.error}{later}"


def _print_sent(delivered: int, pending: int, failed: int, as_json: bool, **more: int) -> None:
    if as_json:
        print_json({**more, "delivered": delivered, "pending": pending, "failed": failed})
    else:
        say(f"{delivered:,} delivered, {pending:,} to be tried again, {failed:,} given up")
    if pending or failed:
        raise typer.Exit(LOOK)
