"""OpenLineage and Airflow over HTTP, and the halves of runs that wait."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import sqlalchemy as sa

from billing.api.events import IngestAnswer
from billing.api.halves import HalfAnswer
from metering.database import writing
from metering.pairing.tables import run_halves
from tests.billing.api.client import Client, assert_problem
from tests.billing.api.test_documents import assert_shape
from tests.metering.test_sources_openlineage import SAMPLE, lineage

URL = "/v1/events?format=openlineage&account=acme"
NDJSON = {"Content-Type": "application/x-ndjson"}
START, COMPLETE = lineage("START", "2026-10-03T02:00:00Z"), lineage()
USAGE = "/v1/accounts/acme/usage?month=2026-10"


@pytest.fixture
def acme(client: Client) -> Client:
    client.world.account()
    return client


def counted(answer: Any) -> tuple[int, ...]:
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert_shape(IngestAnswer, said)
    return tuple(said[name] for name in ("accepted", "duplicate", "ignored", "rejected"))


@pytest.mark.parametrize("events", [[START, COMPLETE], [COMPLETE, START]])
def test_a_run_counts_once_both_halves_are_here(acme: Client, events: list[Any]) -> None:
    first, second = events
    assert counted(acme.post(URL, json=first)) == (1, 0, 0, 0)
    assert acme.get(USAGE).json()["billable"] == 0
    (half,) = acme.get("/v1/halves").json()
    assert_shape(HalfAnswer, half)
    assert half["half"] == ("start" if first is START else "end")
    assert counted(acme.post(URL, json=[second, first, lineage("RUNNING")])) == (1, 1, 1, 0)
    assert acme.get(USAGE).json()["billable"] == 1
    assert acme.get("/v1/halves").json() == []
    assert counted(acme.post(URL, json=events)) == (0, 2, 0, 0)
    assert acme.get(USAGE).json()["billable"] == 1


def test_the_sample_of_the_real_library(acme: Client) -> None:
    key = acme.key("ingest", "acme").secret
    body = gzip.compress(SAMPLE.read_bytes())
    headers = NDJSON | {"Content-Encoding": "gzip"} | acme.authorization(key)
    said = acme.post("/v1/events?format=openlineage", content=body, headers=headers, key=None)
    assert counted(said) == (11, 0, 10, 0)
    usage = acme.get(USAGE).json()
    assert usage["billable"] == 2
    assert {name: many for name, many in usage["not_billed"].items() if many} == {
        "too_short": 1,
        "failed": 1,
        "cancelled": 1,
    }
    (left,) = acme.get("/v1/halves").json()
    assert left["flow"] == "still_running"
    assert 'billing_run_halves{half="start"} 1.0' in acme.get("/metrics").text


def test_a_bound_key_sees_its_own_halves(acme: Client) -> None:
    acme.post(URL, json=START)
    acme.post(URL.replace("acme", "globex"), json=START)
    key = acme.key("read", "globex").secret
    assert [each["account"] for each in acme.get("/v1/halves", key=key).json()] == ["globex"]
    assert acme.get("/v1/halves?account=acme", key=key).json() == []
    first = acme.get("/v1/halves?limit=1")
    rest = acme.get(first.headers["link"].partition(">")[0].lstrip("<"))
    assert {each["account"] for each in first.json() + rest.json()} == {"acme", "globex"}


def test_a_broken_event_costs_the_others_nothing(acme: Client) -> None:
    said = acme.post(URL, json=[START, lineage(at="yesterday"), COMPLETE])
    assert counted(said) == (2, 0, 0, 1)
    assert said.json()["errors"][0]["field"] == "eventTime"
    assert_problem(
        acme.post("/v1/events?format=openlineage", json=START), 422, field="body", says="name the account"
    )


def test_halves_that_cannot_be_kept_are_not_acknowledged(lite: Client) -> None:
    """The table is gone, as with a database that is broken; nothing is said to be kept."""
    lite.world.account()
    with writing(lite.world.engine) as connection:
        connection.execute(sa.text(f"ALTER TABLE {run_halves.name} RENAME TO elsewhere"))
    assert_problem(lite.post(URL, json=START), 503, says="send the batch again")
    with writing(lite.world.engine) as connection:
        connection.execute(sa.text(f"ALTER TABLE elsewhere RENAME TO {run_halves.name}"))
    assert counted(lite.post(URL, json=[START, COMPLETE])) == (2, 0, 0, 0)


AIRFLOW = {
    "dag_id": "etl",
    "dag_run_id": "scheduled__2026-10-01",
    "task_id": "load",
    "map_index": -1,
    "start_date": "2026-10-01T00:00:01Z",
    "end_date": "2026-10-01T00:00:05.25Z",
    "duration": 3.5,
    "state": "success",
}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps({"task_instances": [AIRFLOW], "total_entries": 1}), "application/json"),
        (json.dumps([AIRFLOW]), "application/json"),
        (json.dumps(AIRFLOW) + "\n" + json.dumps(AIRFLOW | {"try_number": 2}), "application/x-ndjson"),
        (
            "dag_id,run_id,task_id,start_date,end_date,duration,state\n"
            "etl,scheduled__2026-10-01,load,2026-10-01 00:00:01+00,2026-10-01 00:00:05.25+00,3.5,success\n",
            "text/csv",
        ),
    ],
)
def test_airflow_as_its_api_and_its_table_give_it(lite: Client, body: str, content_type: str) -> None:
    lite.world.account()
    url = "/v1/events?format=airflow&account=acme"
    said = lite.post(url, content=body, headers={"Content-Type": content_type})
    accepted, duplicate, ignored, rejected = counted(said)
    assert (accepted, ignored, rejected) == (1, 0, 0)
    assert duplicate == int("try_number" in body)  # another try is the same task run
    assert lite.get(USAGE).json()["billable"] == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("a,b\n1,2\n", "names no column dag_id"),
        ("", "empty"),
        ('{"task_instances": [', "not valid JSON"),
        ('"dag_id"x,task_id,state\na,b,c\n', "not valid CSV"),
    ],
)
def test_what_is_no_export_of_airflows_is_said(lite: Client, body: str, says: str) -> None:
    said = lite.post("/v1/events?format=airflow&account=acme", content=body, headers=NDJSON)
    assert_problem(said, 422, field="body", says=says)
