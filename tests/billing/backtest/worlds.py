"""Installations with all that may be agreed, and the ordinary way to price their months, one by one."""

from __future__ import annotations

import json
import random
from datetime import date
from typing import Any

from billing.accounts import add_account, set_plan
from billing.audit.trail import changing
from billing.contracts import add_contract
from billing.grandfathering import protect
from billing.plans import load_plan_text
from billing.pricing.adjustment import priced
from billing.pricing.books import Books, own_basis
from billing.pricing.catalogue import Catalogue
from billing.pricing.contract_file import contract_from_data
from billing.pricing.invoice import compose
from billing.programs import apply_program
from billing.repository import accounts, plans
from billing.repository.accounts import Account, is_after_closing
from metering.database import reading
from metering.event import TaskRunEvent
from metering.outcome import Outcome
from metering.period import DAY_US, SECOND_US, Month
from metering.usage import Counts
from tests.world import World

FIRST, LAST = Month(2026, 7), Month(2026, 10)
MONTHS = [FIRST, Month(2026, 8), Month(2026, 9), LAST]


def plan_text(plan: str, version: str, *brackets: tuple[int | None, str], currency: str = "USD") -> str:
    return json.dumps(
        {
            "plan": plan,
            "version": version,
            "effective_from": "2026-01-01",
            "currency": currency,
            "brackets": [{"up_to": up_to, "unit_price": price} for up_to, price in brackets],
        }
    )


CATALOGUE = (
    plan_text("flow", "v1", (3, "0"), (8, "0.335"), (None, "0.1")),
    plan_text("flow", "v2", (5, "0"), (None, "0.25")),
    plan_text("task", "v1", (None, "0.125")),
    plan_text("fluss", "v1", (2, "0"), (None, "3"), currency="JPY"),
)
DRAFT = plan_text("flow", "draft", (2, "0"), (10, "0.301"), (None, "0.2"))


def random_world(world: World, seed: int) -> World:
    """Some accounts on four plans, with changes of plan, programs, protections and contracts, that ran
    something in four months; one is closed in one of them, one is billed from the third on, and one is not
    known."""
    chance = random.Random(seed)
    engine, now = world.engine, world.instant
    facts: dict[str, Any] = {"by": "operator", "now": now}
    for text in CATALOGUE:
        load_plan_text(engine, text, "plan.json", now)
    for number in range(10):
        name = f"account-{number}"
        plan = chance.choice(["flow@v1", "flow@v2", "flow@v1", "task@v1", "fluss@v1"])
        currency = "JPY" if plan.startswith("fluss") else "USD"
        since = Month(2026, 9) if number == 3 else Month(2026, 1)
        add_account(engine, name, now=now, currency=currency, plan=plan, billing_from=since)
        if currency == "USD" and chance.random() < 0.4:
            set_plan(engine, name, chance.choice(["flow@v2", "task@v1"]), Month(2026, 9), now=now)
        if chance.random() < 0.4:
            percent = str(chance.choice([10, "33.3333", 100]))
            starts = chance.choice([date(2026, 7, 1), date(2026, 8, 2)])
            apply_program(
                engine, name, "academia", percent=percent, starts_on=starts, until=date(2026, 10, 1), **facts
            )
        if chance.random() < 0.4:
            charge = str(chance.randrange(1, 4))
            protect(engine, name, charge, date(2026, 10, 1), from_month=Month(2026, 8), **facts)
        if currency == "USD" and chance.random() < 0.4:
            term = {"id": f"c-{number}", "account": name, "start": "2026-06-01", "end": "2026-10-01"}
            grant = {"id": "g", "runs": chance.randrange(1, 25), "price": "1.00"}
            agreed = {"plan": "flow@v1", "currency": "USD", "instalments": "upfront", "grants": [grant]}
            add_contract(engine, contract_from_data(term | agreed), **facts)
    with changing(engine, "account.closed", "account", "account-4", now=now) as connection:
        accounts.update(connection, "account-4", closed_on="2026-08-15")
    durations = [400_000, 700_000, 1_000_000, 1_500_000, 2_000_000, 3 * SECOND_US]
    told = []
    for name in [f"account-{number}" for number in range(10)] + ["stranger"]:
        for number in range(chance.randrange(5, 60)):
            at = FIRST.start + chance.randrange(-20, (LAST.end - FIRST.start) // DAY_US) * DAY_US
            state = chance.choice(["COMPLETED"] * 8 + ["FAILED", "CACHED"])
            told.append(TaskRunEvent(name, f"run-{number}", state, 0, at, chance.choice(durations)))
    world.send(told)
    return world


def every_account(world: World) -> tuple[list[Account], Catalogue]:
    with reading(world.engine) as connection:
        return accounts.every(connection), plans.catalogue(connection)


def one_by_one(
    world: World, account: Account, catalogue: Catalogue, month: Month, threshold_us: int | None = None
) -> tuple[int, int] | None:
    """The usage lines and the price of an account's month by the ordinary functions; None where it is not
    billed. With a threshold: of the runs that it would count."""
    if month < account.billing_from or is_after_closing(account, month):
        return None
    start = Month(2026, 1).start
    if threshold_us is None:
        usage = world.store.days(account.id, start, month.end, world.store.cutoff().position)
    else:
        runs = world.store.days_at([account.id], start, month.end, threshold_us)[account.id]
        usage = {day: Counts({Outcome.BILLABLE: quantity}) for day, quantity in runs.items()}
    books = Books(account.id, account.currency, account.terms)
    lines = compose(own_basis(books, catalogue, month, usage)).lines
    return sum(line.amount for line in lines if line.kind in ("usage", "on_demand")), priced(lines).amount
