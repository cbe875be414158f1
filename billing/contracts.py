"""Operations on contracts of committed runs, the same for every door (docs/rules.md §4).

A contract is part of its account's terms: it is recorded, and changed by further entries, never edited.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import date

import sqlalchemy as sa

from billing.audit.trail import change, changing
from billing.errors import Invalid, NotFound, Refused
from billing.pricing.contract import LONGEST_ID, Contract, Grant, Instalments, plan_of
from billing.pricing.contract_file import contract_to_data, parse_contract_file
from billing.pricing.days import first_day
from billing.pricing.errors import PricingError
from billing.pricing.money import parse_amount
from billing.pricing.terms import MoreRuns, NewEnd, NewPlan, Withdrawal
from billing.repository import accounts, contracts, invoices, plans
from billing.terms import change_terms, get_account, invoiced_months
from metering.database import reading, writing
from metering.period import Month, day_of, format_instant


def load_contract_text(
    engine: sa.Engine, text: str, name: str, *, by: str, now: int, amend: bool = False, reason: str = ""
) -> Contract:
    """Add the contract of a file's text; the suffix of `name` says how to read it. Raises as
    `add_contract`."""
    try:
        contract = parse_contract_file(text, name)
    except PricingError as error:
        raise Invalid(str(error), field=error.field or "contract") from None
    return add_contract(engine, contract, by=by, now=now, amend=amend, reason=reason)


def add_contract(
    engine: sa.Engine, contract: Contract, *, by: str, now: int, amend: bool = False, reason: str = ""
) -> Contract:
    """Record a contract; a plan named without a version is fixed to the newest in effect at its start. Raises
    NotFound for an unknown account, Invalid, or Refused for an id that is taken or a month that is invoiced
    (unless `amend`)."""
    with changing(
        engine, "account.contract_added", "account", contract.account, now=now, by=by, reason=reason
    ) as connection:
        return record_contract(connection, contract, by=by, now=now, amend=amend, reason=reason)


def record_contract(
    connection: sa.Connection,
    contract: Contract,
    *,
    by: str,
    now: int,
    amend: bool = False,
    reason: str = "",
) -> Contract:
    """`add_contract` within the caller's transaction."""
    account = get_account(connection, contract.account)
    if contract.currency != account.currency:
        raise Invalid(
            f"contract {contract.id} is in {contract.currency}, account {account.id} is billed in "
            f"{account.currency}; write the contract in that currency",
            field="currency",
        )
    fixed = _with_fixed_plan(connection, contract)
    owner = contracts.add(connection, fixed.id, account.id)
    if owner is not None:
        raise Refused(
            f"there is a contract {contract.id} already, of account {owner}; give this one another id",
            field="id",
        )
    change_terms(connection, account.id, fixed, by=by, now=now, amend=amend, reason=reason)
    return fixed


def add_grant(
    engine: sa.Engine,
    contract_id: str,
    runs: int,
    price: str,
    granted_on: date,
    *,
    expires_on: date | None = None,
    grant_id: str | None = None,
    by: str,
    now: int,
    amend: bool = False,
    reason: str = "",
) -> Contract:
    """More runs: `price` is that of the grant as a whole, in major units; it expires with the contract's term
    unless said otherwise; without an id it gets the next of g1, g2, … Raises NotFound, Invalid, Refused."""
    with writing(engine) as connection:
        contract = _locked(connection, contract_id)
        with _changed(connection, "account.runs_granted", contract, now, by, reason):
            try:
                amount = parse_amount(price, contract.currency)
            except PricingError as error:
                raise Invalid(f"the price {error}", field="price") from None
            new_id = _next_grant_id(contract) if grant_id is None else grant_id
            grant = Grant(new_id, runs, amount, granted_on, expires_on or contract.end)
            change = MoreRuns(contract_id, grant)
            change_terms(connection, contract.account, change, by=by, now=now, amend=amend, reason=reason)
            return _get(connection, contract_id)


