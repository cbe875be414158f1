"""billing collect …"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import AsJson, read_instant
from billing.cli.output import note, print_json, progress, say
from billing.cli.service import open_service
from metering.period import format_instant

if TYPE_CHECKING:
    from billing.app import Service
    from billing.collecting import Visit
    from metering.collecting.source import Source

group = noun("Collect task runs from where they ran.")

EVERY_SECONDS = 60


@command(group, "prefect", example="billing collect prefect --api-url http://127.0.0.1:4200 --account acme")
def prefect(
    api_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The server; it is remembered as a source.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="The account that its task runs belong to.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="ID", help="This source only; by default every one.")
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            parser=read_instant,
            metavar="T",
            help="Where a new source begins; by default with what its server still has.",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Collect what there is, and end.")] = False,
    every: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="How often to ask.")] = EVERY_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Poll Prefect servers for task runs that finished, and meter them, until stopped. It may be stopped at
    any moment and goes on where it was; `billing serve` with BILLING_SCHEDULE=on does the same by itself."""
    if as_json and not once:
        raise typer.BadParameter("--json prints one document; give it with --once")
    _check_names(api_url, account, source, since)
    with open_service() as service:
        wanted = _wanted(service, api_url, account, source, since)
        if not wanted:
            note("There are no sources to collect from; add one with: billing sources add")
        visits = _collect(service, wanted, quiet=as_json)
        if as_json:
            print_json([each.to_data() for each in visits])
        if not once:
            with suppress(KeyboardInterrupt):
                _go_on(service, wanted, every)
            return
    if any(each.needs_attention for each in visits):
        raise typer.Exit(LOOK)


def _check_names(api_url: str | None, account: str | None, source: str | None, since: int | None) -> None:
    if api_url is not None and account is None:
        raise typer.BadParameter("--api-url needs --account: whose task runs the server has")
    if api_url is not None and source is not None:
        raise typer.BadParameter("--api-url and --source each name a server; give one of them")
    if since is not None and api_url is None:
        raise typer.BadParameter("--since is where a new source begins; give it with --api-url")


def _wanted(
    service: Service, api_url: str | None, account: str | None, source: str | None, since: int | None
) -> list[Source]:
    from billing.sources import ensure_source, find_source, list_sources, server_of

    if api_url is not None:
        assert account is not None, "checked before"
        now = service.now()
        return [ensure_source(service.engine, account, server_of(api_url), since=since, now=now)]
    found = (
        list_sources(service.engine, account=account)
        if source is None
        else [find_source(service.engine, source, account)]
    )
    return [each for each in found if each.server is not None]


def _collect(service: Service, wanted: list[Source], *, quiet: bool) -> list[Visit]:
    from billing.collecting import visit

    visits = []
    for each in wanted:
        with progress(f"{each.id} ({each.account})") as show:
            visits.append(visit(service, each, always_check=True, progress=show))
        if not quiet:
            say(summary(visits[-1]))
        _print_problems(visits[-1])
    return visits


def _go_on(service: Service, wanted: list[Source], every: int) -> None:
    """Until interrupted. What is said is what is new, not each time that nothing is."""
    from billing.collecting import visit
    from billing.sources import list_sources

    names = {(each.account, each.id) for each in wanted}
    told: dict[tuple[str, str], str | None] = {}
    while not threading.Event().wait(every):
        for each in list_sources(service.engine):
            name = each.account, each.id
            if name not in names or (each.retry_at is not None and each.retry_at > service.now()):
                continue
            done = visit(service, each)
            if done.collected.ingested.accepted:
                say(summary(done))
            if done.error != told.get(name) or done.source.missing != each.missing:
                _print_problems(done)
            told[name] = done.error


def summary(done: Visit) -> str:
    """What came of a visit, in a line."""
    counted, source = done.collected.ingested, done.source
    read_to = source.reading.read_to if source.reading else None
    parts = [f"{counted.received:,} events, {counted.accepted:,} new"]
    parts += ["read to " + _instant(read_to) if read_to is not None else "nothing read yet"]
    parts += [completeness(source)]
    return f"{source.id} ({source.account}): {'; '.join(parts)}"


def completeness(source: Source) -> str:
    """The watermark, for people."""
    if source.claim is None:
        return "not known to be complete"
    runs = "" if source.claim.runs is None else f", {source.claim.runs:,} task runs"
    return f"complete to {_instant(source.claim.complete_to)}{runs}"


def _print_problems(done: Visit) -> None:
    source = done.source
    if done.error:
        note(f"billing: {source.id} ({source.account}): {done.error}")
    lost = done.collected.lost
    if lost is not None:
        note(
            f"LOST: {source.id} ({source.account}) was not read for longer than it keeps events: those of "
            f"{_instant(lost.start)} to {_instant(lost.end)} may be gone"
        )
    if done.recovered:
        note(
            f"RECOVERED: {source.id} ({source.account}) has no events of {done.recovered:,} task runs, which "
            "were metered from its records of them"
        )
    if source.missing:
        named = ", ".join(source.missing_ids)
        note(
            f"MISSING: {source.id} ({source.account}) has {source.missing:,} task runs, or more, of which it "
            f"gives no events: {named}; after a minute they are metered from its records, or at once by: "
            f"billing sources recover {source.id} --account {source.account}"
        )
    for each in done.collected.ingested.errors:
        note(f"rejected: {source.id} ({source.account}), {each.field}: {each.message}")


def _instant(instant: int) -> str:
    return format_instant(instant)[:19] + "Z"
