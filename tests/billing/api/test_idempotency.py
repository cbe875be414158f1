"""`Idempotency-Key`: whatever is sent again creates nothing again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from billing.repository import idempotency
from billing.tables import idempotent_requests
from metering.database import reading, writing
from metering.period import HOUR_US
from tests.billing.api.client import Client, assert_problem
from tests.events import runs

KEY = {"Idempotency-Key": "k-1"}


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/v1/accounts", {"id": "new"}),
        ("/v1/billing-runs", {"month": "2026-10"}),
        ("/v1/plans", None),
    ],
)
def test_the_same_request_has_the_same_answer(client: Client, url: str, body: Any) -> None:
    client.world.account()
    client.world.send(runs(3))
    plan = client.get("/v1/plans/starter").json() | {"version": "next", "effective_from": "2027-01-01"}
    first = client.post(url, json=body or plan, headers=KEY)
    assert first.status_code == 201
    assert "idempotent-replayed" not in first.headers
    second = client.post(url, json=body or plan, headers=KEY)
    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers.get("location") == first.headers.get("location")
    assert second.headers["idempotent-replayed"] == "true"
    assert_problem(client.post(url, json={"id": "z"}, headers=KEY), 422, field=other_field(url))


def other_field(url: str) -> str:
    """A body that is wrong by itself is told so first."""
    return "month" if url == "/v1/billing-runs" else "Idempotency-Key"


def test_the_same_key_with_another_request_is_refused(client: Client) -> None:
    assert client.post("/v1/accounts", json={"id": "a"}, headers=KEY).status_code == 201
    assert_problem(client.post("/v1/accounts", json={"id": "b"}, headers=KEY), 422, field="Idempotency-Key")
    assert_problem(client.post("/v1/keys", json={"scope": "read"}, headers=KEY), 422, field="Idempotency-Key")
    other = client.key("admin").secret
    assert client.post("/v1/accounts", key=other, json={"id": "b"}, headers=KEY).status_code == 201


def test_the_secret_of_a_new_key_is_never_stored(client: Client) -> None:
    first = client.post("/v1/keys", json={"scope": "read"}, headers=KEY)
    second = client.post("/v1/keys", json={"scope": "read"}, headers=KEY)
    assert second.json() == first.json() | {"key": None}
    with reading(client.world.engine) as connection:
        stored = connection.scalars(sa.select(idempotent_requests.c.body)).one() or ""
    assert first.json()["key"] not in stored
    assert json.loads(stored)["data"]["id"] == first.json()["id"]
    assert client.get("/v1/accounts", key=first.json()["key"]).status_code == 200


def test_a_request_that_failed_may_be_sent_again(client: Client) -> None:
    body = {"month": "2026-10", "account": "late"}
    assert_problem(client.post("/v1/billing-runs", json=body, headers=KEY), 404)
    client.world.account("late")
    assert client.post("/v1/billing-runs", json=body, headers=KEY).status_code == 201


def test_while_the_first_is_worked_on_the_second_waits(client: Client) -> None:
    """As left by a process that was killed: taken over after an hour."""
    body = {"id": "new"}
    assert client.post("/v1/accounts", json=body, headers=KEY).status_code == 201
    with writing(client.world.engine) as connection:
        connection.execute(idempotent_requests.update().values(status=None, body=None))
    assert_problem(client.post("/v1/accounts", json=body, headers=KEY), 409, says="worked on")
    client.world.instant += HOUR_US + 1
    assert_problem(client.post("/v1/accounts", json=body, headers=KEY), 409, field="id")


def test_many_at_once_create_one(client: Client) -> None:
    async def send(http: httpx.AsyncClient) -> list[httpx.Response]:
        headers = client.authorization() | KEY
        posts = [http.post("/v1/keys", json={"scope": "read"}, headers=headers) for _ in range(8)]
        return await asyncio.gather(*posts)

    before = len(client.get("/v1/keys").json())
    answers = client.run(send)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert sum(answer.status_code == 201 and answer.json()["key"] is not None for answer in answers) == 1
    assert len(client.get("/v1/keys").json()) == before + 1


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_cannot_be_used(lite: Client, key: str) -> None:
    answer = lite.post("/v1/accounts", json={"id": "a"}, headers={"Idempotency-Key": key})
    assert_problem(answer, 422, field="Idempotency-Key")


def test_only_what_has_no_answer_is_released(client: Client) -> None:
    client.post("/v1/accounts", json={"id": "a"}, headers=KEY)
    with writing(client.world.engine) as connection:
        held = connection.execute(sa.select(idempotent_requests)).one()
        idempotency.release(connection, held.api_key_id, held.idempotency_key)
        assert connection.execute(sa.select(idempotent_requests)).one() == held


def test_a_forgotten_request_is_a_new_one(client: Client) -> None:
    first = client.post("/v1/keys", json={"scope": "read"}, headers=KEY).json()
    with writing(client.world.engine) as connection:
        assert idempotency.forget_before(connection, client.world.instant) == 0
        assert idempotency.forget_before(connection, client.world.instant + 1) == 1
    assert client.post("/v1/keys", json={"scope": "read"}, headers=KEY).json()["id"] != first["id"]
