"""Writes down what contracts' committed runs came to: the run ledger, only ever added to (docs/rules.md §4).

What was drawn is a function of the grants and of usage known now; the ledger is the record of it. This adds
what is missing, and corrects what late usage or an amendment changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import sqlalchemy as sa

from billing.contracts import contract_data, show_contract
from billing.pricing.contract import Contract
from billing.pricing.drawdown import draw
from billing.pricing.run_ledger import Entry, to_record
from billing.repository import accounts, contracts
from billing.terms import get_account
from metering.database import reading, writing
from metering.period import day_of, day_start
from metering.store import EventStore


def usage_of_term(store: EventStore, contract: Contract) -> Mapping[date, int]:
    """The billable runs of the days of the contract's term, as they are known now."""
    return store.billable_days(contract.account, day_start(contract.start), day_start(contract.end))


def record_contract_runs(engine: sa.Engine, store: EventStore, contract_id: str, now: int) -> list[Entry]:
    """Bring one contract's ledger up to date; answers what was added. Usage is recorded of days that are
    over, grants and expiries up to today."""
    today = day_of(now)
    with writing(engine) as connection:
        owner = contracts.account_of(connection, contract_id)
        if owner is not None:
            accounts.lock(connection, owner)
            owner = contracts.account_of(connection, contract_id)
        if owner is None:
            return []  # withdrawn meanwhile
        contract = get_account(connection, owner).terms.find_contract(contract_id)
        over = {day: runs for day, runs in usage_of_term(store, contract).items() if day < today}
        held = contracts.ledger(connection, contract_id)
        new = to_record(held, contract.grants, draw(contract.grants, over), as_of=today, recorded_at=now)
        contracts.record(connection, contract_id, len(held), new)
    return list(new)


def contract_with_balance(
    engine: sa.Engine, store: EventStore, contract_id: str, now: int, *, account: str | None = None
) -> dict[str, object]:
    """A contract in the shape of JSON answers, its ledger brought up to date before; of one account only,
    where given. Raises NotFound."""
    show_contract(engine, contract_id, account=account)
    record_contract_runs(engine, store, contract_id, now)
    return contract_data(engine, show_contract(engine, contract_id, account=account))


def record_runs(engine: sa.Engine, store: EventStore, now: int) -> int:
    """Bring all ledgers up to date; answers how many entries were added."""
    with reading(engine) as connection:
        ids = [contract_id for contract_id, _ in contracts.every(connection)]
    return sum(len(record_contract_runs(engine, store, each, now)) for each in ids)
