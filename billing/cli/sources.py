"""billing sources …"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import AccountFilter, AsJson, read_instant
from billing.cli.output import console, fields, note, print_json, say, table
from billing.cli.service import open_service
from metering.period import format_instant

if TYPE_CHECKING:
    from metering.collecting.source import Source

group = noun("Sources: where task runs come from, and to when that is complete.")

Id = Annotated[str, typer.Argument(metavar="ID", help="As shown by: billing sources list")]
WhichAccount = Annotated[
    str | None, typer.Option("--account", metavar="ID", help="Where several accounts have one of this id.")
]
KeyName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="The variable that holds its key: BILLING_PREFECT_API_KEY, or that and a suffix."
    ),
]
Workspace = Annotated[
    str | None, typer.Option(metavar="NAME", help="The workspace that its task runs are shown under.")
]
RetentionDays = Annotated[
    int | None, typer.Option(metavar="DAYS", help="How long it keeps events; Prefect's own server 7 days.")
]


@command(
    group,
    "add",
    example="billing sources add eu --account acme --api-url http://127.0.0.1:4200 --workspace eu",
)
def add(
    id: Annotated[str, typer.Argument(metavar="ID", help="A name for it.")],
    account: Annotated[str, typer.Option(metavar="ID", help="Whose task runs it has.")],
    api_url: Annotated[str, typer.Option(metavar="URL", help="The Prefect server, or workspace of Cloud.")],
    key_name: KeyName = None,
    workspace: Workspace = None,
    since: Annotated[
        int | None,
        typer.Option(parser=read_instant, metavar="T", help="From when on; by default what it still has."),
    ] = None,
    retention_days: RetentionDays = None,
    as_json: AsJson = False,
) -> None:
    """Collect an account's task runs from a Prefect server. Nothing is asked yet: `billing collect prefect`
    does, or the schedule of `billing serve`."""
    from billing.sources import add_source, server_of

    with open_service() as service:
        server = server_of(
            api_url, key_name=key_name, workspace=workspace or "", retention_days=retention_days
        )
        added = add_source(service.engine, account, id, server, since=since, now=service.now())
    _show(added, as_json)


@command(group, "update", example="billing sources update eu --key-name BILLING_PREFECT_API_KEY_EU")
def update(
    id: Id,
    account: WhichAccount = None,
    api_url: Annotated[str | None, typer.Option(metavar="URL", help="Its new address.")] = None,
    key_name: KeyName = None,
    workspace: Workspace = None,
    retention_days: RetentionDays = None,
    as_json: AsJson = False,
) -> None:
    """Change where a source is asked, and how. How far it is read, and complete, stays."""
    from billing.sources import change_source, find_source

    with open_service() as service:
        changed = change_source(
            service.engine,
            find_source(service.engine, id, account),
            now=service.now(),
            url=api_url,
            key_name=key_name,
            workspace=workspace,
            retention_days=retention_days,
        )
    _show(changed, as_json)


@command(group, "list", example="billing sources list")
def list_(account: AccountFilter = None, as_json: AsJson = False) -> None:
    """List sources with what they are complete to, and what is wrong; exit 1 if anything is."""
    from billing.sources import list_sources
    from metering.collecting.source import source_data, state_of

    with open_service() as service:
        found = list_sources(service.engine, account=account)
    if as_json:
        print_json([source_data(each) for each in found])
    else:
        rows = table("source", "account", "kind", "complete to", "task runs", "state", numbers=("task runs",))
        for each in found:
            runs = "" if each.claim is None or each.claim.runs is None else f"{each.claim.runs:,}"
            rows.add_row(each.id, each.account, each.kind, _instant(each.complete_to), runs, said_of(each))
        console().print(rows)
    if any(state_of(each) != "ok" for each in found):
        raise typer.Exit(LOOK)


@command(group, "show", example="billing sources show eu")
def show(id: Id, account: WhichAccount = None, as_json: AsJson = False) -> None:
    """Show a source: how far it is read, to when it is complete, and what is missing."""
    from billing.sources import find_source

    with open_service() as service:
        found = find_source(service.engine, id, account)
    _show(found, as_json)


@command(group, "declare", example="billing sources declare airflow 2026-11-01T00:00:00Z --account acme")
def declare(
    id: Id,
    complete_to: Annotated[
        int,
        typer.Argument(parser=read_instant, metavar="T", help="All that ended before was handed in."),
    ],
    account: Annotated[str, typer.Option(metavar="ID", help="Whose task runs.")],
    runs: Annotated[int | None, typer.Option(metavar="N", help="How many task runs that are.")] = None,
    as_json: AsJson = False,
) -> None:
    """Declare that a source has handed in all task runs that ended before an instant. Its last word holds."""
    from billing.sources import declare as declare_complete

    with open_service() as service:
        found = declare_complete(
            service.engine,
            service.store,
            account,
            id,
            complete_to=complete_to,
            runs=runs,
            now=service.now(),
        )
    _show(found, as_json)


@command(group, "recover", example="billing sources recover eu")
def recover(id: Id, account: WhichAccount = None, as_json: AsJson = False) -> None:
    """Meter the task runs that a source has and gives no events of, from its records of them, at once; after
    a minute that is done anyway. Records say how a task run ended, and nothing of what came before."""
    from billing.collecting import recover_source
    from billing.sources import find_source

    with open_service() as service:
        recovered, visit = recover_source(service, find_source(service.engine, id, account))
    if as_json:
        print_json({"recovered": recovered, **visit.to_data()})
        return
    say(f"{recovered:,} task runs were metered from the records of {id}")
    _show(visit.source, as_json)


@command(group, "remove", example="billing sources remove eu")
def remove(id: Id, account: WhichAccount = None) -> None:
    """Ask a source no more, and wait for it no more. Its task runs stay."""
    from billing.sources import find_source, remove_source

    with open_service() as service:
        remove_source(service.engine, find_source(service.engine, id, account), now=service.now())
    say(f"{id} is no source any more; what it brought stays")


def said_of(source: Source) -> str:
    """How it stands, in words."""
    if source.error is not None:
        since = _instant(source.failing_since)
        return f"failing since {since}: {source.error}"
    said = []
    if source.missing:
        said.append(f"{source.missing:,} task runs missing, or more")
    if source.lost is not None:
        said.append(f"events may be lost: {_instant(source.lost.start)} to {_instant(source.lost.end)}")
    if source.kind == "prefect" and source.tried_at is None:
        said.append("never asked")
    return "; ".join(said) or "ok"


def _show(source: Source, as_json: bool) -> None:
    from metering.collecting.source import source_data

    if as_json:
        print_json(source_data(source))
        return
    said = {name.replace("_", " "): value for name, value in source_data(source).items()}
    console().print(fields({name: value for name, value in said.items() if value not in (None, [], "")}))
    if source.missing:
        note(f"Meter what is missing from the server's records: billing sources recover {source.id}")


def _instant(instant: int | None) -> str:
    return "" if instant is None else format_instant(instant)[:19] + "Z"
