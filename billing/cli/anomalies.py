"""billing anomalies"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from billing.cli.commands import command
from billing.cli.errors import LOOK
from billing.cli.options import AccountFilter, AsJson, OptionalMonth
from billing.cli.output import console, print_json, say, table
from billing.cli.service import open_service
from metering.period import Month

if TYPE_CHECKING:
    from rich.table import Table

    from billing.anomalies import Anomalies, Anomaly
    from metering.signs import Norm


def add_to(app: typer.Typer) -> None:
    command(app, "anomalies", example="billing anomalies --month 2026-10")(anomalies)


def anomalies(month: OptionalMonth = None, account: AccountFilter = None, as_json: AsJson = False) -> None:
    """List signs of misuse. Accounts whose runs are cached, rolled back, up to a second long, handed in late
    or another account's far more than usual, with what is at stake, the most first. Figures to look at, never
    an accusation; nothing is changed. Exit 1 if there are any."""
    from billing.anomalies import find_anomalies

    with open_service() as service:
        found = find_anomalies(service, month or Month.of(service.now()), account)
    if as_json:
        print_json(found.to_data())
    else:
        print_anomalies(found)
    if not found.ok:
        raise typer.Exit(LOOK)


def print_anomalies(found: Anomalies) -> None:
    """The figures side by side, and below them a sentence for each."""
    compared = f"{found.month}: {_count(found.accounts, 'account')} compared"
    if found.ok:
        say(f"{compared}: no signs of misuse")
        return
    say(f"{compared}, {_count(len(found.signs), 'sign')} of misuse:")
    console().print(anomalies_table(found.signs))
    for place, each in enumerate(found.signs, 1):
        console().print(f"{place}. {each.sign.account}: {each.message}.")
        say(f"   {each.look}")
    say("\nA sign is no proof: a new flow, a wrong clock or a source that was away look the same.")


def anomalies_table(signs: list[Anomaly]) -> Table:
    """Shares of now and what is usual; the runs beyond that, and the most that they would cost."""
    from billing.anomalies import percent
    from billing.pricing.money import format_amount

    def usual(norm: Norm | None) -> str:
        return "" if norm is None else percent(norm.median)

    rows = table(
        "", "account", "sign", "share", "own", "others", "runs", "at stake",
        numbers=("", "share", "own", "others", "runs", "at stake"),
    )  # fmt: skip
    for place, each in enumerate(signs, 1):
        sign = each.sign
        at_stake = (
            "" if each.value is None or each.currency is None else format_amount(each.value, each.currency)
        )
        rows.add_row(
            str(place),
            sign.account,
            sign.kind.replace("_", " "),
            percent(sign.share),
            usual(sign.own),
            usual(sign.others),
            f"{sign.excess:,}",
            at_stake,
        )
    return rows


def _count(quantity: int, noun: str) -> str:
    return f"{quantity:,} {noun}{'' if quantity == 1 else 's'}"
