"""billing reconcile"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.options import AsJson, MonthArgument
from billing.cli.output import console, note, print_json, progress, say, table
from billing.cli.service import open_service

if TYPE_CHECKING:
    from rich.table import Table

    from billing.reconciliation.difference import Difference
    from billing.reconciliation.operation import Reconciliation


def add_to(app: typer.Typer) -> None:
    command(app, "reconcile", example="billing reconcile 2026-10 --fix")(reconcile)


def reconcile(
    month: MonthArgument,
    prefect_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Compare with the task runs of this Prefect server, too; may be given again.",
        ),
    ] = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Compare with all servers that are collected from, too.")
    ] = False,
    account: Annotated[
        str | None,
        typer.Option(metavar="ID", help="This account only; the server's task runs are its."),
    ] = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Mend what is safe to: take over Stripe's state, send what waits, delete spare drafts.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare a month three ways: what ran, what was invoiced, and what Stripe has and was paid. Names each
    difference with its account, amount and cause, and what to do; exit 1 if anything differs."""
    from billing.reconciliation.operation import reconcile as compare
    from billing.reconciliation.servers import servers_at, servers_of_sources

    if sources and prefect_url:
        raise typer.BadParameter("--sources and --prefect-url each say which servers; give one of them")
    with open_service() as service:
        which = servers_of_sources(service, account) if sources else servers_at(service, prefect_url or ())
        with which as servers:
            report = compare(service, month, account=account, servers=servers, fix=fix, bars=progress)
    if as_json:
        print_json(report.to_data())
    else:
        print_reconciliation(report, can_fix=not fix)
    for sentence in report.notes:
        note(sentence)
    if not report.ok:
        raise typer.Exit(LOOK)


def print_reconciliation(report: Reconciliation, *, can_fix: bool) -> None:
    """What was mended, what differs, and what was compared."""
    if report.fixed:
        say(f"Fixed {_count(len(report.fixed), 'difference')}:")
        console().print(differences_table(report.fixed))
    compared = f"{report.month}: {_compared(report)}"
    if report.ok:
        say(f"{compared}: ok, {'everything agrees' if report.at_stripe is not None else 'these agree'}")
        return
    say(f"{compared}. {_count(len(report.differences), 'difference')}:")
    console().print(differences_table(report.differences))
    for place, each in enumerate(report.differences, 1):
        console().print(f"{place}. {each.between}: {each.message}.")
    fixable = sum(each.fix is not None for each in report.differences)
    if fixable and can_fix:
        say(f"\n{fixable} of them can be mended by: billing reconcile {report.month} --fix")


def differences_table(differences: Sequence[Difference]) -> Table:
    """Where, and how much."""
    from billing.pricing.money import format_amount

    rows = table(
        "", "account", "cause", "invoice", "task runs", "amount", numbers=("", "task runs", "amount")
    )
    for place, each in enumerate(differences, 1):
        amount = (
            format_amount(each.amount, each.currency) if each.amount is not None and each.currency else ""
        )
        runs = "" if each.quantity is None else f"{each.quantity:,}"
        rows.add_row(str(place), each.account, each.cause, each.invoice or "", runs, amount)
    return rows


def _compared(report: Reconciliation) -> str:
    from billing.pricing.money import format_amount

    parts = [] if report.source_runs is None else [_count(report.source_runs, "task run of the source")]
    parts += [_count(report.accounts, "account"), _count(report.invoices, "invoice")]
    for code, money in sorted(report.money.items()):
        parts[-1] += f" of {format_amount(money.total, code)}, {format_amount(money.paid, code)} paid"
    if report.at_stripe is not None:
        parts.append(f"{report.at_stripe:,} at Stripe")
    return ", ".join(parts)


def _count(quantity: int, noun: str) -> str:
    first, _, rest = noun.partition(" of ")
    plural = first if quantity == 1 else f"{first}s"
    return f"{quantity:,} {plural}{f' of {rest}' if rest else ''}"
