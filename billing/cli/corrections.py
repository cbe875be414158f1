"""billing correct, billing corrections list"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import OPERATOR, AccountArgument, AccountFilter, AsJson, MonthFilter
from billing.cli.output import console, note, print_json, print_json_rows, progress, say, table
from billing.cli.service import open_service, this_operator
from metering.period import format_instant

group = noun("The record of corrections: task runs that were reversed or restored by hand.")

STDIN = "-"
_ERRORS_ON_SCREEN = 10
# The first column of a run list.
_COLUMN = "task_run_id"


def add_to(app: typer.Typer) -> None:
    command(
        app, "correct", example='billing correct acme run-1 run-2 reverse --reason "wrong table, ticket 4711"'
    )(correct)


def correct(
    account: AccountArgument,
    words: Annotated[
        list[str], typer.Argument(metavar="RUN… reverse|restore", help="Ids of task runs, and what to do.")
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept.")],
    runs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Further ids, one a line, or a list as `billing invoices runs` prints it; - is stdin.",
        ),
    ] = None,
    author: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who says so; by default the operator at this machine.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Reverse or restore task runs, whatever their events say. Reversed, they are not billed; restored, they
    count as if nothing had reversed them. Usage shows it at once, and an invoiced month is adjusted on the
    next invoice."""
    from billing.cli.proposals import tell
    from billing.corrections import ACTIONS
    from billing.proposals import Proposal, perform
    from billing.proposals.deeds import CORRECT

    *named, action = words
    if action not in ACTIONS:
        raise typer.BadParameter(f"end with reverse or restore; {action!r} is neither")
    if runs is not None:
        named += _read(runs)
    if not named:
        raise typer.BadParameter("name the task runs to correct, or a file of them with --runs")
    with open_service() as service, progress("correcting") as show:
        asked = {
            "account": account,
            "task_run_ids": named,
            "action": action,
            "reason": reason,
            "author": author if author is not None else this_operator(),
        }
        done = perform(service, CORRECT, asked, by=OPERATOR, progress=show)
        if isinstance(done, Proposal):
            tell(service, done, as_json)
            return
    if as_json:
        print_json(done.to_data())
    else:
        past = {"reverse": "reversed", "restore": "restored"}[action]
        say(f"{done.corrected:,} task runs {past}, {done.unchanged:,} unchanged.")
    for error in done.errors[:_ERRORS_ON_SCREEN]:
        note(error.message)
    if len(done.errors) > _ERRORS_ON_SCREEN:
        note(f"… and {len(done.errors) - _ERRORS_ON_SCREEN:,} more; --json names the first 100")
    if done.errors:
        raise typer.Exit(LOOK)


def _read(name: str) -> list[str]:
    if name == STDIN:
        return _ids(sys.stdin)
    with Path(name).open(encoding="utf-8", newline="") as lines:
        return _ids(lines)


def _ids(lines: Iterable[str]) -> list[str]:
    """The ids of a run list, which begins with its header; else every line is one, whatever is in it."""
    try:
        text = [line.rstrip("\r\n") for line in lines]
        if text:
            text[0] = text[0].removeprefix("\ufeff")
        if text and text[0].split(",")[0] == _COLUMN:
            return [row[0] for row in csv.reader(text[1:], strict=True) if row]
    except UnicodeDecodeError:
        raise typer.BadParameter("the file of --runs is not UTF-8 text") from None
    except csv.Error as error:
        raise typer.BadParameter(f"the file of --runs is no list of task runs: {error}") from None
    return [line.strip() for line in text if line.strip()]


@command(group, "confirm", example='billing corrections confirm 1042 --reason "ticket 4711, after a crash"')
def confirm(
    positions: Annotated[
        list[int], typer.Argument(metavar="POSITION…", help="Of the record, as `billing prove` names them.")
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="How it is known; it is kept.")],
    as_json: AsJson = False,
) -> None:
    """Say that a correction is known of which the audit trail has no entry, as a service of an older version
    may have left it when it was killed. The trail has it from then on; nothing else changes."""
    from billing.corrections import confirm as confirm_positions

    with open_service() as service:
        runs = confirm_positions(service.engine, positions, reason, now=service.now())
    if as_json:
        print_json({"confirmed": runs})
    else:
        say(f"{runs:,} task runs: the audit trail has their correction now.")


@command(group, "list", example="billing corrections list --account acme --month 2026-11")
def list_(
    account: AccountFilter = None,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Of this task run only.")] = None,
    month: MonthFilter = None,
    as_json: AsJson = False,
) -> None:
    """List corrections in the order in which they were recorded. The month is that in which they were."""
    from billing.corrections import correction_data, corrections

    with open_service() as service:
        found = corrections(service.engine, account=account, task_run_id=run, month=month)
        if as_json:
            print_json_rows(correction_data(each) for each in found)
            return
        shown = table("recorded", "account", "task run", "action", "reason", "author")
        for each in found:
            at = format_instant(each.recorded_at)[:19]
            shown.add_row(at, each.account, each.task_run_id, each.action.text, each.reason, each.author)
    console().print(shown)
