"""billing plans …"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing.cli.commands import command, noun
from billing.cli.errors import LOOK
from billing.cli.options import OPERATOR, AsJson, OptionalMonth, read_date, read_month
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
    from billing.cli.proposals import tell
    from billing.errors import Invalid
    from billing.proposals import Proposal, perform
    from billing.proposals.deeds import LOAD_PLANS

    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"{file.name} is not text in UTF-8; a plan file is JSON, YAML or TOML") from None
    with open_service() as service:
        new = perform(service, LOAD_PLANS, {"text": text, "name": file.name}, by=OPERATOR)
        if isinstance(new, Proposal):
            tell(service, new, as_json)
            return
    if as_json:
        print_json([version.to_data() for version in new])
        return
    if not new:
        say(f"All plan versions of {file.name} were loaded already.")
    for version in new:
        _print(version)


@command(group, "migrate", example="billing plans migrate starter@2021-02 --from 2027-01 --dry-run")
def migrate(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The plan, or its version, to move to.")],
    from_month: Annotated[
        Month, typer.Option("--from", parser=read_month, metavar="MONTH", help="First month on it.")
    ],
    account: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="This account; may come many times. By default all of the plan."),
    ] = None,
    protect_until: Annotated[
        date | None,
        typer.Option(
            parser=read_date,
            metavar="DATE",
            help="Hold those who would pay more to what they pay, until then.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Move accounts to a plan version from a month on. Shows what the usage of the last whole month costs
    before and after, those first who would pay more; exit 1 if any account could not be moved."""
    from billing.plan_migration import migrate_plan

    with open_service() as service:
        report = migrate_plan(
            service.engine,
            service.store,
            plan,
            from_month,
            account_ids=account or (),
            protect_until=protect_until,
            dry_run=dry_run,
            by=OPERATOR,
            now=service.now(),
        )
    if as_json:
        print_json(report.to_data())
    else:
        _print_migration(report.to_data())
    if report.failed:
        raise typer.Exit(LOOK)


@command(group, "preview", example="billing plans preview draft.yaml")
def preview(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .json, .yaml or .toml file.")],
    instead_of: Annotated[
        str | None,
        typer.Option(metavar="PLAN", help="The plan whose accounts to compare; by default the draft's own."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a plan version that is not loaded would do: what the usage of the last whole month costs each
    account of the plan before and after, those first who would pay more. Nothing is changed, nor loaded."""
    from billing.errors import Invalid
    from billing.plan_migration import preview_plan

    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"{file.name} is not text in UTF-8; a plan file is JSON, YAML or TOML") from None
    with open_service() as service:
        report = preview_plan(
            service.engine, service.store, text, file.name, now=service.now(), instead_of=instead_of
        )
    if as_json:
        print_json(report.to_data())
    else:
        _print_migration(report.to_data())
    if report.failed:
        raise typer.Exit(LOOK)


def _print_migration(data: Mapping[str, Any]) -> None:
    from billing.pricing.money import format_amount

    says = "would move" if data["dry_run"] else "moved"
    more = f"; {data['pay_more']:,} would pay more" if data["pay_more"] else ""
    heading(data["plan"], f" from {data['from']} on: {len(data['accounts']):,} {says}{more}")
    if data["accounts"]:
        shown = table("account", "from", "now", "then", "change", numbers=("now", "then", "change"))
        for each in data["accounts"]:
            amounts = [format_amount(each[name], each["currency"]) for name in ("now", "then", "change")]
            shown.add_row(each["account"], each["from_plan"], *amounts)
        console().print(shown)
        say(f"A month like {data['compared']}, before and after.")
    for each in data["accounts"]:
        if each["protected_at"] is not None:
            say(f"{each['account']}: protected at {format_amount(each['protected_at'], each['currency'])}")
    for each in data["skipped"]:
        say(f"{each['account']}: left alone, {each['message']}")
    for each in data["failed"]:
        say(f"{each['account']}: {each['message']}")


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
