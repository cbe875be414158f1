"""Changes of an account's terms: recorded, never edited, and refused where they would reach into a month that
is invoiced already, unless they are made as an amendment (docs/rules.md §3, Months and plans)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from billing.billing_details import check_text
from billing.errors import Invalid, NotFound, Refused
from billing.pricing.errors import ContractError, ContractsOverlap, PricingError
from billing.pricing.terms import Change, NewEnd, ProgramEnd, Terms, Withdrawal, changed
from billing.repository import accounts, invoices, terms
from billing.repository.accounts import Account
from billing.repository.terms import TermsEntry
from metering.database import reading
from metering.period import Month, format_instant


def get_account(connection: sa.Connection, account_id: str) -> Account:
    """Raises NotFound."""
    account = accounts.get(connection, account_id)
    if account is None:
        raise no_account(account_id)
    return account


def no_account(account_id: str) -> NotFound:
    return NotFound(f"there is no account {account_id!r}; add it with: billing accounts add {account_id}")


def change_terms(
    connection: sa.Connection,
    account_id: str,
    change: Change,
    *,
    by: str,
    now: int,
    amend: bool = False,
    reason: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Account:
    """Record a change within the caller's transaction; answers the account as it is then. A change that
    changes the price of an invoiced month is refused unless `amend`; it is then billed or credited by the
    next invoice, as an adjustment. Raises NotFound, Invalid, or Refused."""
    check_text("reason", reason)
    entry = accounts.next_entry(connection, account_id)
    account = get_account(connection, account_id)
    assert entry is not None
    reached = reached_by(connection, account, _changed(account.terms, change))
    if reached and not amend:
        raise _reach_invoiced(account, reached, change)
    terms.add(
        connection,
        account_id,
        entry,
        change,
        facts=facts,
        amendment=bool(reached),
        by=by,
        reason=reason,
        now=now,
    )
    return get_account(connection, account_id)


def check_change(connection: sa.Connection, account: Account, change: Change) -> None:
    """Raises what `change_terms` would for this change, without an amendment; records nothing."""
    reached = reached_by(connection, account, _changed(account.terms, change))
    if reached:
        raise _reach_invoiced(account, reached, change)


def reached_by(connection: sa.Connection, account: Account, after: Terms) -> list[Month]:
    """The invoiced months whose price may be another on these terms than on the account's."""
    return [
        month
        for month in invoiced_months(connection, account.id)
        if after.in_month(month) != account.terms.in_month(month)
    ]


def invoiced_months(connection: sa.Connection, account_id: str) -> list[Month]:
    """The months with a live usage invoice."""
    return [each.month for each in invoices.live_usage_invoices(connection, account_id)]


def list_terms(engine: sa.Engine, account_id: str) -> list[dict[str, object]]:
    """All that was agreed with an account, in the order in which it was recorded, in the shape of JSON
    answers. Raises NotFound."""
    with reading(engine) as connection:
        get_account(connection, account_id)
        return [_entry_data(each) for each in terms.history(connection, account_id)]


def _entry_data(entry: TermsEntry) -> dict[str, object]:
    return {
        "entry": entry.entry,
        "kind": entry.kind,
        "data": dict(entry.data),
        "amendment": entry.amendment,
        "author": entry.author,
        "reason": entry.reason,
        "recorded_at": format_instant(entry.recorded_at),
    }


def _changed(before: Terms, change: Change) -> Terms:
    try:
        return changed(before, change)
    except ContractsOverlap as error:
        raise Refused(str(error), field=error.field) from None
    except PricingError as error:
        field = error.field or ("contract" if isinstance(error, ContractError) else None)
        raise Invalid(str(error), field=field) from None


def _reach_invoiced(account: Account, reached: list[Month], change: Change) -> Refused:
    if isinstance(change, Withdrawal):  # its term is not invoiced: what is left of it is its plan
        first, plan = min(reached), account.terms.plan(min(reached))
        return Refused(
            f"account {account.id} is invoiced for {first} on plan {plan}, which went on after contract "
            f"{change.contract}; void that invoice, or agree on the plan for itself first: "
            f"billing accounts set-plan {account.id} {plan} --from {first}",
            field="id",
        )
    field = {NewEnd: "end", ProgramEnd: "on"}.get(type(change), "from")
    return Refused(
        f"account {account.id} is invoiced for {max(reached)} already, which this would change; choose a "
        "later month, or make it an amendment, which the next invoice bills or credits: --amend",
        field=field,
    )
