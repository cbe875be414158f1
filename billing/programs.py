"""Programs and referrals, the same for every door (docs/rules.md §5, 2 and 5)."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import sqlalchemy as sa

from billing.audit.trail import change, changing
from billing.billing_details import check_text
from billing.credits import grant_credit
from billing.errors import Invalid, Refused
from billing.pricing.errors import AmountError, PricingError, ProgramRefused
from billing.pricing.money import parse_amount, round_to_minor
from billing.pricing.program_application import Application, require_eligible
from billing.pricing.program_discount import Program, ProgramName, program_name
from billing.pricing.terms import ProgramEnd
from billing.repository import accounts, referrals, terms
from billing.repository.accounts import Account
from billing.repository.credits import CreditKind
from billing.repository.terms import REFUSED, TermsEntry
from billing.terms import change_terms, get_account
from metering.database import reading, writing
from metering.period import day_of

# What the referred account must really have paid before the referrer is rewarded, in major units.
PAID_AT_LEAST = "1"

_PERCENTAGE = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,20})?", re.ASCII).fullmatch
# Who gives credit for a referral.
REWARD = "referral"


def apply_program(
    engine: sa.Engine,
    account_id: str,
    program: str,
    *,
    percent: str,
    until: date,
    starts_on: date | None = None,
    founded_on: date | None = None,
    raised: str | None = None,
    by: str,
    now: int,
    amend: bool = False,
    reason: str = "",
) -> Account:
    """An application, judged on its facts and, if they meet the program, approved by who records it:
    `percent` off on the days from `starts_on` (by default today) up to `until`, the first day without.
    `raised` is in USD. One that fails is recorded with the reason, and raises Refused. Raises NotFound,
    Invalid."""
    check_text("reason", reason)
    today = day_of(now)
    try:
        name = program_name(program)
        joined = Program(name, _percentage(percent), starts_on or today, until)
        if name is ProgramName.STARTUPS:
            _require_facts(founded_on, raised)
        cents = None if raised is None else parse_amount(raised, "USD")
        application = Application(name, today, founded_on, cents)
    except AmountError as error:
        raise Invalid(str(error), field="raised") from None
    except PricingError as error:
        raise Invalid(str(error), field=error.field or "program") from None
    if cents is not None and cents < 0:
        raise Invalid(f"raised must be 0 or more, not {raised}", field="raised")
    facts = {
        "applied_on": today.isoformat(),
        "founded_on": None if founded_on is None else founded_on.isoformat(),
        "raised": cents,
    }
    try:
        require_eligible(application)
    except ProgramRefused as error:
        with changing(
            engine, "account.program_refused", "account", account_id, now=now, by=by, reason=str(error)
        ) as connection:
            get_account(connection, account_id)
            entry = accounts.next_entry(connection, account_id)
            assert entry is not None
            data = {"name": name.value, **facts}
            refused = TermsEntry(entry, REFUSED, data, False, by, str(error), now)
            terms.add_entry(connection, account_id, refused)
        raise Refused(str(error), field="program") from None
    with changing(
        engine, "account.program_joined", "account", account_id, now=now, by=by, reason=reason
    ) as connection:
        return change_terms(
            connection, account_id, joined, by=by, now=now, amend=amend, reason=reason, facts=facts
        )


def leave_program(
    engine: sa.Engine,
    account_id: str,
    program: str,
    on: date,
    *,
    by: str,
    now: int,
    amend: bool = False,
    reason: str = "",
) -> Account:
    """The account leaves a program earlier than agreed; `on` is the first day without. Raises NotFound,
    Invalid, Refused."""
    try:
        change = ProgramEnd(program_name(program), on)
    except PricingError as error:
        raise Invalid(str(error), field="program") from None
    with changing(
        engine, "account.program_left", "account", account_id, now=now, by=by, reason=reason
    ) as connection:
        return change_terms(connection, account_id, change, by=by, now=now, amend=amend, reason=reason)


def _require_facts(founded_on: date | None, raised: str | None) -> None:
    if founded_on is None:
        raise Invalid("program startups: say when it was founded", field="founded_on")
    if raised is None:
        raise Invalid("program startups: say how much it has raised, in USD", field="raised")


def _percentage(text: str) -> Decimal:
    if _PERCENTAGE(text) is None:
        raise Invalid(f"percent {text[:40]!r} is not a number such as 50 or 12.5", field="percent")
    return Decimal(text)


def refer(engine: sa.Engine, referrer: str, referred: str, *, by: str, now: int) -> dict[str, object]:
    """Record who referred whom: an account has one referrer, never itself, and never one that it brought
    itself. Raises NotFound, Refused."""
    with changing(engine, "account.referred", "account", referred, now=now, by=by) as connection:
        for account_id in (referrer, referred):
            get_account(connection, account_id)
        if referrer == referred:
            raise Refused(f"account {referred} cannot refer itself", field="referred")
        # Accounts refer one another in a tree: locked at its root, two pairs never close a circle at once.
        referrals.lock(connection)
        held = referrals.referrers(connection)
        if referred in held:
            raise Refused(
                f"account {referred} was referred by {held[referred]} already; an account has one referrer",
                field="referred",
            )
        above = referrer
        while above in held:
            above = held[above]
            if above == referred:
                raise Refused(
                    f"account {referred} referred {referrer} itself, directly or through others; "
                    "referrals do not go in a circle",
                    field="referrer",
                )
        referrals.add(connection, referrer, referred, by=by, now=now)
    return {"referrer": referrer, "referred": referred, "rewarded": False}


def grant_referral_rewards(engine: sa.Engine, reward: Decimal, now: int) -> list[tuple[str, str]]:
    """Reward the referrers of accounts that have really paid at least 1.00, each pair once. Answers the pairs
    (referrer, referred) that were rewarded now. A reward of 0 grants nothing."""
    if not reward:
        return []
    with reading(engine) as connection:
        waiting = referrals.waiting(connection)
    return [(pair.referrer, pair.referred) for pair in waiting if _reward(engine, pair.referred, reward, now)]


def _reward(engine: sa.Engine, referred: str, reward: Decimal, now: int) -> bool:
    with writing(engine) as connection:
        referrals.lock(connection)
        pair = referrals.get(connection, referred)
        assert pair is not None
        paid = referrals.paid(connection, referred)
        currency = get_account(connection, referred).currency
        if pair.credit_id is not None or paid < parse_amount(PAID_AT_LEAST, currency):
            return False
        theirs = get_account(connection, pair.referrer).currency
        with (
            change(connection, "account.credited", "account", pair.referrer, now=now, by=REWARD),
            change(connection, "account.referral_rewarded", "account", referred, now=now, by=REWARD),
        ):
            credit = grant_credit(
                connection,
                pair.referrer,
                CreditKind.REFERRAL,
                round_to_minor(reward, theirs),
                f"referral of {referred}",
                by=REWARD,
                now=now,
            )
            referrals.rewarded(connection, referred, credit.credit_id)
        return True
