"""billing advise: what a commitment would be worth, and what is at risk in those that run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billing.cli.backtest import amounts_in
from billing.cli.commands import command
from billing.cli.options import AsJson
from billing.cli.output import console, heading, print_json, say, table
from billing.cli.service import open_service


def add_to(group: typer.Typer) -> None:
    command(group, "advise", example="billing advise acme --offer 1000000:2000.00")(_advise)


def _advise(
    account: Annotated[
        str | None, typer.Argument(metavar="[ACCOUNT]", help="Without it: all contracts by risk.")
    ] = None,
    offer: Annotated[
        list[str] | None,
        typer.Option(metavar="RUNS:PRICE", help="A year's committed runs; may come many times."),
    ] = None,
    unit_price: Annotated[
        str | None,
        typer.Option(metavar="PRICE", help="Of a committed run, of sizes that are looked at by themselves."),
    ] = None,
    plan: Annotated[
        str | None, typer.Option(metavar="PLAN", help="Prices on-demand usage; by default the account's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what committed runs would have been worth to an account over its last twelve whole months, and
    what is expected of the next twelve: savings, run-out, unused runs, break-even. Without an account: all
    running contracts by what is at risk."""
    from billing.advice.operation import advise
    from billing.advice.risks import contract_risks
    from billing.errors import Invalid

    with open_service() as service:
        if account is None:
            if offer or unit_price or plan:
                raise Invalid("offers are compared for an account; name it", field="account")
            risks = [each.to_data() for each in contract_risks(service, now=service.now())]
            print_json(risks) if as_json else _print_risks(risks)
            return
        advice = advise(
            service, account, now=service.now(), offers=offer or (), unit_price=unit_price, plan=plan
        )
    data = advice.to_data()
    print_json(data) if as_json else _print(data)


def _print(data: Mapping[str, Any]) -> None:
    money, past, ahead = amounts_in(data["currency"]), data["past"], data["next"]
    heading(data["account"], f", on {data['plan']}")
    says = f"{past['billable']:,} billable runs, {money(past['on_demand'])} on demand"
    say(f"{past['from']} to {past['to']}: {says}.{_cheapest(past, money)}")
    if ahead is not None:
        spread = "" if ahead["low"] is None else f" ({ahead['low']:,} to {ahead['high']:,})"
        says = f"{ahead['billable']:,} runs expected{spread}"
        say(f"{ahead['from']} to {ahead['to']}: {says}.{_cheapest(ahead, money)}")
    if data["message"]:
        say(data["message"][0].upper() + data["message"][1:] + ".")
    names = ("runs", "price", "worth then", "saving then", "unused then", "worth", "saving", "unused")
    shown = table(*names, "runs out on", "pays from", numbers=(*names, "pays from"))
    for each in data["offers"]:
        then, now = each["past"], each["next"]
        cells = ["", "", "", "", ""]
        if now is not None:
            percent = now["break_even_percent"]
            cells = [
                money(now["break_even_price"]),
                money(now["saving"]),
                _range(now, "unused"),
                _range(now, "runs_out_on", late=True),
                "" if percent is None else f"{percent} %",
            ]
        shown.add_row(
            f"{each['runs']:,}",
            money(each["price"]),
            money(then["break_even_price"]),
            money(then["saving"]),
            f"{then['unused']:,}",
            *cells,
        )
    console().print(shown)
    say("Worth: the most it may cost before on-demand usage is the cheaper way. Pays from: this share of the")
    say("expected usage. Services are not in it.")
    if ahead is not None:
        say(f"What is expected goes by {data['basis']}.")


def _cheapest(part: Mapping[str, Any], money: Any) -> str:
    found = part["cheapest"]
    if found is None:
        return ""
    return f" Cheapest: {found['runs']:,} runs at {money(found['price'])}, saves {money(found['saving'])}."


def _range(now: Mapping[str, Any], name: str, *, late: bool = False) -> str:
    """A figure, and what it is at the edges of the forecast."""

    def text(value: Any) -> str:
        if value is None:
            return "not in the term"
        return f"{value:,}" if isinstance(value, int) else str(value)

    if now["low"] is None or now["high"] is None:
        return text(now[name])
    ends = (now["high"][name], now["low"][name])
    return f"{text(now[name])} ({text(ends[0])} … {text(ends[1])})"


def _print_risks(risks: list[dict[str, Any]]) -> None:
    if not risks:
        say("No contract is running.")
        return
    names = ("unused", "worth", "on demand", "costs", "days left")
    shown = table("contract", "account", "risks", *names, "runs out on", numbers=names)
    for each in risks:
        money = amounts_in(each["currency"])
        shown.add_row(
            each["contract"],
            each["account"],
            ", ".join(each["risks"]),
            f"{each['expected_unused']:,}",
            money(each["unused_value"]),
            f"{each['expected_on_demand']:,}",
            money(each["on_demand_amount"]),
            str(each["days_left"]),
            each["runs_out_on"] or "",
        )
    console().print(shown)
    say(f"What is to come goes by {risks[0]['basis']}.")