def amend_contract(
    engine: sa.Engine,
    contract_id: str,
    *,
    end: date | None = None,
    extend_grants: bool = False,
    plan: str | None = None,
    from_month: Month | None = None,
    by: str,
    now: int,
    amend: bool = False,
    reason: str = "",
) -> Contract:
    """Another end of the term, or another plan for on-demand usage from a month on, or both. `extend_grants`:
    grants that ended with the old term end with the new one. Raises NotFound, Invalid, Refused."""
    if extend_grants and end is None:
        raise Invalid("grants are extended with the term; say its new end as well", field="end")
    if end is None and plan is None:
        raise Invalid("say what changes: another end, or another plan from a month on", field="end")
    if (plan is None) != (from_month is None):
        raise Invalid("another plan needs the month from which it holds, and a month its plan", field="plan")
    with writing(engine) as connection:
        contract = _locked(connection, contract_id)
        with _changed(connection, "account.contract_amended", contract, now, by, reason):
            changes: list[NewEnd | NewPlan] = []
            if end is not None:
                changes.append(NewEnd(contract_id, end, extend_grants))
            if plan is not None and from_month is not None:
                version = _resolve(connection, plan, from_month, contract)
                changes.append(NewPlan(contract_id, from_month, version))
            for change in changes:
                change_terms(connection, contract.account, change, by=by, now=now, amend=amend, reason=reason)
            return _get(connection, contract_id)


def withdraw_contract(engine: sa.Engine, contract_id: str, *, by: str, now: int, reason: str = "") -> None:
    """Take back a contract that was recorded by mistake: as long as nothing of it was invoiced, and no month
    that it has a say in; drafts of its term are deleted. Raises NotFound, Refused."""
    with writing(engine) as connection:
        contract = _locked(connection, contract_id)
        with _changed(connection, "account.contract_withdrawn", contract, now, by, reason):
            instead = f"end it instead: billing contracts amend {contract_id} --end DATE"
            if invoices.was_contract_invoiced(connection, contract_id):
                raise Refused(f"contract {contract_id} was invoiced; {instead}", field="id")
            months = [each for each in invoiced_months(connection, contract.account) if contract.covers(each)]
            if months:
                raise Refused(
                    f"account {contract.account} is invoiced for {max(months)}, in the term of contract "
                    f"{contract_id}; {instead}",
                    field="id",
                )
            change_terms(connection, contract.account, Withdrawal(contract_id), by=by, now=now, reason=reason)
            invoices.delete_drafts_under(connection, contract_id)
            contracts.remove(connection, contract_id)


def deliver(engine: sa.Engine, contract_id: str, service: str, on: date, *, by: str, now: int) -> Contract:
    """A service was delivered on a day; `service` is its number in the contract, or its description. Raises
    NotFound, Invalid, Refused if it was delivered before."""
    with writing(engine) as connection:
        contract = _locked(connection, contract_id)
        with _changed(connection, "account.service_delivered", contract, now, by, ""):
            number = _service_number(contract, service)
            if on > day_of(now):
                raise Invalid(f"{on} is still to come; record a delivery when it is done", field="on")
            before = contracts.delivered(connection, contract_id).get(number)
            if before is not None:
                raise Refused(
                    f"service {number} of contract {contract_id} was delivered on {before} already",
                    field="service",
                )
            contracts.deliver(connection, contract_id, number, on, by=by, now=now)
    return contract


def list_contracts(
    engine: sa.Engine, *, account: str | None = None, after: str = "", limit: int | None = None
) -> list[Contract]:
    """Contracts in the order of their ids, of one account or of all."""
    with reading(engine) as connection:
        found = contracts.every(connection, account=account, after=after, limit=limit)
        owners = {owner: get_account(connection, owner) for owner in {each[1] for each in found}}
    return [owners[owner].terms.find_contract(contract_id) for contract_id, owner in found]


def show_contract(engine: sa.Engine, contract_id: str, *, account: str | None = None) -> Contract:
    """A contract as it holds now; of one account only, where given. Raises NotFound."""
    with reading(engine) as connection:
        contract = _get(connection, contract_id)
    if account not in (None, contract.account):
        raise no_contract(contract_id)
    return contract


