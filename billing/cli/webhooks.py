"""billing webhooks …"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billing.cli.commands import command, noun
from billing.cli.options import OPERATOR, AccountFilter, AsJson
from billing.cli.output import console, fields, note, print_json, say, table
from billing.cli.service import open_service

group = noun("Webhook endpoints: addresses that are told of what happens.")

Id = Annotated[str, typer.Argument(metavar="ID", help="As shown by: billing webhooks list")]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="TYPE", help="Tell of these types only; may be given again."),
]
Description = Annotated[str | None, typer.Option(help="What it is for, one line.")]


@command(group, "add", example="billing webhooks add https://example.com/hooks --event invoice.paid")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to, by https.")],
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="Tell of this account only: its own endpoint.")
    ] = None,
    event: Events = None,
    description: Description = None,
    as_json: AsJson = False,
) -> None:
    """Register an endpoint and show the secret that signs what it is sent, this once."""
    from billing.notifications.endpoints import add_endpoint

    with open_service() as service:
        made = add_endpoint(
            service.engine,
            url,
            account=account,
            event_types=event or (),
            description=description or "",
            private=service.settings.webhook_private == "on",
            by=OPERATOR,
            now=service.now(),
        )
    _print_secret(made.to_data(), as_json)


@command(group, "list", example="billing webhooks list")
def list_(account: AccountFilter = None, as_json: AsJson = False) -> None:
    """List endpoints, without their secrets."""
    from billing.notifications.endpoints import endpoint_data, list_endpoints

    with open_service() as service:
        found = list_endpoints(service.engine, account=account)
    if as_json:
        print_json([endpoint_data(each) for each in found])
        return
    if not found:
        say("None. To add one: billing webhooks add URL")
        return
    shown = table("id", "account", "url", "events", "status")
    for each in found:
        status = each.status if not each.failures else f"{each.status}, failing"
        shown.add_row(each.id, each.account or "all", each.url, ", ".join(each.event_types) or "all", status)
    console().print(shown)


@command(group, "show", example="billing webhooks show whe_0006407e1f2a")
def show(id: Id, as_json: AsJson = False) -> None:
    """Show an endpoint: what it is told of, and how it stands."""
    from billing.notifications.endpoints import endpoint_data, show_endpoint

    with open_service() as service:
        data = endpoint_data(show_endpoint(service.engine, id))
    _print(data, as_json)


@command(group, "update", example="billing webhooks update whe_0006407e1f2a --event invoice.paid")
def update(
    id: Id,
    url: Annotated[str | None, typer.Option(help="Another address.")] = None,
    event: Events = None,
    all_events: Annotated[bool, typer.Option("--all-events", help="Tell of all types.")] = False,
    description: Description = None,
    as_json: AsJson = False,
) -> None:
    """Change an endpoint's address, the types that it is told of, or its description."""
    if event and all_events:
        raise typer.BadParameter("give either --event or --all-events")
    _update(id, as_json, url=url, event_types=[] if all_events else event, description=description)


@command(group, "enable", example="billing webhooks enable whe_0006407e1f2a")
def enable(id: Id, as_json: AsJson = False) -> None:
    """Tell an endpoint again of what happens. What it missed: billing deliveries resend --endpoint ID."""
    _update(id, as_json, status="enabled")


@command(group, "disable", example="billing webhooks disable whe_0006407e1f2a")
def disable(id: Id, as_json: AsJson = False) -> None:
    """Tell an endpoint nothing until it is enabled again; what waits for it waits on."""
    _update(id, as_json, status="disabled")


@command(group, "rotate-secret", example="billing webhooks rotate-secret whe_0006407e1f2a")
def rotate(id: Id, as_json: AsJson = False) -> None:
    """Make a new secret and show it, this once. For a day the old one signs as well."""
    from billing.notifications.endpoints import rotate_secret

    with open_service() as service:
        made = rotate_secret(service.engine, id, service.now())
    _print_secret(made.to_data(), as_json)


@command(group, "remove", example="billing webhooks remove whe_0006407e1f2a")
def remove(id: Id, as_json: AsJson = False) -> None:
    """Remove an endpoint; its deliveries stay in the log."""
    from billing.notifications.endpoints import remove_endpoint

    with open_service() as service:
        remove_endpoint(service.engine, id, now=service.now())
    if as_json:
        print_json({"id": id, "removed": True})
    else:
        say(f"{id} is told nothing more")


@command(group, "test", example="billing webhooks test whe_0006407e1f2a")
def test(id: Id, as_json: AsJson = False) -> None:
    """Send an endpoint a test now, and show what it answered."""
    from billing.cli.deliveries import print_delivery
    from billing.notifications.endpoints import make_test
    from billing.notifications.setting_up import sender_of

    with open_service() as service:
        sender = sender_of(service)
        delivery = sender.send_one(make_test(service.engine, id, service.now()))
    print_delivery(delivery, as_json)


def _update(id: str, as_json: bool, **changes: Any) -> None:
    from billing.notifications.endpoints import endpoint_data, update_endpoint

    with open_service() as service:
        private = service.settings.webhook_private == "on"
        data = endpoint_data(
            update_endpoint(service.engine, id, private=private, now=service.now(), **changes)
        )
    _print(data, as_json)


def _print(data: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(data)
        return
    why = f": {data['disabled_reason']}" if data["disabled_reason"] else ""
    failing = f", failing since {data['failing_since'][:19]}" if data["failing_since"] else ""
    pairs = {
        "endpoint": data["id"],
        "account": data["account"] or "all",
        "url": data["url"],
        "description": data["description"],
        "events": ", ".join(data["event_types"]) or "all",
        "status": f"{data['status']}{why}{failing}",
    }
    console().print(fields(pairs))


def _print_secret(data: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(data)
        return
    _print(data, as_json)
    say(data["secret"])
    note("Keep the secret now: it is not shown again. It verifies what comes (docs/alerts.md).")
