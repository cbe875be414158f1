"""billing contracts …"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from billing.cli.commands import command, noun
from billing.cli.options import OPERATOR, AccountFilter, Amend, AsJson, Reason, read_date, read_month
from billing.cli.output import console, count, print_json, say, table
from billing.cli.service import open_service
from metering.period import Month

group = noun("Committed usage: contracts, their grants of task runs, and their services.")


Id = Annotated[str, typer.Argument(metavar="ID", help="The contract's id.")]


@command(group, "add", example="billing contracts add examples/contract.json")
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .json, .yaml or .toml file.")],
    amend: Amend = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Add the contract of a file: a term of whole months, grants, services, and the plan for usage beyond."""
    from billing.contracts import load_contract_text
    from billing.errors import Invalid

    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"{file.name} is not text in UTF-8; a contract file is JSON, YAML or TOML") from None
    with open_service() as service:
        made = load_contract_text(
            service.engine, text, file.name, by=OPERATOR, now=service.now(), amend=amend, reason=reason
        )
    _show(made.id, as_json)


@command(group, "watch", example="billing contracts watch")
def watch(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50, as_json: AsJson = False
) -> None:
    """List running contracts with what is left of their runs, the day on which those are used up at this
    pace, and the days to the end: first those of which it was told that 80 % are used or will be."""
    from billing.contract_figures import contract_figures

    with open_service() as service:
        found = contract_figures(service, now=service.now(), limit=limit)
    if as_json:
        print_json([each.to_data() for each in found])
        return
    numbers = ("left", "committed", "days to the end")
    shown = table("contract", "account", *numbers[:2], "used up on", numbers[2], numbers=numbers)
    for each in found:
        shown.add_row(
            each.contract.id,
            each.contract.account,
            f"{each.left:,}",
            f"{each.committed:,}",
            "" if each.runs_out_on is None else each.runs_out_on.isoformat(),
            f"{each.days_left:,}",
        )
    console().print(shown)


@command(group, "list", example="billing contracts list --account acme")
def list_(account: AccountFilter = None, as_json: AsJson = False) -> None:
    """List contracts with their terms."""
    from billing.contracts import list_contracts
    from billing.pricing.contract_file import contract_to_data

    with open_service() as service:
        found = list_contracts(service.engine, account=account)
    if as_json:
        print_json([contract_to_data(contract) for contract in found])
        return
    if not found:
        say("No such contracts; add one with: billing contracts add FILE")
        return
    shown = table(
        "contract", "account", "start", "end", "plan", "committed runs", numbers=("committed runs",)
    )
    for contract in found:
        runs = count(sum(grant.runs for grant in contract.grants))
        shown.add_row(
            contract.id, contract.account, str(contract.start), str(contract.end), contract.plan, runs
        )
    console().print(shown)


@command(group, "show", example="billing contracts show acme-2027")
def show(id: Id, as_json: AsJson = False) -> None:
    """Show a contract: its grants with what is left of them, services delivered and owed, and the last
    entries of its run ledger, which is brought up to date first."""
    _show(id, as_json)


@command(group, "grant", example="billing contracts grant acme-2027 500000 --price 450.00 --from 2027-07-01")
def grant(
    id: Id,
    runs: Annotated[int, typer.Argument(metavar="RUNS", help="Committed task runs.")],
    price: Annotated[str, typer.Option(metavar="AMOUNT", help="Of the grant as a whole.")],
    granted_on: Annotated[
        date, typer.Option("--from", parser=read_date, metavar="DATE", help="The first day they serve.")
    ],
    expires: Annotated[
        date | None,
        typer.Option(
            parser=read_date, metavar="DATE", help="The first day without; by default the term's end."
        ),
    ] = None,
    grant_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="By default the next of g1, g2, …")
    ] = None,
    amend: Amend = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Add a grant of task runs to a contract."""
    from billing.contracts import add_grant

    with open_service() as service:
        add_grant(
            service.engine,
            id,
            runs,
            price,
            granted_on,
            expires_on=expires,
            grant_id=grant_id,
            by=OPERATOR,
            now=service.now(),
            amend=amend,
            reason=reason,
        )
    _show(id, as_json)


@command(group, "amend", example="billing contracts amend acme-2027 --end 2028-07-01 --extend-grants")
def amend_(
    id: Id,
    end: Annotated[
        date | None,
        typer.Option(parser=read_date, metavar="DATE", help="Another end of the term, the first of a month."),
    ] = None,
    extend_grants: Annotated[
        bool,
        typer.Option("--extend-grants", help="Grants that ended with the old term end with the new one."),
    ] = False,
    plan: Annotated[
        str | None, typer.Option(metavar="PLAN", help="Another plan for on-demand usage, with --from.")
    ] = None,
    from_month: Annotated[
        Month | None,
        typer.Option("--from", parser=read_month, metavar="MONTH", help="First month on that plan."),
    ] = None,
    amend: Amend = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Change the end of a contract's term, or the plan that prices its on-demand usage from a month on."""
    from billing.contracts import amend_contract

    with open_service() as service:
        amend_contract(
            service.engine,
            id,
            end=end,
            extend_grants=extend_grants,
            plan=plan,
            from_month=from_month,
            by=OPERATOR,
            now=service.now(),
            amend=amend,
            reason=reason,
        )
    _show(id, as_json)


@command(group, "withdraw", example="billing contracts withdraw acme-2027 --reason 'never signed'")
def withdraw(id: Id, reason: Reason = "", as_json: AsJson = False) -> None:
    """Take back a contract that was added by mistake, as long as nothing of it, and no month of its term, was
    invoiced."""
    from billing.contracts import withdraw_contract

    with open_service() as service:
        withdraw_contract(service.engine, id, by=OPERATOR, now=service.now(), reason=reason)
    if as_json:
        print_json({"id": id, "withdrawn": True})
    else:
        say(f"Contract {id} is withdrawn; it never held.")


@command(group, "deliver", example="billing contracts deliver acme-2027 Onboarding --on 2027-02-01")
def deliver(
    id: Id,
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="Its description, or its number in the contract.")
    ],
    on: Annotated[
        date | None, typer.Option(parser=read_date, metavar="DATE", help="By default today.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Record that a service of a contract was delivered."""
    from billing.contracts import deliver as record
    from metering.period import day_of

    with open_service() as opened:
        now = opened.now()
        record(opened.engine, id, service, on or day_of(now), by=OPERATOR, now=now)
    _show(id, as_json)


def _show(id: str, as_json: bool) -> None:
    from billing.cli.contract_text import print_contract
    from billing.run_balance import contract_with_balance
    from metering.period import day_of

    with open_service() as service:
        data = contract_with_balance(service.engine, service.store, id, service.now())
        today = day_of(service.now())
    if as_json:
        print_json(data)
    else:
        print_contract(data, today)
