"""billing links …"""

from __future__ import annotations

from typing import Annotated

import typer

from billing.cli.commands import command, noun
from billing.cli.options import AccountArgument, AsJson
from billing.cli.output import note, print_json, say
from billing.cli.service import open_service

group = noun("Links to the customer's pages: to send, or to show in a frame.")


@command(group, "create", example="billing links create acme --hours 24")
def create(
    account: AccountArgument,
    hours: Annotated[int, typer.Option(help="How long it opens the pages; 744 at most.")] = 24,
    as_json: AsJson = False,
) -> None:
    """Make a link to an account's pages. Whoever has it sees that account, and may dispute its task runs. It
    leads to BILLING_PUBLIC_URL."""
    from billing.links import create_link
    from metering.period import format_instant

    with open_service() as service:
        link = create_link(service.engine, account, now=service.now(), hours=hours)
        base = service.settings.public_url
    if as_json:
        print_json(link.to_data(base))
        return
    say(link.url(base))
    note(
        f"It opens the pages of {account} until {format_instant(link.expires_at)}, while billing serve runs."
    )


@command(group, "end", example="billing links end")
def end(as_json: AsJson = False) -> None:
    """End every link that was made, of all accounts."""
    from billing.links import end_links

    with open_service() as service:
        end_links(service.engine, service.now())
    if as_json:
        print_json({"ended": True})
    else:
        say("Every link that was made is refused from now on.")
