"""A month with everything that an export may hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import sqlalchemy as sa

from billing.accounts import add_account
from billing.contract_invoices import invoice_contracts
from billing.contracts import add_contract
from billing.credit_notes import credit_note
from billing.credits import add_credit
from billing.plans import load_plan_text
from billing.pricing.contract import Contract, Instalments, Service
from metering.period import DAY_US
from tests.billing.months import bill_all
from tests.billing.pricing.contracts import grant
from tests.events import event, runs
from tests.world import OCTOBER, World

YEN = """{"plan": "yen", "version": "1", "effective_from": "2021-01-01", "currency": "JPY",
    "brackets": [{"up_to": 3, "unit_price": "0"}, {"up_to": null, "unit_price": "1.25"}]}"""
CONTRACT = Contract(
    id="globex-1", account="globex", start=date(2026, 10, 1), end=date(2026, 11, 1),
    plan="standard@2021-02", currency="USD", instalments=Instalments.UPFRONT,
    grants=(
        grant("g1", 300, "2026-10-01", "2026-11-01", 10_000),
        grant("g2", 500, "2026-10-01", "2026-11-01", 7_777),
    ),
    services=(Service("Onboarding", 150_000, date(2026, 10, 1)),),
)  # fmt: skip
FORMULA = '=HYPERLINK("http://evil.example";"click")'


def busy_month(engine: sa.Engine) -> World:
    """October: acme pays by bracket, with credit, a credit note and, of September, an adjustment; globex has
    a contract, of which 100 runs expire; tokyo pays in yen; quiet ran and has nothing to pay; nobody knows
    `stranger`."""
    world = World(engine)
    load_plan_text(engine, YEN, "yen.json", world.instant)
    world.account(since="2026-09")
    world.account("globex", plan="standard", since="2026-10")
    world.account("quiet", since="2026-10")
    add_account(
        engine, "tokyo", now=world.instant, currency="JPY", plan="yen", billing_from=OCTOBER, name="株式会社"
    )
    world.send(runs(12_000, prefix="s", day="2026-09-05"))
    bill_all(world, OCTOBER.previous())
    world.send(
        runs(11_000, prefix="o"),
        runs(40, prefix="f", state="FAILED"),
        runs(500, prefix="late", day="2026-09-06"),
        [event("odd-1", workspace="prod", flow=FORMULA), event("odd-2", workspace="dev", flow=FORMULA)],
        runs(700, account="globex"),
        runs(10, account="tokyo"),
        runs(2, account="quiet", state="CANCELLED"),
        runs(3, account="stranger"),
    )
    add_contract(engine, replace(CONTRACT), by="o", now=world.instant)
    invoice_contracts(engine, date(2026, 10, 3), now=OCTOBER.start + 3 * DAY_US)
    add_credit(engine, "acme", "1.00", "the outage", by="o", now=world.instant)
    (acme,) = [each for each in bill_all(world) if each.account == "acme"]
    credit_note(engine, acme.id, "0.50", "goodwill", "slow", by="o", now=world.instant)
    return world
