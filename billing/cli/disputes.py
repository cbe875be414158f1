"""billing disputes …"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billing.cli.commands import command, noun
from billing.cli.options import OPERATOR, AccountArgument, AccountFilter, AsJson
from billing.cli.output import console, fields, print_json, say, table
from billing.cli.service import open_service

group = noun("Disputes: what customers say is billed wrongly, and the answers.")

Id = Annotated[str, typer.Argument(metavar="ID", help="As shown by: billing disputes list")]
# A dispute may be about a thousand runs; --json has them all.
_SHOWN = 20


@command(group, "list", example="billing disputes list --status open")
def list_(
    account: AccountFilter = None,
    status: Annotated[str | None, typer.Option(help="open, corrected or declined.")] = None,
    as_json: AsJson = False,
) -> None:
    """List disputes, oldest first."""
    from billing.disputes import dispute_summary, list_disputes

    with open_service() as service:
        found = list_disputes(service.engine, account=account, status=status)
    if as_json:
        print_json([dispute_summary(each) for each in found])
        return
    if not found:
        say("None. Customers raise them on their pages: billing links create ACCOUNT")
        return
    shown = table("id", "account", "runs", "status", "raised by", "says", numbers=("runs",))
    for each in found:
        first = each.message.splitlines()[0]
        says = first if len(first) <= 60 else f"{first[:59]}…"
        shown.add_row(each.id, each.account, f"{len(each.runs):,}", each.status, each.raised_by, says)
    console().print(shown)


@command(group, "show", example="billing disputes show dsp_0006407e1f2a")
def show(id: Id, as_json: AsJson = False) -> None:
    """Show a dispute: which task runs, what the customer says, and the answer."""
    from billing.disputes import dispute_data, show_dispute

    with open_service() as service:
        data = dispute_data(service.engine, show_dispute(service.engine, id))
    _print(data, as_json)


@command(
    group,
    "raise",
    example='billing disputes raise acme run-1 run-2 --message "a load test" --raised-by ops@acme.example',
)
def raise_(
    account: AccountArgument,
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Ids of task runs.")],
    message: Annotated[str, typer.Option(help="What the customer says, at most 2,000 characters.")],
    raised_by: Annotated[str, typer.Option(help="Who says so.")],
    invoice: Annotated[
        str | None, typer.Option(metavar="ID", help="The invoice that bills them, by number or id.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Raise a dispute for a customer who wrote or called."""
    from billing.disputes import dispute_data, raise_dispute

    with open_service() as service:
        raised = raise_dispute(
            service.engine,
            service.store,
            account,
            runs,
            message,
            raised_by=raised_by,
            by=OPERATOR,
            now=service.now(),
            invoice=invoice,
        )
        data = dispute_data(service.engine, raised)
    _print(data, as_json)


@command(
    group, "answer", example='billing disputes answer dsp_0006407e1f2a --reverse --reply "Right: credited."'
)
def answer(
    id: Id,
    reply: Annotated[str, typer.Option(help="To the customer, at most 2,000 characters.")],
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN…]", help="Which to reverse; by default all.")
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Take the task runs back.")] = False,
    decline: Annotated[bool, typer.Option("--decline", help="Leave them as they are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer a dispute. Reversed task runs are no longer billed, and the next invoice credits them. Given
    again after it was interrupted, it is finished."""
    from billing.cli.proposals import tell
    from billing.disputes import dispute_data
    from billing.proposals import Proposal, perform
    from billing.proposals.deeds import ANSWER_DISPUTE

    if reverse == decline:
        raise typer.BadParameter("give either --reverse or --decline")
    if decline and runs:
        raise typer.BadParameter("--decline reverses no task runs; leave them out")
    with open_service() as service:
        asked = {"dispute": id, "reply": reply, "reverse_runs": (runs or []) if reverse else None}
        answered = perform(service, ANSWER_DISPUTE, asked, by=OPERATOR)
        if isinstance(answered, Proposal):
            tell(service, answered, as_json)
            return
        data = dispute_data(service.engine, answered)
    _print(data, as_json)


def _print(data: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(data)
        return
    runs = data["task_runs"]
    more = [] if len(runs) <= _SHOWN else [f"and {len(runs) - _SHOWN:,} more: --json has them all"]
    taken_back = set(data["reversed"])
    pairs = {
        "dispute": data["id"],
        "account": data["account"],
        "invoice": data["invoice_number"] or "",
        "status": data["status"] + (", unfinished: answer it again" if data["unfinished"] else ""),
        "raised": f"{data['raised_at'][:19]} by {data['raised_by']} ({data['author']})",
        "says": data["message"],
        "task runs": "\n".join(
            [*(f"{each}{' (reversed)' if each in taken_back else ''}" for each in runs[:_SHOWN]), *more]
        ),
    }
    if data["reply"] is not None:
        pairs |= {
            "answered": f"{data['answered_at'][:19]} by {data['answered_by']}",
            "reply": data["reply"],
        }
    console().print(fields(pairs))
