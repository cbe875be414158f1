"""billing operators …"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from billing.cli.commands import command, noun
from billing.cli.options import OPERATOR, AsJson
from billing.cli.output import console, note, print_json, say, table
from billing.cli.service import open_service
from metering.period import format_instant

group = noun("Operators: who may sign in to the console, and who is.")

Role = Literal["viewer", "finance", "admin"]


@command(group, "link", example="billing operators link ada --role finance")
def link(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for, as it is recorded.")],
    role: Annotated[
        Role,
        typer.Option(
            help="viewer reads; finance also closes months, approves, answers disputes and sends again; "
            "admin also does keys, plans, links and sessions."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Make a link to the console. It works once, within ten minutes, and opens a session of ten hours. It
    leads to BILLING_PUBLIC_URL."""
    from billing.operators import make_link

    with open_service() as service:
        made = make_link(service.engine, name, role, by=OPERATOR, now=service.now())
        base = service.settings.public_url
    if as_json:
        print_json(made.to_data(base))
        return
    say(made.url(base))
    note(f"It signs in {name} as {role}, once, until {format_instant(made.session.link_expires_at)[:19]}Z.")


@command(group, "list", example="billing operators list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Those that ended and expired, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List sessions, and links that were not used yet, the newest first."""
    from billing.operators import list_sessions, session_data, state_of

    with open_service() as service:
        now = service.now()
        found = list_sessions(service.engine, now, every=every)
    if as_json:
        print_json([session_data(each, now) for each in found])
        return
    if not found:
        say("Nobody is signed in. To sign in: billing operators link NAME --role ROLE")
        return
    shown = table("id", "name", "role", "state", "until")
    for each in found:
        until = each.link_expires_at if each.expires_at is None else each.expires_at
        shown.add_row(each.id, each.name, each.role, state_of(each, now), format_instant(until)[:19])
    console().print(shown)


@command(group, "end", example="billing operators end ops_0006407e1f2a")
def end(
    id: Annotated[
        str | None, typer.Argument(metavar="ID", help="As shown by: billing operators list")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All sessions and links.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a session, or withdraw a link that was not used; or all of them."""
    from billing.errors import Invalid
    from billing.operators import end_session, end_sessions

    if (id is None) != every:
        raise Invalid("name the session to end, or say --all", field="id")
    with open_service() as service:
        if id is None:
            ended = end_sessions(service.engine, service.now())
        else:
            end_session(service.engine, id, service.now())
            ended = 1
    if as_json:
        print_json({"ended": ended})
    else:
        say(f"{'All sessions are' if id is None else f'{id} is'} refused from now on.")
