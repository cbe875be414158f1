"""/v1/sources, and watermarks in usage and billing runs."""

from __future__ import annotations

from typing import Any

import pytest

from billing.api.billing_runs import RunAnswer
from billing.api.sources import SourceAnswer, VisitAnswer
from billing.api.usage import UsageAnswer
from billing.sources import add_source, server_of
from metering.collecting import state
from metering.database import writing
from tests.billing.api.client import Client, assert_problem
from tests.billing.api.test_documents import assert_shape
from tests.events import runs
from tests.metering.prefect_double import prefect_double, row
from tests.world import NOVEMBER_2, OCTOBER

URL = "/v1/sources/airflow/watermark"


def declare(client: Client, key: str | None = "admin", **body: Any) -> Any:
    return client.ask("PUT", URL, key=key, json={"complete_to": "2026-11-01T00:00:00Z", **body})


def test_a_source_declares_its_watermark_and_usage_shows_it(client: Client) -> None:
    client.world.account()
    client.world.send(runs(3))
    usage = "/v1/accounts/acme/usage?month=2026-10"
    assert "watermark" not in client.get(usage).json()
    key = client.key("ingest", "acme").secret
    said = declare(client, key, runs=3)
    assert said.status_code == 200, said.text
    assert_shape(SourceAnswer, said.json())
    assert said.json() == {
        "source": "airflow",
        "account": "acme",
        "kind": "declared",
        "since": "1970-01-01T00:00:00Z",
        "complete_to": "2026-11-01T00:00:00Z",
        "runs": 3,
        "checked_at": "2026-11-02T00:00:00Z",
        "missing": 0,
        "missing_ids": [],
        "error": None,
        "failing_since": None,
    }
    found = client.get(usage).json()
    assert_shape(UsageAnswer, found)
    assert found["watermark"]["complete_to"] == "2026-11-01T00:00:00Z"
    assert found["watermark"]["sources"][0]["runs"] == 3
    # The last word holds, also if it takes some back.
    assert declare(client, key, complete_to="2026-10-15T12:00:00+02:00").status_code == 200
    assert client.get(usage).json()["watermark"]["complete_to"] == "2026-10-15T10:00:00Z"


def test_a_billing_run_names_who_is_not_complete(client: Client) -> None:
    client.world.account()
    client.world.send(runs(3))
    declare(client, account="acme", complete_to="2026-10-31T00:00:00Z")
    made = client.post("/v1/billing-runs", json={"month": "2026-10"}).json()
    assert_shape(RunAnswer, made)
    assert (made["finalized"], made["drafted"]) == (0, 1)
    assert made["incomplete"] == [
        {"account": "acme", "source": "airflow", "complete_to": "2026-10-31T00:00:00Z"}
    ]
    again = client.post("/v1/billing-runs", json={"month": "2026-10", "bill_incomplete": True}).json()
    assert (again["finalized"], len(again["incomplete"])) == (1, 1)


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "account", "account is missing; name the account"),
        ({"account": "a b"}, "account", "account must be 1 to 64"),
        ({"account": "acme", "complete_to": "2026-11-01"}, "complete_to", "is not an RFC 3339 instant"),
        ({"account": "acme", "complete_to": "2026-11-01T00:00:00"}, "complete_to", "has no offset"),
        ({"account": "acme", "complete_to": "2026-11-02T00:06:00Z"}, "complete_to", "is in the future"),
        ({"account": "acme", "runs": -1}, "runs", "0 or more"),
        ({"account": "acme", "runs": 2**63}, "runs", "quantity of task runs"),
        ({"account": "acme", "runs": "3"}, "runs", "valid integer"),
        ({"account": "acme", "since": "2026-11-01T00:00:00.1Z"}, "since", "must not be after complete_to"),
        ({"account": "acme", "until": "x"}, "until", "is not known here"),
    ],
)
def test_what_cannot_be_declared(lite: Client, body: dict[str, Any], field: str, says: str) -> None:
    assert_problem(declare(lite, **body), 422, field=field, says=says)
    assert lite.get("/v1/sources").json() == []


def test_the_name_of_a_source_is_checked(lite: Client) -> None:
    body = {"account": "acme", "complete_to": "2026-11-01T00:00:00Z"}
    problem = lite.ask("PUT", "/v1/sources/a%20b/watermark", json=body)
    assert_problem(problem, 422, field="source", says="source must be 1 to 64")


