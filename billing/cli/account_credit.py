"""billing accounts …: credit, and the referrals that earn it."""

from __future__ import annotations

from typing import Annotated

import typer

from billing.cli.commands import command
from billing.cli.options import OPERATOR, AccountArgument, AsJson
from billing.cli.output import print_json, say
from billing.cli.service import open_service


def add_to(group: typer.Typer) -> None:
    command(group, "refer", example="billing accounts refer acme newcomer")(refer)
    command(group, "credit", example="billing accounts credit acme 25.00 --reason 'the outage of 3 October'")(
        credit
    )
    command(group, "credits", example="billing accounts credits acme")(credits)


def refer(
    referrer: Annotated[str, typer.Argument(metavar="REFERRER", help="The account that is rewarded.")],
    referred: Annotated[str, typer.Argument(metavar="REFERRED", help="The account that it brought.")],
    as_json: AsJson = False,
) -> None:
    """Record who referred whom. The referrer is rewarded with credit (BILLING_REFERRAL_REWARD) once the other
    account has paid at least 1.00."""
    from billing.programs import refer as record

    with open_service() as service:
        pair = record(service.engine, referrer, referred, by=OPERATOR, now=service.now())
        reward = service.settings.referral_reward
    if as_json:
        print_json(pair)
    else:
        say(f"{referred} was referred by {referrer}: {reward:f} of credit once {referred} has paid.")


def credit(
    id: AccountArgument,
    amount: Annotated[
        str, typer.Argument(metavar="AMOUNT", help="Such as 25.00, in the account's currency.")
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What for, as the invoice will say it.")],
    as_json: AsJson = False,
) -> None:
    """Grant an account credit, which its next invoices use."""
    from billing.cli.account_text import print_credit
    from billing.cli.proposals import tell
    from billing.proposals import Proposal, perform
    from billing.proposals.deeds import CREDIT

    with open_service() as service:
        asked = {"account": id, "amount": amount, "reason": reason}
        data = perform(service, CREDIT, asked, by=OPERATOR)
        if isinstance(data, Proposal):
            tell(service, data, as_json)
            return
    if as_json:
        print_json(data)
    else:
        print_credit(data)


def credits(id: AccountArgument, as_json: AsJson = False) -> None:
    """Show an account's credit and its ledger: what was granted, and which invoices used it."""
    from billing.cli.account_text import print_credit
    from billing.credits import show_credit

    with open_service() as service:
        data = show_credit(service.engine, id)
    if as_json:
        print_json(data)
    else:
        print_credit(data)
