"""billing alerts …"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from billing.cli.commands import command, noun
from billing.cli.options import OPERATOR, AccountArgument, AccountFilter, AsJson, MonthFilter
from billing.cli.output import console, fields, note, print_json, say, table
from billing.cli.service import open_service

group = noun("Alerts: free runs, budgets and committed runs that are nearly used up, or will be.")

OnOff = Literal["on", "off"]


@command(group, "list", example="billing alerts list --account acme --month 2026-10")
def list_(account: AccountFilter = None, month: MonthFilter = None, as_json: AsJson = False) -> None:
    """List the thresholds that were reached, in that order."""
    from billing.alerts.checking import alert_data, list_alerts

    with open_service() as service:
        found = list_alerts(service.engine, account=account, month=month)
    _print([alert_data(each) for each in found], as_json)


@command(group, "show", example="billing alerts show acme")
def show(account: AccountArgument, as_json: AsJson = False) -> None:
    """Show an account's budget and how much of its limits is used, now and by forecast."""
    from billing.alerts.checking import account_alerts

    with open_service() as service:
        data = account_alerts(service.engine, service.store, account, service.now())
    _print_account(data, as_json)


@command(group, "set", example="billing alerts set acme --budget 500.00 --mail on")
def set_(
    account: AccountArgument,
    budget: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="A month, such as 500.00; none: no budget.")
    ] = None,
    mail: Annotated[
        OnOff | None, typer.Option(help="Whether alerts go to the account's e-mail address too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set an account's budget a month, and whether its alerts come by mail."""
    from billing.alerts.checking import account_alerts
    from billing.alerts.settings import set_alerts

    with open_service() as service:
        set_alerts(
            service.engine,
            account,
            budget=budget,
            mail=None if mail is None else mail == "on",
            by=OPERATOR,
            now=service.now(),
        )
        data = account_alerts(service.engine, service.store, account, service.now())
    _print_account(data, as_json)


@command(group, "check", example="billing alerts check")
def check(account: AccountFilter = None, as_json: AsJson = False) -> None:
    """Compare usage with thresholds now, as the schedule does every five minutes. Each is told once."""
    from billing.alerts.checking import alert_data, check_alerts

    with open_service() as service:
        found = check_alerts(
            service.engine,
            service.store,
            service.now(),
            grace_hours=service.settings.grace_hours,
            account=account,
        )
    _print([alert_data(each) for each in found], as_json)
    if found:
        note("To deliver what is told of them now: billing deliveries send")


def _print(found: list[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if not found:
        say("No threshold was reached.")
        return
    shown = table("reached", "account", "says")
    for each in found:
        shown.add_row(each["reached_at"][:19], each["account"], each["message"])
    console().print(shown)


def _print_account(data: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(data)
        return
    from billing.pricing.money import format_amount

    budget = "none" if data["budget"] is None else format_amount(data["budget"], data["currency"])
    pairs = {"account": data["account"], "month": data["month"], "budget": f"{budget} a month"}
    pairs["mail"] = "on" if data["mail"] else "off"
    console().print(fields(pairs))
    numbers = ("limit", "so far", "%", "forecast")
    shown = table("of", "period", *numbers, numbers=numbers)
    for each in data["figures"]:
        limit, so_far, forecast = (_value(each, name) for name in ("limit", "actual", "forecast"))
        share = f"{each['actual'] * 100 // each['limit']}"
        shown.add_row(each["kind"].replace("_", " "), each["period"], limit, so_far, share, forecast)
    console().print(shown)


def _value(figure: Mapping[str, Any], name: str) -> str:
    from billing.pricing.money import format_amount

    value, currency = figure[name], figure["currency"]
    if value is None:
        return ""
    return f"{value:,}" if currency is None else format_amount(value, currency)
