"""POST /v1/reconciliations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from billing.api.reconciliations import ReconciliationAnswer
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import RunningSandbox, StripeSandbox, running_sandbox
from billing.sources import add_source, server_of
from metering.period import SECOND_US
from tests.billing.api.client import Client, assert_problem, running
from tests.billing.api.test_documents import assert_shape
from tests.billing.months import bill, dollars
from tests.events import event, runs
from tests.metering.prefect_double import prefect_double, row, run_id
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World

URL = "/v1/reconciliations"


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    state = StripeSandbox(clock=lambda: NOVEMBER_2 // SECOND_US, seed="api")
    with running_sandbox(state, deliver_webhooks=False) as served:
        yield served


@pytest.fixture
def world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    """October is billed and sent, and the webhook of its payment was lost."""
    world = dollars(engine, StripeGateway(sandbox.api_key, api_base=sandbox.url), email="a@example.com")
    world.send(runs(5))
    made = bill(world)
    stripe_client(sandbox).v1.invoices.pay(made.stripe_invoice_id or "", {"paid_out_of_band": True})
    return world


def ask(client: Client, **body: Any) -> Any:
    answer = client.post(URL, json={"month": "2026-10", **body})
    assert answer.status_code == 200, answer.text
    assert_shape(ReconciliationAnswer, answer.json())
    return answer.json()


def test_a_difference_is_named_and_mended(client: Client) -> None:
    found = ask(client)
    (difference,) = found["differences"]
    assert (found["ok"], difference["cause"], difference["amount"]) == (False, "paid state differs", -500)
    fixed = ask(client, fix=True)
    assert (fixed["ok"], fixed["fixed"]) == (True, [difference])
    assert ask(client, account="acme")["ok"]
    assert client.get("/v1/invoices").json()[0]["status"] == "paid"


def test_the_source_is_the_configured_one(sqlite_databases: Any) -> None:
    world = dollars(sqlite_databases())
    world.send([event(run_id(1), source="prefect"), event(run_id(2), source="prefect")])
    bill(world)
    with prefect_double([row(1, end="2026-10-03T02:00:05Z")]) as double:
        settings = world.service.settings.model_copy(update={"prefect_url": double.url})
        world.service = replace(world.service, settings=settings)
        with running(world) as client:
            assert ask(client)["ok"]
            assert double.asked == []
            found = ask(client, source=True)
    assert [(each["between"], each["quantity"]) for each in found["differences"]] == [("source-meter", 1)]
    assert found["compared"]["source_runs"] == 1


def test_without_one_it_is_those_that_are_collected_from(sqlite_databases: Any) -> None:
    """Each with the account that it belongs to."""
    world = dollars(sqlite_databases())
    world.send([event(run_id(1), source="prefect"), event(run_id(2), source="prefect", account="globex")])
    bill(world)
    with (
        prefect_double([row(1, end="2026-10-03T02:00:05Z")]) as acmes,
        prefect_double([row(2, end="2026-10-03T02:00:05Z"), row(3)]) as globexs,
        running(world) as client,
    ):
        for account, double in (("acme", acmes), ("globex", globexs)):
            address = server_of(double.url)
            add_source(world.engine, account, "eu", address, since=OCTOBER.start, now=NOVEMBER_2)
        found = ask(client, source=True)
        assert found["compared"]["source_runs"] == 3
        told = [
            (each["account"], each["quantity"])
            for each in found["differences"]
            if "source" in each["between"]
        ]
        assert told == [("globex", -1)]
        assert ask(client, source=True, account="acme")["compared"]["source_runs"] == 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"month": "2026-13"}, 422, "month"),
        ({}, 422, "month"),
        ({"month": "2026-10", "prefect_url": "http://169.254.169.254/"}, 422, "prefect_url"),
        ({"month": "2026-10", "source": True}, 409, "source"),
        ({"month": "2026-10", "fix": "yes"}, 422, "fix"),
        ({"month": "2026-10", "account": "a b"}, 422, "account"),
    ],
)
def test_what_cannot_be_asked(lite: Client, body: Any, status: int, field: str) -> None:
    assert_problem(lite.post(URL, json=body), status, field=field)


def test_an_account_that_there_is_not(lite: Client) -> None:
    answer = lite.post(URL, json={"month": "2026-10", "account": "nobody"})
    assert answer.status_code == 404


def test_a_source_that_cannot_be_asked(lite: Client) -> None:
    settings = lite.world.service.settings.model_copy(update={"prefect_url": "nowhere"})
    lite.app.state.door.service = replace(lite.world.service, settings=settings)
    problem = assert_problem(lite.post(URL, json={"month": "2026-10", "source": True}), 502)
    assert "is not the address of a Prefect server" in problem["detail"]


def test_it_takes_an_admin_key(lite: Client) -> None:
    for scope in ("ingest", "read"):
        key = lite.key(scope).secret
        assert_problem(lite.post(URL, json={"month": "2026-10"}, key=key), 403)
