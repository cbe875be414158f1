"""Accounts, plans, usage, previews, invoices and billing runs, in the shapes that were promised."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from billing.api.account_shapes import AccountAnswer
from billing.api.billing_runs import RunAnswer
from billing.api.invoices import VerifyAnswer
from billing.api.keys import KeyAnswer
from billing.api.plans import PlanAnswer
from billing.api.shapes import InvoiceAnswer, InvoiceSummary, PreviewAnswer
from billing.api.usage import UsageAnswer
from tests.billing.api.client import Client, assert_problem
from tests.events import event, runs

NONE = {"too_short": 0, "cached": 0, "failed": 0, "crashed": 0, "cancelled": 0, "reversed": 0}


def assert_shape(model: type[BaseModel], data: Any) -> None:
    """The data is what the description says: no field too few, none too many, each of its type."""
    many = isinstance(data, list)
    shape: TypeAdapter[Any] = TypeAdapter(list[model] if many else model)  # type: ignore[valid-type]
    held = shape.validate_python(data, strict=True)
    assert shape.dump_python(held, by_alias=True, exclude_unset=True) == data
    assert not many or data


def names(answer: Any) -> list[str]:
    return [each["id"] for each in answer.json()]


def test_accounts(client: Client) -> None:
    made = client.post("/v1/accounts", json={"id": "acme", "billing_from": "2026-10", "email": "a@acme.test"})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/accounts/acme"
    assert made.json() == {
        "id": "acme",
        "name": "acme",
        "email": "a@acme.test",
        "currency": "USD",
        "billing_from": "2026-10",
        "closed_on": None,
        "plans": [{"from": "2026-10", "plan": "starter@2021-02"}],
        "contracts": [],
        "programs": [],
        "price_protection": [],
        "details": {},
        "stripe_customer_id": None,
    }
    assert client.get("/v1/accounts/acme").json() == made.json()
    assert_shape(AccountAnswer, made.json())
    assert_shape(AccountAnswer, client.get("/v1/accounts").json())
    moved = client.post("/v1/accounts/acme/plan", json={"plan": "standard", "from": "2026-12"})
    assert moved.json()["plans"][1] == {"from": "2026-12", "plan": "standard@2021-02"}
    default = client.post("/v1/accounts", json={"id": "b"}).json()
    assert default["billing_from"] == "2026-11"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"id": "acme"}, 409, "id"),
        ({"id": "a b"}, 422, "id"),
        ({"id": ""}, 422, "id"),
        ({"id": 7}, 422, "id"),
        ({}, 422, "id"),
        ([], 422, "body"),
        ({"id": "b", "plan": "gold"}, 422, "plan"),
        ({"id": "b", "plan": "a\0b"}, 422, "plan"),
        ({"id": "b", "billing_from": "2026-13"}, 422, "billing_from"),
        ({"id": "b", "currency": "XXY"}, 422, "currency"),
        ({"id": "b", "name": "\0"}, 422, "name"),
        ({"id": "b", "colour": "red"}, 422, "colour"),
    ],
)
def test_an_account_that_cannot_be_added(lite: Client, body: Any, status: int, field: str) -> None:
    lite.world.account("acme")
    assert_problem(lite.post("/v1/accounts", json=body), status, field=field)
    assert names(lite.get("/v1/accounts")) == ["acme"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 422, "body"),
        (b"{", 422, "body"),
        (b"\xff", 422, "body"),
        (b"[" * 5000, 422, "body"),
        (b'{"id": "b", "name": "\\ud800"}', 422, "name"),
    ],
)
def test_a_document_that_is_not_json(lite: Client, body: bytes, status: int, field: str | None) -> None:
    answer = lite.post("/v1/accounts", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, status, field=field)
    assert names(lite.get("/v1/accounts")) == []


def test_lists_are_paged_by_a_link(client: Client) -> None:
    for number in range(5):
        client.world.account(f"a{number}")
    url, seen = "/v1/accounts?limit=2", []
    while url:
        page = client.get(url)
        assert len(page.json()) <= 2
        seen += names(page)
        link = page.headers.get("link", "")
        assert not link or link.endswith('>; rel="next"')
        url = link.removeprefix("<").partition(">")[0]
    assert seen == [f"a{number}" for number in range(5)]
    for wrong in ("limit=0", "limit=1001", "limit=x"):
        assert_problem(client.get(f"/v1/accounts?{wrong}"), 422, field="limit")


def test_plans(client: Client) -> None:
    plan = client.get("/v1/plans/starter").json()
    assert_shape(PlanAnswer, plan)
    assert plan["version"] == "2021-02"
    assert client.get("/v1/plans/starter@2021-02").json() == plan
    every = client.get("/v1/plans").json()
    assert_shape(PlanAnswer, every)
    assert plan in every
    assert_problem(client.get("/v1/plans/gold"), 404, field="plan")
    changed = plan | {"version": "2026-12", "effective_from": "2026-12-01"}
    loaded = client.post("/v1/plans", json=changed)
    assert (loaded.status_code, loaded.json()) == (201, [changed])
    again = client.post("/v1/plans", json=[changed, plan])
    assert (again.status_code, again.json()) == (200, [])
    assert_problem(
        client.post("/v1/plans", json=changed | {"effective_from": "2026-11-01"}), 409, field="version"
    )


def test_plans_in_yaml_and_plans_that_cannot_be_read(lite: Client) -> None:
    yaml = "plan: y\nversion: a\neffective_from: 2026-01-01\ncurrency: USD\nsoft_limit: null\nbrackets:\n"
    yaml += "  - {up_to: null, unit_price: 0.00010}\n"
    headers = {"Content-Type": "application/yaml"}
    loaded = lite.post("/v1/plans", content=yaml, headers=headers)
    assert loaded.status_code == 201, loaded.text
    assert_problem(lite.post("/v1/plans", content="[", headers=headers), 422, field="plan")
    assert_problem(lite.post("/v1/plans", content=b"\xff", headers=headers), 422, field="body")
    assert_problem(lite.post("/v1/plans", content="x", headers={"Content-Type": "text/html"}), 415)


def test_usage(client: Client) -> None:
    client.world.account()
    client.world.send(
        [
            event("a", end="2026-10-03T02:30:00Z", flow="etl"),
            event("b", end="2026-10-03T03:30:00Z", flow="ml", state="FAILED"),
            event("c", end="2026-11-01T00:00:00Z", flow="ml"),
        ]
    )
    assert client.get("/v1/accounts/acme/usage?month=2026-10").json() == {
        "account": "acme",
        "period": {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"},
        "billable": 1,
        "not_billed": NONE | {"failed": 1},
        "windows": [
            {"start": "2026-10-03T00:00:00Z", "billable": 1, "not_billed": NONE | {"failed": 1}},
        ],
    }
    this_month = client.get("/v1/accounts/acme/usage").json()
    assert (this_month["period"]["start"], this_month["billable"]) == ("2026-11-01T00:00:00Z", 1)
    grouped = client.get(
        "/v1/accounts/acme/usage",
        params={
            "from": "2026-10-03T04:00:00+02:00",
            "to": "2026-10-03T04:00:00Z",
            "by": "hour",
            "group_by": "flow",
        },
    ).json()
    assert_shape(UsageAnswer, grouped)
    assert [(w["start"], w["flow"], w["billable"]) for w in grouped["windows"]] == [
        ("2026-10-03T02:00:00Z", "etl", 1),
        ("2026-10-03T03:00:00Z", "ml", 0),
    ]
    assert "workspace" not in grouped["windows"][0]
    lost_plus = "from=2026-10-03T04:00:00+02:00&to=2026-10-03T04:00:00Z"
    assert client.get(f"/v1/accounts/acme/usage?{lost_plus}").json()["period"] == grouped["period"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-10-03T02:30:00Z", "from"),
        ("to=2026-12-03T02:00:01Z", "to"),
        ("from=2026-10-03T02:00:00", "from"),
        ("from=yesterday", "from"),
        ("from=2026-02-30T00:00:00Z", "from"),
        ("from=2026-12-03T00:00:00Z&to=2026-10-03T00:00:00Z", "to"),
        ("month=2026-10&from=2026-10-03T02:00:00Z", "month"),
        ("month=october", "month"),
        ("by=week", "by"),
        ("group_by=colour", "group_by"),
    ],
)
def test_usage_that_cannot_be_asked(lite: Client, query: str, field: str) -> None:
    lite.world.account()
    assert_problem(lite.get(f"/v1/accounts/acme/usage?{query}"), 422, field=field)


def test_usage_of_an_account_that_only_the_meter_knows(client: Client) -> None:
    client.world.send([event("a", account="new")])
    assert client.get("/v1/accounts/new/usage?month=2026-10").json()["billable"] == 1
    assert client.get("/v1/accounts/new/usage?month=2026-01").json()["billable"] == 0
    assert_problem(client.get("/v1/accounts/new/preview"), 404)
    assert_problem(client.get("/v1/accounts/nobody/usage"), 404)
    client.world.account("idle")
    assert client.get("/v1/accounts/idle/usage").json()["windows"] == []


def test_preview(client: Client) -> None:
    client.world.account()
    client.world.send(runs(10_003), runs(2, prefix="f", state="CRASHED"))
    preview = client.get("/v1/accounts/acme/preview?month=2026-10").json()
    assert_shape(PreviewAnswer, preview)
    assert (preview["status"], preview["billable"], preview["total"]) == ("preview", 10_003, 1)
    assert preview["not_billed"] == NONE | {"crashed": 2}
    assert preview["lines"][1]["unit_price"] == "0.0025"
    assert client.get("/v1/accounts/acme/preview").json()["billable"] == 0
    assert_problem(client.get("/v1/accounts/acme/preview?month=x"), 422, field="month")


def test_a_month_becomes_invoices(client: Client) -> None:
    client.world.account()
    client.world.account("b")
    client.world.send(runs(12_000), runs(5, account="b"), runs(2, account="stray"))
    started = client.post("/v1/billing-runs", json={"month": "2026-10"})
    assert started.status_code == 201
    run = started.json()
    assert_shape(RunAnswer, run)
    assert (run["finalized"], run["failed"], run["sent"]) == (2, [], 0)
    assert run["unassigned"] == [{"account": "stray", "billable": 2}]
    held = client.get(started.headers["location"]).json()
    assert_shape(RunAnswer, held)
    times = {"started_at": "2026-11-02T00:00:00Z", "finished_at": "2026-11-02T00:00:00Z"}
    assert held == run | times

    listed = client.get("/v1/invoices?month=2026-10").json()
    assert_shape(InvoiceSummary, listed)
    of = {each["account"]: each for each in listed}
    assert {account: each["total"] for account, each in of.items()} == {"acme": 500, "b": 0}
    assert client.get("/v1/invoices?status=paid").json() == [of["b"]]
    assert client.get("/v1/invoices?account=acme").json() == [of["acme"]]
    assert client.get("/v1/invoices?limit=1").headers["link"].count(listed[0]["id"]) == 1
    assert_problem(client.get("/v1/invoices?status=late"), 422, field="status")

    invoice = client.get("/v1/invoices/2026-10-000001").json()
    assert_shape(InvoiceAnswer, invoice)
    assert client.get(f"/v1/invoices/{invoice['id']}").json() == invoice
    assert (invoice["status"], invoice["total"], invoice["billable"]) == ("finalized", 500, 12_000)
    assert [line["amount"] for line in invoice["lines"]] == [0, 500]

    csv = client.get("/v1/invoices/2026-10-000001/runs.csv")
    assert csv.headers["content-type"].startswith("text/csv")
    assert csv.headers["content-disposition"] == 'attachment; filename="2026-10-000001-runs.csv"'
    assert csv.content.count(b"\n") == 12_001
    assert hashlib.sha256(csv.content).hexdigest() == invoice["run_list_sha256"]

    proof = client.get("/v1/invoices/2026-10-000001/verify").json()
    assert_shape(VerifyAnswer, proof)
    assert proof == {"id": invoice["id"], "ok": True, "differences": []}
    for rest in ("", "/runs.csv", "/verify"):
        assert_problem(client.get(f"/v1/invoices/2026-10-000009{rest}"), 404)

    again = client.post("/v1/billing-runs", json={"month": "2026-10"}).json()
    assert (again["finalized"], again["skipped"]) == (0, 2)
    refused = client.post("/v1/accounts/acme/plan", json={"plan": "standard", "from": "2026-10"})
    assert_problem(refused, 409, field="from")


def test_a_month_that_is_not_over(lite: Client) -> None:
    lite.world.account()
    lite.world.send([event("a", end="2026-11-01T01:00:00Z")])
    assert_problem(lite.post("/v1/billing-runs", json={"month": "2026-11"}), 409, field="month")
    early = lite.post("/v1/billing-runs", json={"month": "2026-11", "early": True}).json()
    assert early["drafted"] == 1
    draft = early["invoices"][0]
    csv = lite.get(f"/v1/invoices/{draft['id']}/runs.csv")
    assert csv.headers["content-disposition"] == f'attachment; filename="{draft["id"]}-runs.csv"'
    for body, status, field in [
        ({"month": "2026-10", "account": "nobody"}, 404, None),
        ({"month": "2026-10", "account": "a\0"}, 422, "account"),
        ({"month": "10/2026"}, 422, "month"),
        ({}, 422, "month"),
        ({"month": "2026-10", "early": "perhaps"}, 422, "early"),
    ]:
        assert_problem(lite.post("/v1/billing-runs", json=body), status, field=field)
    assert_problem(lite.get("/v1/billing-runs/run_0"), 404)


def test_keys(client: Client) -> None:
    made = client.post("/v1/keys", json={"scope": "ingest", "account": "acme"})
    assert made.status_code == 201
    assert made.json().keys() == {"id", "key", "scope", "account"}
    listed = client.get("/v1/keys")
    assert_shape(KeyAnswer, listed.json())
    assert made.json()["key"] not in listed.text
    assert made.json()["id"] in names(listed)
    assert_problem(client.post("/v1/keys", json={"scope": "admin", "account": "acme"}), 422, field="account")
    assert_problem(client.post("/v1/keys", json={"scope": "root"}), 422, field="scope")
    assert client.ask("DELETE", f"/v1/keys/{made.json()['id']}").status_code == 204
    assert_problem(client.ask("DELETE", "/v1/keys/key_0"), 404)
