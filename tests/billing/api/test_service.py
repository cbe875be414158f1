"""The application as a whole: health, Stripe's webhooks, errors, and its own description."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from billing.api import make_app
from billing.api.events import router as events_router
from billing.moving.copying import move
from billing.payments.stripe_gateway import StripeGateway
from metering.database import writing
from metering.period import SECOND_US
from metering.store.clickhouse.address import parse_address
from metering.store.clickhouse.store import ClickHouseEventStore
from tests.billing.api.client import Client, assert_problem, running
from tests.clickhouse.running import require_engine
from tests.conftest import NewDatabase
from tests.metering.wire import native
from tests.world import World

SECRET = "whsec_test"
# Requests that say everything by their address.
PUBLIC = ("/healthz", "/metrics", "/readyz", "/v1/stripe/webhook")
WITHOUT_A_BODY = {
    "/v1/invoices/{invoice_id}/approve",
    "/v1/sources/{source}/visits",
    "/v1/sources/{source}/recoveries",
    "/v1/webhook-endpoints/{endpoint_id}/rotate-secret",
    "/v1/webhook-endpoints/{endpoint_id}/test",
    "/v1/deliveries/{delivery_id}/resend",
}
EVENT = {"id": "evt_1", "type": "customer.updated", "data": {"object": {"id": "cus_1", "object": "customer"}}}


class Timetable:
    """A schedule that only remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self) -> None:
        self.said.append("start")

    def stop(self) -> None:
        self.said.append("stop")

    def next_times(self) -> dict[str, str]:
        return {"billing-run": "2026-12-02T00:00:00Z"}


@pytest.fixture
def hooked(sqlite_databases: NewDatabase) -> Iterator[Client]:
    """With Stripe configured; its address answers nothing."""
    world = World(sqlite_databases(), gateway=StripeGateway("sk_test_1", api_base="http://127.0.0.1:9"))
    settings = world.service.settings.model_copy(update={"stripe_webhook_secret": SecretStr(SECRET)})
    world.service = replace(world.service, settings=settings)
    with running(world) as client:
        yield client


def signed(payload: bytes, at: int, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), f"{at}.".encode() + payload, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={digest}"}


def test_it_lives_and_is_ready(client: Client) -> None:
    assert client.get("/healthz", key=None).json() == {"alive": True}
    assert client.get("/readyz", key=None).json() == {
        "ready": True,
        "checks": {"database": "ok", "schema": "ok", "writer": "ok"},
        "schedule": None,
    }


def test_an_older_schema_is_not_ready(client: Client) -> None:
    with writing(client.world.engine) as connection:
        connection.execute(sa.text("DELETE FROM alembic_version"))
    problem = assert_problem(client.get("/readyz", key=None), 503, says="billing init")
    assert problem["checks"]["database"] == "ok"
    assert client.get("/healthz", key=None).status_code == 200


def test_events_that_cannot_be_reached_are_not_ready(sqlite_databases: NewDatabase) -> None:
    """And whoever asks for them is told to try again."""
    require_engine()
    world = World(sqlite_databases())
    nowhere = ClickHouseEventStore(world.engine, parse_address("clickhouse://u:secret@127.0.0.1:1/d"))
    world.store = nowhere
    world.service = replace(world.service, store=nowhere)
    with running(world) as client:
        problem = assert_problem(client.get("/readyz", key=None), 503, says="cannot be reached")
        assert problem["checks"]["database"] == problem["checks"]["writer"] == "ok"
        sent = client.post("/v1/events", json=native())
        assert sent.headers["Retry-After"]
        assert "secret" not in assert_problem(sent, 503, says="again")["detail"]


def test_the_schedule_lives_as_long_as_the_application(sqlite_databases: NewDatabase) -> None:
    schedule = Timetable()
    with running(World(sqlite_databases()), schedule) as client:
        assert schedule.said == ["start"]
        assert client.get("/readyz", key=None).json()["schedule"] == schedule.next_times()
    assert schedule.said == ["start", "stop"]


