"""billing proposals …"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import AsJson
from billing.cli.output import console, fields, note, print_json, say, table
from billing.cli.service import open_service
from metering.period import format_instant

if TYPE_CHECKING:
    from billing.app import Service
    from billing.repository.proposals import Proposal

group = noun("Proposals: changes that take two persons, which one asked for and another approves.")

Id = Annotated[str, typer.Argument(metavar="ID", help="As shown by: billing proposals list")]
# Of a long request the beginning is shown.
_SHOWN = 2_000


def tell(service: Service, made: Proposal, as_json: bool) -> None:
    """What a command says whose deed waits for somebody else; it ends there, with something to look at."""
    from billing.proposals.operation import proposal_data

    if as_json:
        print_json(proposal_data(made, service.now()))
    else:
        say(f"Not done yet: {made.summary}")
        until = format_instant(made.expires_at)[:19]
        note(f"It takes two persons. Another approves it until {until}Z: billing proposals approve {made.id}")
    raise typer.Exit(LOOK)


@command(group, "list", example="billing proposals list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Those that were decided or expired, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List proposals that wait for somebody to approve them, the newest first."""
    from billing.proposals.operation import list_proposals, proposal_summary, state_of

    with open_service() as service:
        now = service.now()
        found = list_proposals(service.engine, now, every=every)
    if as_json:
        print_json([proposal_summary(each, now) for each in found])
        return
    if not found:
        say("Nothing waits for anybody.")
        return
    shown = table("id", "state", "asked by", "until", "what")
    for each in found:
        until = format_instant(each.expires_at)[:19]
        shown.add_row(each.id, state_of(each, now), each.asked_by, until, each.summary)
    console().print(shown)


@command(group, "show", example="billing proposals show prp_0006407e1f2a")
def show(id: Id, as_json: AsJson = False) -> None:
    """Show a proposal: what is asked for, word by word, by whom, and what came of it."""
    from billing.proposals.operation import show_proposal

    with open_service() as service:
        _print(service, show_proposal(service.engine, id), as_json)


@command(group, "approve", example="billing proposals approve prp_0006407e1f2a")
def approve(
    id: Id,
    sha256: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="Of the request that you looked at.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Approve a proposal, and do exactly what was asked for, in the name of who asked. Whoever asked does not
    approve."""
    from billing.proposals.operation import approve as approve_it

    with open_service() as service:
        done = approve_it(service, id, sha256_seen=sha256)
        _print(service, done, as_json)
    if done.outcome != "done":
        raise typer.Exit(LOOK)


@command(group, "refuse", example='billing proposals refuse prp_0006407e1f2a --reason "twice too much"')
def refuse(
    id: Id,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; who asked reads it.")],
    as_json: AsJson = False,
) -> None:
    """Refuse a proposal. Who asked may do so as well, and so takes it back."""
    from billing.proposals.operation import refuse as refuse_it

    with open_service() as service:
        _print(service, refuse_it(service, id, reason), as_json)


def _print(service: Service, found: Proposal, as_json: bool) -> None:
    from billing.proposals.operation import proposal_data

    data: Any = proposal_data(found, service.now())
    if as_json:
        print_json(data)
        return
    request = found.request if len(found.request) <= _SHOWN else f"{found.request[:_SHOWN]}… (--json has all)"
    pairs = {
        "proposal": found.id,
        "what": found.summary,
        "state": data["state"],
        "asked": f"{data['asked_at'][:19]} by {found.asked_by}",
        "until": data["expires_at"][:19],
        "request": request,
        "sha256": found.request_sha256,
    }
    if found.decided_by is not None:
        pairs["decided"] = f"{data['decided_at'][:19]} by {found.decided_by}"
    if found.reason:
        pairs["reason"] = found.reason
    if data["error"]:
        pairs["error"] = data["error"]
    console().print(fields(pairs))
