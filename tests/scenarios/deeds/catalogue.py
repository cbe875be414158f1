"""Plans, and accounts that move to them."""

from __future__ import annotations

import json
from pathlib import Path

from billing import accounts, plan_migration, plans
from metering.period import Month
from tests.scenarios.office import BY, Office
from tests.scenarios.story import day, rows, whole, yes
from tests.scenarios.verbs import does

ROOT = Path(__file__).parents[3]


@does("load plans from")
def load_plans(office: Office, value: str) -> None:
    plans.load_plan_text(office.engine, (ROOT / value).read_text("utf-8"), value, office.now)


@does("offer plan {plan}")
def offer_plan(
    office: Office, plan: str, *, from_: str = "2021-01-01", currency: str = "USD", brackets: str
) -> None:
    name, _, version = plan.partition("@")
    data = {
        "plan": name,
        "version": version,
        "effective_from": from_,
        "currency": currency,
        "brackets": [
            {"up_to": None if up_to == "beyond" else whole(up_to.removeprefix("up to ")), "unit_price": price}
            for up_to, price in rows(brackets, 2)
        ],
    }
    plans.load_plan_text(office.engine, json.dumps(data), "story.json", office.now)


@does("set plan of {account}")
def set_plan(office: Office, account: str, *, plan: str, from_: str, amend: str = "no") -> None:
    accounts.set_plan(
        office.engine, account, plan, Month.parse(from_), now=office.now, by=BY, amend=yes(amend)
    )


@does("move accounts to {plan}")
def migrate(
    office: Office, plan: str, *, from_: str, accounts: str = "", protect_until: str | None = None
) -> None:
    office.result = plan_migration.migrate_plan(
        office.engine,
        office.store,
        plan,
        Month.parse(from_),
        account_ids=accounts.split(),
        protect_until=None if protect_until is None else day(protect_until),
        by=BY,
        now=office.now,
    ).to_data()
