"""/v1/alerts, /v1/webhook-endpoints and /v1/deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from freezegun import freeze_time
from standardwebhooks import Webhook

from metering.period import to_datetime
from tests.billing.alerts.receiver import Receiver, receiving
from tests.billing.alerts.small import small, use
from tests.billing.api.client import Client, assert_problem, running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def office(engine: sa.Engine) -> Iterator[Client]:
    """Where endpoints on loopback are allowed."""
    world = small(engine)
    world.account("other", plan="small", since="2026-09")
    settings = world.service.settings.model_copy(update={"webhook_private": "on"})
    world.service = replace(world.service, settings=settings)
    with running(world) as client:
        yield client


def test_from_a_budget_to_a_webhook_and_its_log(office: Client, receiver: Receiver) -> None:
    added = office.post("/v1/webhook-endpoints", json={"url": receiver.url, "description": "books"})
    assert added.status_code == 201
    endpoint = added.json()
    secret = endpoint.pop("secret")
    assert added.headers["location"] == f"/v1/webhook-endpoints/{endpoint['id']}"
    assert office.get(added.headers["location"]).json() == endpoint
    assert office.get("/v1/webhook-endpoints").json() == [endpoint]
    chosen = office.ask("PATCH", "/v1/accounts/acme/alerts", json={"budget": "4.00", "mail": False}).json()
    assert (chosen["budget"], chosen["mail"]) == (400, False)
    use(office.world, *range(12))
    month = {"period": "2026-10", "forecast": None}
    assert office.get("/v1/accounts/acme/alerts").json()["figures"] == [
        month | {"kind": "free_runs", "limit": 10, "actual": 12, "currency": None},
        month | {"kind": "budget", "limit": 400, "actual": 200, "currency": "USD"},
    ]
    reached = office.post("/v1/alerts/checks", json={}).json()
    assert [(each["kind"], each["threshold"]) for each in reached] == [
        ("free_runs", 50),
        ("free_runs", 80),
        ("free_runs", 100),
        ("budget", 50),
    ]
    assert office.get("/v1/alerts?account=acme&month=2026-10").json() == reached
    assert office.get("/v1/alerts?limit=1").headers["link"]
    assert office.get("/v1/alerts?month=2026-09").json() == []
    assert office.post("/v1/alerts/checks", json={"account": "acme"}).json() == []
    sent = office.post("/v1/deliveries/send", json={}).json()
    assert sent == {"delivered": 4, "pending": 0, "failed": 0}
    with freeze_time(to_datetime(office.world.instant)):
        for each in receiver.got:
            Webhook(secret).verify(each.body, each.headers)
    delivered = office.get(f"/v1/deliveries?endpoint={endpoint['id']}&status=delivered").json()
    assert [each["event"] for each in delivered] == receiver.ids
    shown = office.get(f"/v1/deliveries/{delivered[0]['id']}").json()
    assert shown["body"]["data"]["threshold"] == 50
    again = office.post(f"/v1/deliveries/{delivered[0]['id']}/resend")
    assert (again.status_code, again.json()["status"]) == (201, "delivered")
    assert receiver.ids[-1] == receiver.ids[0]
    removed = office.ask("PATCH", "/v1/accounts/acme/alerts", json={"budget": None}).json()
    assert (removed["budget"], removed["mail"]) == (None, False)


def test_an_endpoint_is_tested_rotated_disabled_and_removed(office: Client, receiver: Receiver) -> None:
    made = office.post("/v1/webhook-endpoints", json={"url": receiver.url, "account": "acme"}).json()
    place = f"/v1/webhook-endpoints/{made['id']}"
    receiver.status, receiver.body = 500, b"out of order"
    tested = office.post(f"{place}/test").json()
    assert (tested["status"], tested["error"], tested["response"]) == (
        "pending",
        "answered 500",
        "out of order",
    )
    assert office.get(place).json()["failures"] == 1
    rotated = office.post(f"{place}/rotate-secret", headers={"Idempotency-Key": "once"}).json()
    assert rotated["secret"].startswith("whsec_") and rotated["secret"] != made["secret"]
    replayed = office.post(f"{place}/rotate-secret", headers={"Idempotency-Key": "once"}).json()
    assert replayed == rotated | {"secret": None}
    assert office.ask("PATCH", place, json={"status": "disabled"}).json()["disabled_reason"] == "by hand"
    assert_problem(office.post(f"{place}/test"), 409, says="enable it first")
    assert_problem(office.post("/v1/deliveries/resend", json={"endpoint": made["id"]}), 409)
    assert office.ask("PATCH", place, json={"status": "enabled"}).json()["failures"] == 0
    receiver.status = 410
    office.world.instant += 10**9
    assert office.post("/v1/deliveries/send", json={}).json()["failed"] == 1
    office.ask("PATCH", place, json={"status": "enabled"})
    receiver.status = 200
    again = office.post("/v1/deliveries/resend", json={"endpoint": made["id"]}).json()
    assert again == {"delivered": 1, "pending": 0, "failed": 0, "again": 1}
    assert office.ask("DELETE", place).status_code == 204
    assert_problem(office.get(place), 404)


def test_wrong_values_name_their_field(lite: Client) -> None:
    lite.world.account("acme")
    for body, field in (
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://example.com/", "event_types": ["x"]}, "event_types"),
        ({"url": "https://example.com/", "secret": "mine"}, "secret"),
    ):
        assert_problem(lite.post("/v1/webhook-endpoints", json=body), 422, field=field)
    budget = lite.ask("PATCH", "/v1/accounts/acme/alerts", json={"budget": "-5"})
    assert_problem(budget, 422, field="budget", says="above zero")
    assert_problem(lite.ask("PATCH", "/v1/accounts/acme/alerts", json={}), 422, field="budget")
    assert_problem(lite.get("/v1/deliveries?status=x"), 422, field="status")
    unknown = lite.post("/v1/webhook-endpoints", json={"url": "https://example.com/", "account": "x"})
    assert_problem(unknown, 404)


def test_a_bound_key_sees_its_own_and_changes_nothing(office: Client, receiver: Receiver) -> None:
    key = office.key("read", "acme").secret
    operators = office.post("/v1/webhook-endpoints", json={"url": receiver.url}).json()["id"]
    own = office.post("/v1/webhook-endpoints", json={"url": receiver.url, "account": "acme"}).json()["id"]
    theirs = office.post("/v1/webhook-endpoints", json={"url": receiver.url, "account": "other"}).json()["id"]
    for each in (operators, own, theirs):
        office.post(f"/v1/webhook-endpoints/{each}/test")
    assert [each["id"] for each in office.get("/v1/webhook-endpoints", key=key).json()] == [own]
    assert [each["target"] for each in office.get("/v1/deliveries", key=key).json()] == [own]
    for list_ in ("webhook-endpoints", "deliveries", "alerts"):
        assert office.get(f"/v1/{list_}?account=other", key=key).json() == []
    hidden = [each["id"] for each in office.get("/v1/deliveries").json() if each["target"] != own]
    for place in (
        "/v1/accounts/other/alerts",
        f"/v1/webhook-endpoints/{operators}",
        f"/v1/webhook-endpoints/{theirs}",
        *(f"/v1/deliveries/{each}" for each in hidden),
    ):
        assert_problem(office.get(place, key=key), 404)
    assert office.get("/v1/accounts/acme/alerts", key=key).status_code == 200
    for method, place in (
        ("POST", "/v1/webhook-endpoints"),
        ("DELETE", f"/v1/webhook-endpoints/{own}"),
        ("POST", f"/v1/webhook-endpoints/{own}/rotate-secret"),
        ("PATCH", "/v1/accounts/acme/alerts"),
        ("POST", "/v1/alerts/checks"),
        ("POST", "/v1/deliveries/send"),
    ):
        assert_problem(office.ask(method, place, key=key, json={"url": "https://example.com/"}), 403)