def test_access_is_by_scope_and_account(lite: Client) -> None:
    bound, reader = lite.key("ingest", "acme").secret, lite.key("read", "globex").secret
    assert declare(lite, bound).status_code == 200
    assert_problem(declare(lite, bound, account="globex"), 404)
    assert_problem(declare(lite, reader), 403)
    assert_problem(declare(lite, None), 401)
    assert_problem(lite.get("/v1/sources", key=bound), 403)
    assert lite.get("/v1/sources", key=reader).json() == []
    assert_problem(lite.get("/v1/sources/airflow", key=reader), 404)
    assert lite.get("/v1/sources?account=acme", key=reader).json() == []
    assert_problem(lite.get("/v1/sources/airflow?account=acme", key=reader), 404)
    assert_problem(lite.ask("DELETE", "/v1/sources/airflow", key=bound), 403)


def test_sources_of_one_name_are_told_apart_by_their_account(lite: Client) -> None:
    for account in ("acme", "globex"):
        declare(lite, account=account)
    assert [each["account"] for each in lite.get("/v1/sources").json()] == ["acme", "globex"]
    page = lite.get("/v1/sources?limit=1")
    assert 'rel="next"' in page.headers["Link"]
    assert_problem(lite.get("/v1/sources/airflow"), 422, field="account", says="name one of acme, globex")
    assert lite.get("/v1/sources/airflow?account=globex").json()["account"] == "globex"
    assert lite.ask("DELETE", "/v1/sources/airflow?account=globex").status_code == 204
    assert_problem(lite.ask("DELETE", "/v1/sources/airflow?account=globex"), 404)


def test_a_source_that_is_collected_from_is_shown_and_cannot_declare(lite: Client) -> None:
    server = server_of("http://prefect:4200", workspace="eu")
    add_source(lite.world.engine, "acme", "airflow", server, since=OCTOBER.start, now=NOVEMBER_2)
    assert_problem(declare(lite, account="acme"), 409, says="is collected by this service")
    shown = lite.get("/v1/sources/airflow").json()
    assert_shape(SourceAnswer, shown)
    assert (shown["url"], shown["workspace"], shown["complete_to"]) == (
        "http://prefect:4200/api",
        "eu",
        None,
    )


def test_metrics_say_how_many_sources_need_a_person_and_name_nobody(lite: Client) -> None:
    declare(lite, account="acme", complete_to="2026-11-01T00:00:00Z")
    declare(lite, account="globex", complete_to="2026-11-01T12:00:00Z")
    server = server_of("http://prefect:4200")
    added = add_source(lite.world.engine, "acme", "eu", server, since=OCTOBER.start, now=NOVEMBER_2)
    with writing(lite.world.engine) as connection:
        state.save_attempt(connection, added, NOVEMBER_2, "it cannot be reached", None)
    said = lite.get("/metrics", key=None).text
    assert 'billing_sources{state="ok"} 2.0' in said
    assert 'billing_sources{state="failing"} 1.0' in said
    assert "billing_sources_complete_to_seconds 1.7934912e+09" in said
    assert "acme" not in said


def test_a_source_is_visited_over_http(client: Client) -> None:
    """What the command line does: its events, what is complete, and what has records alone."""
    client.world.account()
    with prefect_double() as double:
        double.clock = lambda: client.world.instant
        double.finish(1, end="2026-10-31T10:00:00Z")
        double.rows.append(row(2, end="2026-10-31T11:00:00Z", updated="2026-11-01T23:59:20Z"))
        address = server_of(double.url)
        add_source(client.world.engine, "acme", "eu", address, since=OCTOBER.start, now=NOVEMBER_2)
        made = client.post("/v1/sources/eu/visits")
        assert made.status_code == 200, made.text
        assert_shape(VisitAnswer, made.json())
        said = made.json()
        assert (said["finished"], said["accepted"], said["missing"]) == (True, 1, 1)
        assert said["complete_to"] == "2026-10-31T11:00:00Z"
        recovered = client.post("/v1/sources/eu/recoveries").json()
        assert_shape(VisitAnswer, recovered)
        assert (recovered["recovered"], recovered["missing"]) == (1, 0)
        assert recovered["complete_to"] == "2026-11-01T23:54:30Z"
        double.key = "another"
        refused = client.post("/v1/sources/eu/visits").json()
        assert "refuses the API key (401)" in refused["error"]
        assert client.post("/v1/sources/eu/recoveries").status_code == 502
    for route in ("visits", "recoveries"):
        assert_problem(client.post(f"/v1/sources/nobody/{route}"), 404, says="there is no source 'nobody'")
        assert client.post(f"/v1/sources/eu/{route}", key=client.key("read").secret).status_code == 403
    declare(client, account="acme")
    refused = client.post("/v1/sources/airflow/visits")
    assert_problem(refused, 409, says="source 'airflow' is not collected by this service; it declares its")
