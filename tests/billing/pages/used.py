"""A service with ten weeks of usage, for the tests of what the pages show of it."""

from __future__ import annotations

from datetime import date, timedelta

import sqlalchemy as sa

from billing.alerts.checking import check_alerts
from billing.alerts.settings import set_alerts
from billing.contracts import load_contract_text
from metering.period import DAY_US, parse_instant
from tests.events import event, runs
from tests.world import OCTOBER, World

NOW = parse_instant("2026-11-18T14:25:00Z")
TODAY = date(2026, 11, 18)
CONTRACT = """{"id":"globex-2026","account":"globex","start":"2026-10-01","end":"2027-10-01",
 "plan":"standard@2021-02","currency":"USD","instalments":"upfront",
 "grants":[{"id":"g1","runs":20000,"price":"90.00","granted_on":"2026-10-01","expires_on":"2027-10-01"}]}"""


def used_world(engine: sa.Engine) -> World:
    """acme has 290 billable runs a day of a dozen flows, a budget, and alerts; globex a contract of which
    half is used; idle nothing. October is invoiced."""
    world = World(engine, now=parse_instant("2026-09-01T00:00:00Z"))
    for account in ("acme", "globex", "idle"):
        world.account(account, since="2026-10", plan="standard" if account == "globex" else "starter")
    load_contract_text(world.engine, CONTRACT, "c.json", by="test", now=world.instant)
    for back in range(70):
        day = TODAY - timedelta(back)
        for account, quantity in (("acme", 300), ("globex", 200)):
            world.send(
                [
                    event(
                        f"{account}-{back}-{number}",
                        account=account,
                        state="FAILED" if number % 30 == 29 else "COMPLETED",
                        end=f"{day}T{number % 14:02d}:{number % 60:02d}:05Z",
                        workspace=f"ws-{number % 2}",
                        flow=f"{account}-flow-{number % 12}" if number % 12 else "",
                    )
                    for number in range(quantity)
                ]
            )
    world.send(runs(3, account="secret", day="2026-11-10"))
    world.instant = OCTOBER.end + 2 * DAY_US
    world.service.run_month(OCTOBER)
    world.instant = NOW
    set_alerts(world.engine, "acme", budget="1.00", by="test", now=NOW)
    check_alerts(world.engine, world.store, NOW, grace_hours=24)
    return world
