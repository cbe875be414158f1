"""Accounts, and what is agreed with them."""

from __future__ import annotations

from datetime import date

from billing import accounts, closing, credits, grandfathering, programs
from metering.period import Month
from tests.scenarios.office import BY, Office
from tests.scenarios.story import day, money, whole, yes
from tests.scenarios.verbs import does


@does("add account {account}")
def add_account(
    office: Office,
    account: str,
    *,
    plan: str = "starter",
    billed_from: str | None = None,
    currency: str = "USD",
    legacy_charge: str | None = None,
    protected_until: str | None = None,
    opening_credit: str | None = None,
    opening_runs: str | None = None,
    opening_runs_until: str | None = None,
) -> None:
    accounts.add_account(
        office.engine,
        account,
        now=office.now,
        currency=currency,
        plan=plan,
        billing_from=None if billed_from is None else Month.parse(billed_from),
        legacy_charge=None if legacy_charge is None else money(legacy_charge),
        protected_until=None if protected_until is None else day(protected_until),
        opening_credit=None if opening_credit is None else money(opening_credit),
        opening_runs=None if opening_runs is None else whole(opening_runs),
        opening_runs_until=None if opening_runs_until is None else day(opening_runs_until),
    )


@does("program for {account}")
def apply_program(
    office: Office,
    account: str,
    *,
    program: str,
    percent: str,
    until: str,
    from_: str | None = None,
    founded: str | None = None,
    raised: str | None = None,
    amend: str = "no",
) -> None:
    programs.apply_program(
        office.engine,
        account,
        program,
        percent=percent,
        until=day(until),
        starts_on=None if from_ is None else day(from_),
        founded_on=None if founded is None else day(founded),
        raised=None if raised is None else money(raised),
        by=BY,
        now=office.now,
        amend=yes(amend),
    )


@does("{account} leaves program {program}")
def leave_program(office: Office, account: str, program: str, *, on: str, amend: str = "no") -> None:
    programs.leave_program(office.engine, account, program, day(on), by=BY, now=office.now, amend=yes(amend))


@does("protect {account}")
def protect(office: Office, account: str, *, charge: str, until: str, from_: str, amend: str = "no") -> None:
    grandfathering.protect(
        office.engine,
        account,
        money(charge),
        day(until),
        now=office.now,
        from_month=Month.parse(from_),
        by=BY,
        amend=yes(amend),
    )


@does("credit {account}")
def credit(office: Office, account: str, *, amount: str, reason: str) -> None:
    credits.add_credit(office.engine, account, money(amount), reason, by=BY, now=office.now)


@does("{referrer} refers {referred}")
def refer(office: Office, value: str, referrer: str, referred: str) -> None:
    programs.refer(office.engine, referrer, referred, by=BY, now=office.now)


@does("close {account}")
def close(office: Office, value: str, account: str) -> None:
    office.result = closing.close_account(
        office.engine, office.store, account, on=date.fromisoformat(value), by=BY, now=office.now
    )


@does("reopen {account}")
def reopen(office: Office, value: str, account: str) -> None:
    closing.reopen_account(office.engine, account, by=BY, now=office.now)
