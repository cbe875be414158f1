"""billing keys …"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from billing.cli.commands import command, noun
from billing.cli.options import AsJson
from billing.cli.output import console, note, print_json, say, table
from billing.cli.service import open_service
from metering.period import format_instant

group = noun("API keys: who may use the HTTP interface, and for what.")

Scope = Literal["ingest", "read", "admin"]


@command(group, "create", example="billing keys create --scope ingest --account acme")
def create(
    scope: Annotated[Scope, typer.Option(help="ingest writes events, read reads, admin does everything.")],
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="Bind it to an account; it sees no other.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and show it, this once; only its digest is kept."""
    from billing.access import create_key

    with open_service() as service:
        made = create_key(service.engine, scope, account, service.now())
    if as_json:
        print_json(made.to_data())
        return
    say(made.secret)
    note(f"Keep the key now: it is not shown again. To revoke it: billing keys revoke {made.key.id}")


@command(group, "list", example="billing keys list")
def list_(as_json: AsJson = False) -> None:
    """List all keys by what may be shown of them."""
    from billing.access import key_data, list_keys

    with open_service() as service:
        found = list_keys(service.engine)
    if as_json:
        print_json([key_data(key) for key in found])
        return
    shown = table("id", "key", "scope", "account", "made", "revoked")
    for key in found:
        revoked = "" if key.revoked_at is None else format_instant(key.revoked_at)[:19]
        shown.add_row(
            key.id,
            f"{key.prefix}…",
            key.scope,
            key.account or "all",
            format_instant(key.created_at)[:19],
            revoked,
        )
    console().print(shown)


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