def test_after_it_stopped_nothing_is_taken(sqlite_databases: NewDatabase) -> None:
    with running(World(sqlite_databases())) as client:
        assert client.post("/v1/events", json=native()).status_code == 200
        client.app.state.door.stop()
        assert_problem(client.post("/v1/events", json=native()), 503, says="stopping")
        assert_problem(client.get("/readyz", key=None), 503, says="writer")


@pytest.mark.behind_the_back
def test_a_database_without_tables_is_an_error_without_details(client: Client) -> None:
    with writing(client.world.engine) as connection:
        connection.execute(sa.text("ALTER TABLE plan_versions RENAME TO elsewhere"))
    answer = client.get("/v1/plans")
    # SQLite says of a table that is not there what it says of a file that cannot be used.
    assert_problem(answer, {"sqlite": 503, "postgresql": 500}[client.world.engine.dialect.name])
    assert "plan_versions" not in answer.text


def test_what_nobody_expected_is_an_error_without_details(lite: Client) -> None:
    def broken() -> None:
        raise RuntimeError("the inside of things")

    lite.app.add_api_route("/broken", broken)
    answer = lite.get("/broken")
    assert_problem(answer, 500)
    assert "inside" not in answer.text


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "/v2/accounts", 404),
        ("GET", "/v1/accounts/a/b/c", 404),
        ("PUT", "/v1/accounts", 405),
        ("GET", "/v1/events", 405),
        ("GET", "/v1/accounts/a%00b", 422),
        ("GET", "/v1/invoices?account=%00", 422),
    ],
)
def test_wrong_addresses_are_problems(lite: Client, method: str, url: str, status: int) -> None:
    answer = lite.ask(method, url)
    assert_problem(answer, status)
    assert status != 405 or answer.headers["allow"]


@pytest.mark.parametrize(
    ("method", "url", "allowed"),
    [
        ("OPTIONS", "/v1/accounts", "GET, POST"),
        ("PUT", "/v1/accounts/acme", "GET, PATCH"),
        ("PUT", "/v1/operator-sessions", "DELETE, GET, POST"),
        # Not taken for the id of a thing.
        ("OPTIONS", "/v1/deliveries/send", "POST"),
        ("GET", "/v1/audit/verifications", "POST"),
    ],
)
def test_what_is_possible_at_an_address_is_told(lite: Client, method: str, url: str, allowed: str) -> None:
    answer = lite.ask(method, url)
    assert_problem(answer, 405)
    assert answer.headers["allow"] == allowed


def test_a_body_that_is_no_text_is_no_json(lite: Client) -> None:
    headers = {"Content-Type": "application/json"}
    answer = lite.ask("PATCH", "/v1/accounts/acme", content=b"\xff,R", headers=headers)
    assert_problem(answer, 422, field="body", says="UTF-8")


def test_the_description_leads_from_things_to_what_is_done_with_them(lite: Client) -> None:
    """And every text with a form of its own has it."""
    paths = lite.get("/openapi.json", key=None).json()["paths"]
    leads = paths["/v1/accounts"]["post"]["responses"]["201"]["links"]
    assert leads["accounts_close_v1_accounts__account_id__close_post"]["parameters"] == {
        "account_id": "$response.body#/id"
    }
    (since,) = (each for each in paths["/v1/audit"]["get"]["parameters"] if each["name"] == "since")
    assert since["schema"]["anyOf"][0]["format"] == "date-time"


def test_a_request_keeps_its_id(lite: Client) -> None:
    answer = lite.get("/v1/nothing", headers={"X-Request-Id": "mine-1"})
    assert assert_problem(answer, 404)["request_id"] == "mine-1"
    forged = lite.get("/v1/nothing", headers={"X-Request-Id": "a b"})
    assert assert_problem(forged, 404)["request_id"] != "a b"


