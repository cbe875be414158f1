"""GET /v1/accounts/{id}/quota."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import sqlalchemy as sa

from billing.api.usage import QuotaAnswer
from billing.quota import quota_now
from metering.period import parse_instant
from metering.store.sql import SqlEventStore
from tests.billing.api.client import Client, assert_problem
from tests.billing.api.test_documents import assert_shape
from tests.events import runs
from tests.world import OCTOBER


def test_what_is_left_of_the_month(client: Client) -> None:
    client.world.instant = parse_instant("2026-10-15T12:00:00Z")
    client.post("/v1/accounts", json={"id": "acme", "billing_from": "2026-10"})
    answered = client.get("/v1/accounts/acme/quota").json()
    assert_shape(QuotaAnswer, answered)
    assert answered == {
        "account": "acme",
        "month": "2026-10",
        "plan": "starter@2021-02",
        "used": 0,
        "free_left": 10_000,
        "committed_left": 0,
        "left": True,
        "forecast": None,
    }
    client.world.send(
        runs(10_000), runs(5, prefix="f", state="FAILED"), runs(5, prefix="s", day="2026-09-30")
    )
    answered = client.get("/v1/accounts/acme/quota").json()
    assert (answered["used"], answered["free_left"], answered["left"]) == (10_000, 0, False)
    ids = [each.task_run_id for each in runs(3)]
    wrong = {"account": "acme", "task_run_ids": ids, "action": "reverse", "reason": "a dispute"}
    assert client.post("/v1/corrections", json=wrong).json()["corrected"] == 3
    answered = client.get("/v1/accounts/acme/quota").json()
    assert (answered["used"], answered["free_left"], answered["left"]) == (9_997, 3, True)


def test_what_is_expected_is_told_on_demand(client: Client) -> None:
    """Ten runs a day for six weeks, and four on the day itself: 10 + 4 this month, of which 6 of today and 20
    of the last two days are to come. It is what the summary says."""
    client.world.instant = parse_instant("2026-10-29T12:00:00Z")
    client.post("/v1/accounts", json={"id": "acme", "billing_from": "2026-10"})
    days = [str(date(2026, 9, 17) + timedelta(number)) for number in range(42)]
    client.world.send(*(runs(10, prefix=day, day=day) for day in days), runs(4, prefix="t", day="2026-10-29"))
    answered = client.get("/v1/accounts/acme/quota?forecast=true").json()
    assert_shape(QuotaAnswer, answered)
    assert answered["used"] == 284
    assert answered["forecast"] == {
        "used": 310, "low": 310, "high": 310, "history_days": 42, "judged": 19,
        "past": {"asked": 19, "days": 3, "off_percent": 0, "ranges": 0, "held": 0, "message": (
            "Asked on 19 earlier days what the next 3 days would bring, the forecast was off by 0 % of usual "
            "use in the middle. Too few of those days had a range of their own to say how often it held."
        )},
    }  # fmt: skip
    said = client.get("/v1/accounts/acme/summary").json()["forecast"]
    assert said["billable"] == {"expected": 310, "low": 310, "high": 310}
    assert (said["history_days"], said["judged"]) == (42, 19)
    assert said["past"] == answered["forecast"]["past"]
    client.post("/v1/accounts", json={"id": "idle"})
    assert client.get("/v1/accounts/idle/quota?forecast=true").json()["forecast"] is None


def test_who_may_ask(client: Client) -> None:
    client.post("/v1/accounts", json={"id": "acme"})
    mine, other = client.key("read", "acme").secret, client.key("read", "b").secret
    assert client.get("/v1/accounts/acme/quota", key=mine).status_code == 200
    assert_problem(client.get("/v1/accounts/acme/quota", key=other), 404)
    assert_problem(client.get("/v1/accounts/nobody/quota"), 404)


def test_each_answer_costs_two_statements_and_is_of_now(client: Client) -> None:
    """What was agreed, and what was counted; a plan's version never changes, and is asked for once. What was
    acknowledged, or agreed, is in the next answer."""
    world = client.world
    world.instant = parse_instant("2026-10-15T12:00:00Z")
    client.post("/v1/accounts", json={"id": "acme", "billing_from": "2026-10"})
    said: list[str] = []

    def asked() -> tuple[dict[str, object], int]:
        said.clear()
        return quota_now(world.service, "acme"), len(said)

    asked()
    sa.event.listen(world.engine, "before_cursor_execute", _noting(said))
    for number in range(1, 9):  # beyond those from which on a statement is prepared
        world.send(runs(1, prefix=f"r{number}-"))
        answered, statements = asked()
        assert (answered["used"], answered["plan"], statements) == (number, "starter@2021-02", 2), said
    store = world.store
    assert isinstance(store, SqlEventStore)
    store.settle()
    assert asked()[0]["used"] == 8
    for plan in ("standard", "starter"):
        change = {"plan": plan, "from": "2026-10"}
        assert client.post("/v1/accounts/acme/plan", json=change).status_code == 200
        assert str(asked()[0]["plan"]).startswith(f"{plan}@")
    said.clear()
    usage = store.usage("acme", OCTOBER.start, OCTOBER.end, by="hour")
    assert (usage.counts.billable, len(said)) == (8, 1), said


def test_an_account_that_nobody_knows(client: Client) -> None:
    assert_problem(client.get("/v1/accounts/nobody/quota"), 404)


def _noting(said: list[str]) -> Callable[..., None]:
    """Notes statements, but for `BEGIN`, which SQLite is told by one."""

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement != "BEGIN":
            said.append(statement)

    return note
