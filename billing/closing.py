"""The end of an account, and what is left of it (docs/rules.md §6, Closing)."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa

from billing.adjustments import to_adjust
from billing.audit.trail import changing
from billing.billing_details import check_text
from billing.credits import show_credit
from billing.errors import Refused
from billing.pricing.contract import Contract
from billing.pricing.days import first_day
from billing.pricing.drawdown import draw
from billing.repository import accounts, books, invoices, plans, terms
from billing.repository.accounts import Account
from billing.repository.terms import CLOSED, REOPENED, TermsEntry
from billing.run_balance import usage_of_term
from billing.terms import get_account, invoiced_months
from metering.database import reading
from metering.period import Month, day_of
from metering.store import EventStore


def close_account(
    engine: sa.Engine,
    store: EventStore,
    account_id: str,
    *,
    on: date | None = None,
    by: str,
    now: int,
    reason: str = "",
) -> dict[str, object]:
    """Close an account on a day, by default today: months up to that day's are billed as ever, the last one
    by the last invoice; usage of later months is not billed but reported by their runs. Late events are
    still adjusted. Answers what is left. Raises NotFound, Invalid, or Refused: if it is closed, and for a
    day before months that are invoiced."""
    check_text("reason", reason)
    day = on or day_of(now)
    with changing(
        engine, "account.closed", "account", account_id, now=now, by=by, reason=reason
    ) as connection:
        account = get_account(connection, account_id)
        if account.closed_on is not None:
            raise Refused(
                f"account {account_id} was closed on {account.closed_on}; to change that, reopen it first: "
                f"billing accounts reopen {account_id}"
            )
        later = [month for month in invoiced_months(connection, account_id) if first_day(month) > day]
        if later:
            raise Refused(
                f"account {account_id} is invoiced for {max(later)}; "
                "close it on a day of that month or later",
                field="on",
            )
        _record(connection, account_id, CLOSED, {"on": day.isoformat()}, by, now, reason)
        accounts.update(connection, account_id, closed_on=day.isoformat())
    return what_is_left(engine, store, account_id)


def reopen_account(engine: sa.Engine, account_id: str, *, by: str, now: int, reason: str = "") -> Account:
    """The account is billed again as if it had never been closed. Raises NotFound, Invalid, or Refused if it
    is not closed."""
    check_text("reason", reason)
    with changing(
        engine, "account.reopened", "account", account_id, now=now, by=by, reason=reason
    ) as connection:
        if get_account(connection, account_id).closed_on is None:
            raise Refused(f"account {account_id} is not closed; there is nothing to reopen")
        _record(connection, account_id, REOPENED, {}, by, now, reason)
        accounts.update(connection, account_id, closed_on=None)
        return get_account(connection, account_id)


def what_is_left(engine: sa.Engine, store: EventStore, account_id: str) -> dict[str, object]:
    """What an account that closes leaves behind: its last invoices to come, what the next one would adjust of
    those before it (`adjustments_to_come`, in minor units), committed runs that were not used, and credit.
    Raises NotFound."""
    with reading(engine) as connection:
        account = get_account(connection, account_id)
        held = books.load(connection, account)
        catalogue = plans.catalogue(connection)
        invoiced = invoices.months_with_usage_invoice(connection, account_id)
    assert account.closed_on is not None
    last = Month(account.closed_on.year, account.closed_on.month)
    to_come: list[Month] = []
    if account.billing_from <= last:
        usage = store.usage(account_id, account.billing_from.start, last.end, by="month")
        to_come = [month for each in usage.windows if (month := Month.of(each.start)) not in invoiced]
    return {
        "account": account_id,
        "closed_on": account.closed_on.isoformat(),
        "invoices_to_come": [str(month) for month in to_come],
        "adjustments_to_come": sum(each.difference.amount for each in to_adjust(store, held, catalogue)),
        "grants": [
            {
                "contract": contract.id,
                "grant": grant_id,
                "runs_left": runs,
                "expires_on": expires_on.isoformat(),
            }
            for contract in account.terms.contracts
            for grant_id, runs, expires_on in _left(store, contract, account.closed_on)
        ],
        "credit": show_credit(engine, account_id)["balance"],
        "currency": account.currency,
    }


def _left(store: EventStore, contract: Contract, closed_on: date) -> list[tuple[str, int, date]]:
    """The grants that have not expired when the account closes, with the runs that are left."""
    lasting = {grant.id: grant.expires_on for grant in contract.grants if grant.expires_on > closed_on}
    if not lasting:
        return []
    left = draw(contract.grants, usage_of_term(store, contract)).left
    return [(grant_id, left[grant_id], day) for grant_id, day in lasting.items() if left[grant_id]]


def _record(
    connection: sa.Connection,
    account_id: str,
    kind: str,
    data: dict[str, str],
    by: str,
    now: int,
    reason: str,
) -> None:
    entry = accounts.next_entry(connection, account_id)
    assert entry is not None
    terms.add_entry(connection, account_id, TermsEntry(entry, kind, data, False, by, reason, now))
