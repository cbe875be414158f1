"""GET /v1/accounts/{id}/summary."""

from __future__ import annotations

from datetime import date, timedelta

from billing.api.summary import SummaryAnswer
from metering.period import parse_instant
from tests.billing.api.client import Client, assert_problem
from tests.billing.api.test_documents import assert_shape
from tests.events import runs
from tests.world import OCTOBER

NOON = "2026-10-16T12:30:00Z"


def test_the_month_so_far_and_what_it_will_come_to(client: Client) -> None:
    client.world.instant = parse_instant(NOON)
    client.post("/v1/accounts", json={"id": "acme", "billing_from": "2026-10"})
    for back in range(1, 51):
        day = str(date(2026, 10, 16) - timedelta(back))
        failed = runs(2, day=day, prefix=f"f-{back}", state="FAILED")
        client.world.send(runs(800, day=day, prefix=f"run-{back}"), failed)
    client.ask("PATCH", "/v1/accounts/acme/alerts", json={"budget": "40.00"})
    answered = client.get("/v1/accounts/acme/summary").json()
    assert_shape(SummaryAnswer, answered)
    # 15 days of 800, and 16 to come; the first 10,000 are free.
    by_the_end = dict.fromkeys(("expected", "low", "high"), 24800)
    amounts = dict.fromkeys(("expected", "low", "high"), 3700)
    assert answered == {
        "account": "acme",
        "month": "2026-10",
        "currency": "USD",
        "as_of": NOON,
        "billable": 12_000,
        "not_billed": dict.fromkeys(("too_short", "cached", "failed", "crashed", "cancelled", "reversed"), 0)
        | {"failed": 30},
        "plan": "starter@2021-02",
        "amount": 500,
        "free_runs": {"month": 10_000, "used": 10_000, "left": 0},
        "contract": None,
        "committed_left": 0,
        "next_run": {
            "committed": False,
            "unit_price": "0.0025",
            "bracket": {
                "number": 2,
                "from": 10_001,
                "up_to": 100_000,
                "unit_price": "0.0025",
                "left": 88_000,
            },
        },
        "forecast": {
            "billable": by_the_end,
            "amount": amounts,
            "history_days": 50,
            "judged": 26,
            "past": {
                "asked": 26,
                "days": 4,
                "off_percent": 0,
                "ranges": 5,
                "held": 5,
                "message": "Asked on 26 earlier days what the next 4 days would bring, the forecast was "
                "off by 0 % of usual use in the middle. Too few of those days had a range of their own to "
                "say how often it held.",
            },
        },
        "last_month": {
            "month": "2026-09",
            "to": "2026-09-16T12:00:00Z",
            "billable": 12_000,
            "billable_this_month": 12_000,
            "billable_whole_month": 24_000,
        },
        "budget": 4_000,
        "figures": client.get("/v1/accounts/acme/alerts").json()["figures"],
        "credit": 0,
        "due": [],
    }


def test_an_account_that_is_not_billed_yet_and_one_without_runs(client: Client) -> None:
    client.world.instant = parse_instant(NOON)
    client.post("/v1/accounts", json={"id": "acme", "billing_from": "2026-11"})
    client.world.send(runs(3))
    early = client.get("/v1/accounts/acme/summary").json()
    assert_shape(SummaryAnswer, early)
    assert early["billable"] == 3 and early["figures"] == []
    assert all(early[name] is None for name in ("plan", "amount", "free_runs", "next_run", "forecast"))
    client.post("/v1/accounts", json={"id": "idle", "billing_from": "2026-10"})
    idle = client.get("/v1/accounts/idle/summary").json()
    assert_shape(SummaryAnswer, idle)
    assert (idle["amount"], idle["forecast"], idle["free_runs"]["left"]) == (0, None, 10_000)


def test_what_is_to_be_paid(client: Client) -> None:
    client.post("/v1/accounts", json={"id": "acme", "billing_from": "2026-10"})
    client.world.send(runs(12_000))
    client.world.service.run_month(OCTOBER)
    (due,) = client.get("/v1/accounts/acme/summary").json()["due"]
    assert due == {"invoice": "2026-10-000001", "amount": 500, "due_at": None, "dunning": None, "url": None}


def test_who_may_ask(client: Client) -> None:
    client.post("/v1/accounts", json={"id": "acme"})
    mine, other = client.key("read", "acme").secret, client.key("read", "b").secret
    assert client.get("/v1/accounts/acme/summary", key=mine).status_code == 200
    assert_problem(client.get("/v1/accounts/acme/summary", key=other), 404)
    assert_problem(client.get("/v1/accounts/nobody/summary"), 404)
