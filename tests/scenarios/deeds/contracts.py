"""Contracts of committed runs."""

from __future__ import annotations

from billing import contracts
from billing.pricing.contract import Contract, Grant, Instalments, Service
from billing.pricing.money import parse_amount
from metering.period import Month
from tests.scenarios.office import BY, Office
from tests.scenarios.story import day, money, rows, whole, yes
from tests.scenarios.verbs import does


@does("sign contract {contract}")
def sign(
    office: Office,
    contract: str,
    *,
    account: str,
    term: str,
    plan: str,
    grants: str = "",
    services: str = "",
    currency: str = "USD",
    instalments: str = "upfront",
    amend: str = "no",
) -> None:
    """A row each: of `grants` id, runs, price, `2026-01-01 to 2027-01-01`; of `services` what, price, due."""
    start, _, end = term.partition(" to ")
    held = []
    for grant, runs, price, usable in rows(grants, 4):
        first, _, last = usable.partition(" to ")
        minor = parse_amount(money(price), currency)
        held.append(Grant(grant, whole(runs), minor, day(first), day(last)))
    made = Contract(
        contract,
        account,
        day(start),
        day(end),
        plan,
        currency,
        Instalments(instalments),
        tuple(held),
        tuple(
            Service(what, parse_amount(money(price), currency), day(due))
            for what, price, due in rows(services, 3)
        ),
    )
    contracts.add_contract(office.engine, made, by=BY, now=office.now, amend=yes(amend))


@does("grant more in {contract}")
def grant(
    office: Office,
    contract: str,
    *,
    runs: str,
    price: str,
    from_: str,
    until: str | None = None,
    id: str | None = None,
    amend: str = "no",
) -> None:
    contracts.add_grant(
        office.engine,
        contract,
        whole(runs),
        money(price),
        day(from_),
        expires_on=None if until is None else day(until),
        grant_id=id,
        by=BY,
        now=office.now,
        amend=yes(amend),
    )


@does("change contract {contract}")
def amend_contract(
    office: Office,
    contract: str,
    *,
    end: str | None = None,
    extend_grants: str = "no",
    plan: str | None = None,
    from_: str | None = None,
    amend: str = "no",
) -> None:
    contracts.amend_contract(
        office.engine,
        contract,
        end=None if end is None else day(end),
        extend_grants=yes(extend_grants),
        plan=plan,
        from_month=None if from_ is None else Month.parse(from_),
        by=BY,
        now=office.now,
        amend=yes(amend),
    )


@does("withdraw contract {contract}")
def withdraw(office: Office, value: str, contract: str) -> None:
    contracts.withdraw_contract(office.engine, contract, by=BY, now=office.now, reason=value)
