"""POST /v1/events: every format, every refusal, and never a false acknowledgement."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from billing.api.events import MAX_BODY_BYTES
from billing.api.middleware import MAX_DOCUMENT_BYTES
from metering.bodies import MAX_DECOMPRESSED_BYTES
from metering.database import reading, writing
from metering.store.tables import task_runs
from tests.billing.api.client import Client, assert_problem
from tests.events import event
from tests.metering.wire import native

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def cloudevent(**changes: Any) -> dict[str, Any]:
    data = native(**changes)
    return {
        "specversion": "1.0",
        "id": "1",
        "source": "/test",
        "type": "com.prefect.task-run.finished",
        "subject": data.pop("account"),
        "data": data,
    }


def prefect(run: str) -> dict[str, Any]:
    """As a Prefect server gives it."""
    return {
        "event": "prefect.task-run.Completed",
        "occurred": "2026-10-03T02:00:05Z",
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{run}",
            "prefect.state-name": "Completed",
            "prefect.state-type": "COMPLETED",
        },
        "related": [],
        "payload": {
            "task_run": {
                "start_time": "2026-10-03T02:00:00Z",
                "end_time": "2026-10-03T02:00:05Z",
                "total_run_time": 5.0,
            }
        },
    }


def lines(*events: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events) + b"\n"


def counts(answer: httpx.Response) -> tuple[int, int, int, int, int]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return tuple(body[name] for name in ("received", "accepted", "duplicate", "ignored", "rejected"))


def test_a_batch_is_counted_and_in_the_next_usage_answer(client: Client) -> None:
    batch = [
        native(task_run_id="a"),
        native(task_run_id="b", state="FAILED"),
        native(task_run_id="a"),
        native(task_run_id="c", state="RUNNING"),
        native(task_run_id="d", ended_at="yesterday"),
    ]
    answer = client.post("/v1/events", json=batch)
    assert answer.json() == {
        "received": 5,
        "accepted": 2,
        "duplicate": 1,
        "ignored": 1,
        "rejected": 1,
        "errors": [{"index": 4, "field": "ended_at", "message": answer.json()["errors"][0]["message"]}],
    }
    usage = client.get("/v1/accounts/acme/usage?month=2026-10").json()
    assert (usage["billable"], usage["not_billed"]["failed"]) == (1, 1)
    assert counts(client.post("/v1/events", json=batch)) == (5, 0, 3, 1, 1)


@pytest.mark.parametrize(
    ("body", "query", "content_type"),
    [
        (json.dumps(native(task_run_id="a")), "", "application/json"),
        (json.dumps([native(task_run_id="a")]), "", "application/json; charset=utf-8"),
        (lines(native(task_run_id="a")), "", "application/x-ndjson"),
        (lines(native(task_run_id="a")), "", "application/ndjson"),
        (lines(native(task_run_id="a")), "", "application/jsonl"),
        (json.dumps(cloudevent(task_run_id="a")), "", "application/cloudevents+json"),
        (json.dumps([cloudevent(task_run_id="a")]), "", "application/cloudevents-batch+json"),
        (lines(cloudevent(task_run_id="a")), "?format=cloudevents", "application/x-ndjson"),
        (json.dumps([cloudevent(task_run_id="a")]), "?format=auto", "application/json"),
        (json.dumps([prefect("a")]), "?format=prefect&account=acme", "application/json"),
        (lines(prefect("a")), "?format=prefect&account=acme", "application/x-ndjson"),
        (lines(prefect("a"), prefect("a")), "?account=acme", ""),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_format_is_read(
    lite: Client, body: str | bytes, query: str, content_type: str, zipped: bool
) -> None:
    data = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": content_type} if content_type else {}
    if zipped:
        data = gzip.compress(data)
        headers["Content-Encoding"] = "gzip"
    answer = lite.post(f"/v1/events{query}", content=data, headers=headers)
    assert answer.json()["accepted"] == 1, answer.text
    usage = lite.get("/v1/accounts/acme/usage?month=2026-10").json()
    assert usage["billable"] == 1


@pytest.mark.parametrize(
    ("headers", "body", "status", "field"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415, "Content-Type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"{}", 415, "Content-Type"),
        (JSON | {"Content-Encoding": "br"}, b"{}", 415, "Content-Encoding"),
        (JSON, b"", 422, "body"),
        (JSON, b"{", 422, "body"),
        (JSON, b"12", 422, "body"),
        (JSON, b"[" * 100_000, 422, "body"),
        (JSON | {"Content-Encoding": "gzip"}, b"not gzip", 422, "body"),
        (JSON | {"Content-Encoding": "gzip"}, gzip.compress(b"{}" * 100, mtime=0)[:-9], 422, "body"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    lite: Client, headers: dict[str, str], body: bytes, status: int, field: str
) -> None:
    assert_problem(lite.post("/v1/events", content=body, headers=headers), status, field=field)


@pytest.mark.parametrize(
    ("query", "field"),
    [("?format=xml", "format"), ("?account=a%20b", "account"), ("?format=prefect", "body")],
)
def test_a_wrong_query_is_refused(lite: Client, query: str, field: str) -> None:
    assert_problem(lite.post(f"/v1/events{query}", json=[prefect("a")]), 422, field=field)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (b"{broken", "event"),
        (b"17", "event"),
        (b'"text"', "event"),
        (json.dumps(native(ended_at="2026-10-03T02:00:05")).encode(), "ended_at"),
        (json.dumps(native(ended_at="0001-01-01T00:00:00Z")).encode(), "ended_at"),
        (json.dumps(native(ended_at="9999-12-31T23:59:59Z")).encode(), "ended_at"),
        (json.dumps(native(duration="-1")).encode(), "duration"),
        (json.dumps(native(duration=float("nan"))).encode(), "duration"),
        (json.dumps(native(duration=10**400)).encode(), "duration"),
        (json.dumps(native(task_run_id="a\0b")).encode(), "task_run_id"),
        (json.dumps(native(flow="\ud800")).encode(), "flow"),
        (json.dumps(native(flow=7)).encode(), "flow"),
        (json.dumps(native()).encode().replace(b"{", b'{"state":"FAILED",', 1), "state"),
        (b'{"state":"COMPLETED"}', "account"),
        (json.dumps(native(task_run_id="x" * 129)).encode(), "task_run_id"),
        (b"\xff\xfe", "event"),
    ],
)
def test_a_bad_event_names_its_field_and_the_rest_is_kept(lite: Client, bad: bytes, field: str) -> None:
    good = native(task_run_id="good")
    body = lines(good) + bad + b"\n" + lines(native(task_run_id="good-2"))
    answer = lite.post("/v1/events", content=body, headers=NDJSON)
    assert counts(answer) == (3, 2, 0, 0, 1)
    error = answer.json()["errors"][0]
    assert (error["index"], error["field"]) == (1, field)
    assert error["message"]


def test_a_batch_of_rejections_is_answered_and_names_the_first_hundred(lite: Client) -> None:
    answer = lite.post("/v1/events", json=[{"state": "FAILED"}] * 150)
    assert counts(answer) == (150, 0, 0, 0, 150)
    assert [error["index"] for error in answer.json()["errors"]] == list(range(100))


def test_a_bound_key_writes_its_own_account_only(lite: Client) -> None:
    key = lite.key("ingest", "acme").secret
    nameless = native(task_run_id="b")
    del nameless["account"]
    batch = [native(task_run_id="a"), nameless, native(task_run_id="c", account="other")]
    answer = lite.post("/v1/events", key=key, json=batch)
    assert counts(answer) == (3, 1, 0, 0, 2)
    assert answer.json()["errors"][0]["field"] == "account"
    assert lite.post("/v1/events?format=prefect", key=key, json=[prefect("d")]).json()["accepted"] == 1


def test_only_an_operator_may_bring_in_what_is_older_than_the_late_limit(lite: Client) -> None:
    old = native(started_at="2026-08-01T00:00:00Z", ended_at="2026-08-01T00:00:05Z")
    refused = lite.post("/v1/events", key=lite.key("ingest").secret, json=old)
    assert counts(refused) == (1, 0, 0, 0, 1)
    assert refused.json()["errors"][0]["field"] == "ended_at"
    assert counts(lite.post("/v1/events", json=old)) == (1, 1, 0, 0, 0)


def test_a_gzip_bomb_is_refused(lite: Client) -> None:
    bomb = gzip.compress(b" " * (MAX_DECOMPRESSED_BYTES + 1))
    assert len(bomb) < MAX_BODY_BYTES
    answer = lite.post("/v1/events", content=bomb, headers=JSON | {"Content-Encoding": "gzip"})
    assert_problem(answer, 413)


@pytest.mark.parametrize(
    ("path", "limit"), [("/v1/events", MAX_BODY_BYTES), ("/v1/accounts", MAX_DOCUMENT_BYTES)]
)
@pytest.mark.parametrize("declared", [False, True])
def test_a_body_past_the_limit_is_refused_before_it_is_held(
    lite: Client, path: str, limit: int, declared: bool
) -> None:
    size = 100 << 20
    piece = b" " * (1 << 20)
    taken = 0
    sent: list[Any] = []
    headers = [(b"content-type", b"application/json")]
    headers += [(name.lower().encode(), value.encode()) for name, value in lite.authorization().items()]
    if declared:
        headers.append((b"content-length", str(size).encode()))

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += len(piece)
        return {"type": "http.request", "body": piece, "more_body": taken < size}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    scope |= {"http_version": "1.1", "scheme": "http", "raw_path": path.encode(), "root_path": ""}

    async def post(_http: httpx.AsyncClient) -> None:
        await lite.app(scope, receive, send)

    lite.run(post)
    assert sent[0]["status"] == 413
    assert json.loads(sent[1]["body"])["status"] == 413
    assert taken <= (0 if declared else limit + len(piece))


def test_a_large_body_is_read_whole(lite: Client) -> None:
    batch = [native(task_run_id=f"run-{number}") for number in range(5_000)]
    assert counts(lite.post("/v1/events", json=batch)) == (5_000, 5_000, 0, 0, 0)


def test_concurrent_requests_are_counted_exactly(client: Client) -> None:
    """Batches that overlap, sent at once: each run is accepted once, by one of them."""
    chance = random.Random(7)
    batches = [
        [native(task_run_id=f"run-{chance.randrange(600)}") for _ in range(chance.randrange(1, 40))]
        for _ in range(60)
    ]
    distinct = {event["task_run_id"] for batch in batches for event in batch}

    async def send(http: httpx.AsyncClient) -> list[httpx.Response]:
        headers = client.authorization()
        posts = [http.post("/v1/events", json=batch, headers=headers) for batch in batches]
        return await asyncio.gather(*posts)

    answers = client.run(send)
    for batch, answer in zip(batches, answers, strict=True):
        received, accepted, duplicate, ignored, rejected = counts(answer)
        assert (received, ignored, rejected) == (len(batch), 0, 0)
        assert accepted + duplicate == received
    assert sum(answer.json()["accepted"] for answer in answers) == len(distinct)
    assert client.get("/v1/accounts/acme/usage?month=2026-10").json()["billable"] == len(distinct)


def test_nothing_is_acknowledged_that_the_store_did_not_keep(client: Client) -> None:
    assert counts(client.post("/v1/events", json=native(task_run_id="before")))[1] == 1
    counter = "usage_changes" if client.world.engine.dialect.name == "postgresql" else "usage_hours"
    with writing(client.world.engine) as connection:
        connection.execute(sa.text(f"ALTER TABLE {counter} RENAME TO elsewhere"))
    refused = client.post("/v1/events", json=native(task_run_id="after"))
    problem = assert_problem(refused, 503, says="send the batch again")
    assert counter not in json.dumps(problem)
    assert refused.headers["retry-after"]
    with reading(client.world.engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(task_runs)) == 1
    with writing(client.world.engine) as connection:
        connection.execute(sa.text(f"ALTER TABLE elsewhere RENAME TO {counter}"))
    assert counts(client.post("/v1/events", json=native(task_run_id="after"))) == (1, 1, 0, 0, 0)


def test_a_sender_that_leaves_does_not_stop_the_writer(lite: Client) -> None:
    waiting = lite.app.state.door.writer.submit([event("left")])
    assert not waiting.cancel()
    assert counts(lite.post("/v1/events", json=native(task_run_id="next"))) == (1, 1, 0, 0, 0)
    assert waiting.result() == [True]