def test_webhooks_are_trusted_for_their_signature_alone(hooked: Client) -> None:
    payload = json.dumps(EVENT).encode()
    now = hooked.world.instant // SECOND_US

    def deliver(headers: dict[str, str], body: bytes = payload) -> Any:
        return hooked.post("/v1/stripe/webhook", key=None, content=body, headers=headers)

    for headers in ({}, {"Stripe-Signature": "x"}, signed(payload, now, "whsec_other")):
        assert_problem(deliver(headers), 400, says="signed")
    assert_problem(deliver(signed(payload, now), payload + b" "), 400)
    assert_problem(deliver(signed(payload, now - 3600)), 400)
    assert deliver(signed(payload, now)).json() == {"handled": "not ours"}
    assert deliver(signed(payload, now)).json() == {"handled": "repeated"}
    assert_problem(deliver(signed(b"[]", now), b"[]"), 400)
    figures = hooked.get("/metrics", key=None)
    assert figures.headers["content-type"].startswith("text/plain")
    counted = {line for line in figures.text.splitlines() if line.startswith("billing_stripe_webhooks_total")}
    assert counted == {
        f'billing_stripe_webhooks_total{{result="{result}"}} {count}.0'
        for result, count in {
            "applied": 0, "repeated": 1, "not ours": 1, "forged": 4, "stale": 1, "unreadable": 1, "failed": 0
        }.items()
    }  # fmt: skip
    assert 'billing_outbox_intents{status="failed"} 0.0' in figures.text


def test_webhooks_without_stripe(lite: Client) -> None:
    assert_problem(lite.post("/v1/stripe/webhook", content=b"{}"), 503, says="BILLING_STRIPE")


def test_the_description_is_complete(lite: Client) -> None:
    description = lite.get("/openapi.json", key=None).json()
    schemas = description["components"]["schemas"]
    text = json.dumps(description)
    for reference in {part.partition('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}:
        assert reference in schemas
    tags = {tag["name"] for tag in description["tags"]}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert set(operation["tags"]) <= tags, where
            assert_answers(where, operation, public=path in PUBLIC)
            if method == "post" and path not in WITHOUT_A_BODY:
                content = operation["requestBody"]["content"]
                assert all(has_example(each, schemas) for each in content.values()), where


def assert_answers(where: str, operation: Any, *, public: bool) -> None:
    good = [status for status in operation["responses"] if status.startswith("2")]
    assert good, where
    for status, answer in operation["responses"].items():
        if status >= "400":
            assert answer["content"].keys() == {"application/problem+json"}, where
        elif status != "204":
            assert all(kind["schema"] for kind in answer["content"].values()), where
    if not public:
        assert operation["security"] == [{"key": []}], where
        assert {"401", "403", "422"} <= operation["responses"].keys(), where


def has_example(content: Any, schemas: Any) -> bool:
    name = content.get("schema", {}).get("$ref", "/").rsplit("/", 1)[1]
    return bool({"example", "examples"} & content.keys() or schemas.get(name, {}).get("examples"))


def test_the_examples_of_events_are_taken(lite: Client) -> None:
    [route] = events_router.routes
    content = route.openapi_extra["requestBody"]["content"]  # type: ignore[attr-defined]
    for kind in ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json"):
        for name, example in content[kind]["examples"].items():
            apart = {"Prefect": "prefect", "OpenLineage": "openlineage"}
            query = f"?format={apart[name]}&account=acme" if name in apart else ""
            body = json.dumps(example["value"])
            report = lite.post(f"/v1/events{query}", content=body, headers={"Content-Type": kind}).json()
            assert report["accepted"] + report["duplicate"] == report["received"] > 0, name


def test_two_applications_may_share_a_service(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    with running(world) as one, running(world) as two:
        assert one.app is not two.app
        assert one.post("/v1/events", json=native()).json()["accepted"] == 1
        assert two.post("/v1/events", json=native()).json()["duplicate"] == 1
    assert make_app(world.service).title


def test_a_service_whose_installation_moved_sends_its_senders_elsewhere(new_database: NewDatabase) -> None:
    """It was not told of the move: the database refuses what it would write, and who sent it tries again."""
    world = World(new_database())
    with running(world) as client:
        move(world.engine, new_database(), world.instant)
        for path, body in (("/v1/events", native()), ("/v1/accounts", {"id": "acme"})):
            sent = client.post(path, json=body)
            assert sent.headers["Retry-After"]
            assert_problem(sent, 503, says="again")
        assert_problem(client.get("/readyz", key=None), 503, says="moved to")
