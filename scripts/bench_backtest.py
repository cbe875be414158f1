"""Measures a backtest on this machine: every account's months priced again under a draft.

    scripts/bench --backtest 100000 [--months 12] [--database-url URL]

Counters and accounts are written as ingestion and `billing accounts add` would leave them; task runs
themselves are left out, because a backtest reads none. Afterwards the sums are compared with what was
written, and some hundred accounts with the ordinary rating functions, one by one.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from datetime import date
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa
from bench_accounts import write_accounts, write_rows
from bench_places import database

from billing.app import make_service
from billing.backtest.operation import backtest
from billing.pricing.adjustment import priced
from billing.pricing.basis import Basis
from billing.pricing.invoice import compose
from billing.pricing.plan_file import parse_plan_file
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, ProgramName
from billing.pricing.terms import Change, Enrolment, Protection
from billing.repository import plans
from metering.outcome import Outcome
from metering.period import Month, parse_instant
from metering.settings import Settings
from metering.store import tables
from metering.usage import Counts

LAST = Month(2026, 10)
NOW = parse_instant("2026-11-02T00:00:00Z")
COMPARED = 500
DRAFT = json.dumps(
    {
        "plan": "starter",
        "version": "draft",
        "effective_from": "2027-01-01",
        "currency": "USD",
        "brackets": [
            {"up_to": 20_000, "unit_price": "0"},
            {"up_to": 200_000, "unit_price": "0.0031"},
            {"up_to": None, "unit_price": "0.00125"},
        ],
    }
)


def fill(engine: sa.Engine, count: int, months: list[Month], seed: int) -> dict[str, dict[Month, int]]:
    """Accounts on two plans, a tenth with a program and a tenth with a protection of its own; and the runs of
    each month. Answers the billable ones."""
    chance = random.Random(seed)
    told: dict[str, dict[Month, int]] = {}
    agreed: list[tuple[str, list[Change]]] = []
    meters, counters = [], []
    for number in range(count):
        name = f"customer-{number:06d}"
        plan = "starter" if chance.random() < 0.8 else "standard"
        changes: list[Change] = [Enrolment(months[0], plan, "2021-02")]
        if chance.random() < 0.1:
            percent = Decimal(chance.choice([10, 25, 50]))
            changes.append(Program(ProgramName.STARTUPS, percent, date(2020, 1, 1), date(2030, 1, 1)))
        if chance.random() < 0.1:
            price = PriceProtection(chance.randrange(100, 50_000), date(2030, 1, 1))
            changes.append(Protection(months[0], price))
        agreed.append((name, changes))
        meters.append({"id": number + 1, "account": name})
        size = 10 ** chance.uniform(2, 6)
        told[name] = {month: int(size * chance.uniform(0.7, 1.4)) for month in months}
        for month, runs in told[name].items():
            at = (month.year - 1970) * 12 + month.number - 1
            row = {"position": 1, "month": at, "account_id": number + 1}
            counters.append({**row, "outcome": int(Outcome.BILLABLE), "quantity": runs})
            counters.append({**row, "outcome": int(Outcome.FAILED), "quantity": runs // 9})
    write_accounts(engine, agreed, months[0])
    write_rows(engine, tables.accounts, meters)
    write_rows(engine, tables.usage_months, counters)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
    return told


def measure(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Seconds of a backtest, of one that also solves, and of its JSON; the middle one of some rounds."""
    months = [LAST]
    while len(months) < options.months:
        months.insert(0, months[0].previous())
    figures: dict[str, float] = {}
    with database(options.database_url, folder, "backtest") as url:
        service = make_service(Settings(_env_file=None, database_url=url), lambda: NOW)
        service.init()
        told = fill(service.engine, options.backtest, months, options.seed)
        files = [(DRAFT, "draft.json")]
        for name, solve in (("backtest", []), ("backtest and both solved", ["free-runs", "price:2"])):
            took = []
            for _ in range(options.rounds):
                start = time.perf_counter()
                report = backtest(
                    service.engine, service.store, files, months[0], months[-1], now=NOW, solve=solve
                )
                took.append(time.perf_counter() - start)
            figures[f"{name}: s"] = sorted(took)[len(took) // 2]
        start = time.perf_counter()
        text = json.dumps(report.to_data())
        figures["its JSON: s"], figures["its JSON: MB"] = time.perf_counter() - start, len(text) / 1e6
        check(service.engine, json.loads(text), told, options.seed)
        service.store.close()
    return figures


def check(engine: sa.Engine, data: dict[str, object], told: dict[str, dict[Month, int]], seed: int) -> None:
    """Every run is there once, and some hundred accounts cost what the ordinary functions say."""
    rows = data["accounts"]
    assert isinstance(rows, list)
    found = {each["account"]: each for each in rows}
    assert {name: each["billable"] for name, each in found.items()} == {
        name: sum(months.values()) for name, months in told.items()
    }
    from billing.repository.accounts import some

    (draft,) = parse_plan_file(DRAFT, "draft.json")
    chosen = random.Random(seed).sample(sorted(told), min(COMPARED, len(told)))
    with engine.connect() as connection:
        catalogue = plans.catalogue(connection)
        people = some(connection, chosen)
    for each in people:
        sums = [0, 0]
        for month, runs in told[each.id].items():
            own = catalogue.get(each.terms.plan(month))
            for place, version in enumerate((own, draft if own.plan == "starter" else own)):
                counts = Counts({Outcome.BILLABLE: runs})
                terms = {"programs": each.terms.programs, "protection": each.terms.protection(month)}
                basis = Basis(each.id, month, "USD", counts, version, **terms)
                sums[place] += priced(compose(basis).lines).amount
        row = found[each.id]
        assert [row["current_net"], row["draft_net"]] == sums, each.id


def report(figures: dict[str, float]) -> None:
    for name, value in figures.items():
        print(f"  {name:32} {value:8.2f}")
