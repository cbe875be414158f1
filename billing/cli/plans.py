"""billing plans …"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billing.cli.commands import command, noun
from billing.cli.options import AsJson, OptionalMonth
from billing.cli.output import console, heading, print_json, say, table
from billing.cli.service import open_service
from metering.period import Month

if TYPE_CHECKING:
    from billing.pricing.catalogue import PlanVersion

group = noun("The catalogue: plan versions, and what a task run costs in them.")


@command(group, "list", example="billing plans list")
def list_(as_json: AsJson = False) -> None:
    """List all plan versions of the catalogue."""
    from billing.plans import list_plans

    with open_service() as service:
        versions = list(list_plans(service.engine))
    if as_json:
        print_json([version.to_data() for version in versions])
        return
    shown = table("plan", "effective from", "currency", "free runs a month", numbers=("free runs a month",))
    for version in versions:
        shown.add_row(version.id, str(version.effective_from), version.currency, _free_runs(version))
    console().print(shown)


@command(group, "show", example="billing plans show starter@2021-02")
def show(
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="starter (its newest version), or starter@2021-02.")
    ],
    month: OptionalMonth = None,
    as_json: AsJson = False,
) -> None:
    """Show the brackets of a plan: graduated, each price applies to the runs that fall inside its bracket.
    Without a version, the newest one in effect in the month."""
    from billing.plans import show_plan

    with open_service() as service:
        version = show_plan(service.engine, plan, month or Month.of(service.now()))
    if as_json:
        print_json(version.to_data())
    else:
        _print(version)


@command(group, "load", example="billing plans load plans.yaml")
def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .json, .yaml or .toml file.")],
    as_json: AsJson = False,
) -> None:
    """Load plan versions from a file, all of them or none. A version that exists is never changed."""
    from billing.errors import Invalid
    from billing.plans import load_plan_text

    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"{file.name} is not text in UTF-8; a plan file is JSON, YAML or TOML") from None
    with open_service() as service:
        new = load_plan_text(service.engine, text, file.name, service.now())
    if as_json:
        print_json([version.to_data() for version in new])
        return
    if not new:
        say(f"All plan versions of {file.name} were loaded already.")
    for version in new:
        _print(version)


def _print(version: PlanVersion) -> None:
    from billing.pricing.money import plain

    price = f"{version.currency} each"
    heading(version.id, f", effective from {version.effective_from}")
    shown = table("task runs a month", price, numbers=(price,))
    lower = 0
    for bracket in version.brackets:
        runs = f"{lower + 1:,} and more" if bracket.up_to is None else f"{lower + 1:,} to {bracket.up_to:,}"
        shown.add_row(runs, "free" if bracket.unit_price == 0 else plain(bracket.unit_price))
        lower = bracket.up_to or lower
    console().print(shown)
    if version.soft_limit is not None:
        say(f"Meant for up to {version.soft_limit:,} runs a month; more are counted, shown, and not charged.")


def _free_runs(version: PlanVersion) -> str:
    first = version.brackets[0]
    if first.unit_price != 0:
        return "0"
    return "no limit" if first.up_to is None else f"{first.up_to:,}"