def contract_data(engine: sa.Engine, contract: Contract) -> dict[str, object]:
    """A contract in the shape of its file, with the plans that price its on-demand usage and from when on,
    what was delivered, what is left of each grant as the ledger has it, and the ledger."""
    with reading(engine) as connection:
        repriced = get_account(connection, contract.account).terms.repriced
        entries = contracts.ledger(connection, contract.id)
        delivered = contracts.delivered(connection, contract.id)
    data = contract_to_data(contract)
    grants, services = data["grants"], data["services"]
    assert isinstance(grants, list)
    assert isinstance(services, list)
    for grant in grants:
        grant["left"] = sum(entry.quantity for entry in entries if entry.grant == grant["id"])
    for number, service in enumerate(services, start=1):
        on = delivered.get(number)
        service["delivered_on"] = None if on is None else on.isoformat()
    later = [(str(each.from_month), each.plan) for each in repriced if each.contract == contract.id]
    return data | {
        "plans": [
            {"from": from_month, "plan": plan}
            for from_month, plan in [(f"{contract.start:%Y-%m}", contract.plan), *later]
        ],
        "balance": sum(entry.quantity for entry in entries),
        "ledger": [
            {
                "kind": entry.kind.value,
                "grant": entry.grant,
                "effective_on": entry.effective_on.isoformat(),
                "quantity": entry.quantity,
                "corrects": None if entry.corrects is None else entry.corrects.value,
                "recorded_at": format_instant(entry.recorded_at),
            }
            for entry in entries
        ],
    }


def _get(connection: sa.Connection, contract_id: str) -> Contract:
    owner = contracts.account_of(connection, contract_id)
    if owner is None:
        raise no_contract(contract_id)
    return get_account(connection, owner).terms.find_contract(contract_id)


def _changed(
    connection: sa.Connection, deed: str, contract: Contract, now: int, by: str, reason: str
) -> AbstractContextManager[None]:
    return change(connection, deed, "account", contract.account, now=now, by=by, reason=reason)


def _locked(connection: sa.Connection, contract_id: str) -> Contract:
    """The contract, while no other writer gets at its account's books. Raises NotFound."""
    accounts.lock(connection, _get(connection, contract_id).account)
    return _get(connection, contract_id)


def no_contract(contract_id: str) -> NotFound:
    return NotFound(f"there is no contract {contract_id!r}; see: billing contracts list", field="id")


def _with_fixed_plan(connection: sa.Connection, contract: Contract) -> Contract:
    """The contract with its plan's version: one that is loaded later does not change what was agreed."""
    try:
        version = plan_of(contract, plans.catalogue(connection))
    except PricingError as error:
        raise Invalid(f"contract {contract.id}: {error}", field="plan") from None
    return contract.with_plan(version.id)


def _resolve(connection: sa.Connection, plan: str, month: Month, contract: Contract) -> str:
    try:
        return plan_of(contract.with_plan(plan), plans.catalogue(connection), month).id
    except PricingError as error:
        raise Invalid(f"contract {contract.id}: {error}", field="plan") from None


def _next_grant_id(contract: Contract) -> str:
    held = {grant.id for grant in contract.grants}
    number = len(held) + 1
    while f"g{number}" in held:
        number += 1
    return f"g{number}"


def _service_number(contract: Contract, service: str) -> int:
    descriptions = [each.description for each in contract.services]
    if service.isascii() and service.isdecimal() and 1 <= int(service) <= len(descriptions):
        return int(service)
    same = [n for n, text in enumerate(descriptions, start=1) if text.casefold() == service.casefold()]
    if len(same) == 1:
        return same[0]
    listed = "; ".join(f"{number} {text}" for number, text in enumerate(descriptions, start=1))
    raise Invalid(
        f"contract {contract.id} has no one service {service!r}; name it by its number: {listed or 'none'}",
        field="service",
    )


def opening_contract(
    account_id: str, currency: str, plan: str, start: Month, runs: int, until: date
) -> Contract:
    """The contract of an account that moves in with runs it has paid for elsewhere. Raises Invalid."""
    try:
        return Contract(
            id=f"{account_id}-opening"[-LONGEST_ID:],
            account=account_id,
            start=first_day(start),
            end=until,
            plan=plan,
            currency=currency,
            instalments=Instalments.UPFRONT,
            grants=(Grant("opening", runs, 0, first_day(start), until),),
        )
    except PricingError as error:
        field = "opening_runs" if error.field == "runs" else "opening_runs_until"
        raise Invalid(str(error), field=field) from None
