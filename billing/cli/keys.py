"""billing keys …"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from billing.cli.commands import command, noun
from billing.cli.options import AsJson
from billing.cli.output import console, note, print_json, say, table
from billing.cli.service import open_service
from metering.period import format_instant

Expires = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="When it ends: 2027-01-01, an instant, or 90d from now."),
]

group = noun("API keys: who may use the HTTP interface, and for what.")

Scope = Literal["ingest", "read", "admin"]


@command(group, "create", example="billing keys create --scope ingest --account acme")
def create(
    scope: Annotated[Scope, typer.Option(help="ingest writes events, read reads, admin does everything.")],
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="Bind it to an account; it sees no other.")
    ] = None,
    expires: Expires = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and show it, this once; only its digest is kept."""
    from billing.access import create_key, read_end

    with open_service() as service:
        now = service.now()
        made = create_key(service.engine, scope, account, now, expires=read_end(expires, now))
    if as_json:
        print_json(made.to_data())
        return
    say(made.secret)
    note(f"Keep the key now: it is not shown again. To revoke it: billing keys revoke {made.key.id}")


@command(group, "list", example="billing keys list")
def list_(as_json: AsJson = False) -> None:
    """List all keys by what may be shown of them."""
    from billing.access import key_data, list_keys, state_of

    with open_service() as service:
        found = list_keys(service.engine)
        now = service.now()
    if as_json:
        print_json([key_data(key) for key in found])
        return
    shown = table("id", "key", "scope", "account", "made", "last used", "ends", "state")
    for key in found:
        state: str = state_of(key, now)
        if state == "live" and key.replaced_by is not None:
            state = f"live, replaced by {key.replaced_by}"
        shown.add_row(
            key.id,
            f"{key.prefix}…",
            key.scope,
            key.account or "all",
            _at(key.created_at),
            _at(key.last_used_at),
            _at(key.expires_at if key.revoked_at is None else key.revoked_at),
            state,
        )
    console().print(shown)


def _at(instant: int | None) -> str:
    return "" if instant is None else format_instant(instant)[:19]


@command(group, "rotate", example="billing keys rotate key_0006407e1f2a --overlap 24h")
def rotate(
    id: Annotated[str, typer.Argument(metavar="KEY", help="Its id, as shown by: billing keys list")],
    overlap: Annotated[
        str, typer.Option(metavar="TIME", help="How long the old key lasts beside the new one.")
    ] = "24h",
    expires: Expires = None,
    as_json: AsJson = False,
) -> None:
    """Put a new key in the place of one, with the same scope and account, and show it, this once. The old one
    goes on for the overlap and then ends by itself."""
    from billing.access import key_data, read_end, read_overlap, rotate_key

    with open_service() as service:
        now = service.now()
        made, old = rotate_key(
            service.engine, id, now, overlap=read_overlap(overlap), expires=read_end(expires, now)
        )
    if as_json:
        print_json(made.to_data() | {"replaces": key_data(old)})
        return
    say(made.secret)
    assert old.expires_at is not None
    note(f"Keep the key now: it is not shown again. {id} ends at {format_instant(old.expires_at)}.")


@command(group, "revoke", example="billing keys revoke key_0006407e1f2a")
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="As shown by: billing keys list")],
    as_json: AsJson = False,
) -> None:
    """Refuse a key from now on."""
    from billing.access import key_data, list_keys, revoke_key

    with open_service() as service:
        revoke_key(service.engine, id, service.now())
        revoked = next(key for key in list_keys(service.engine) if key.id == id)
    if as_json:
        print_json(key_data(revoked))
    else:
        say(f"{id} is refused from now on")
