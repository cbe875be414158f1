"""Contracts of committed runs, in the shapes that were promised."""

from __future__ import annotations

from typing import Any

import pytest

from billing.api.contract_documents import ReportAnswer
from billing.api.contract_shapes import ContractAnswer, ContractSummary
from billing.api.shapes import InvoiceAnswer, InvoiceSummary
from tests.billing.api.client import Client, assert_problem
from tests.billing.api.test_documents import assert_shape
from tests.events import runs

TERM: dict[str, Any] = {
    "id": "acme-2026", "account": "acme", "start": "2026-10-01", "end": "2027-10-01",
    "plan": "standard@2021-02", "currency": "USD", "instalments": "quarterly",
    "grants": [
        {"id": "g1", "runs": 1000, "price": "900.00", "granted_on": "2026-10-01", "expires_on": "2027-10-01"}
    ],
    "services": [{"description": "Onboarding", "price": "1500.00", "due_on": "2026-10-01"}],
}  # fmt: skip
URL = "/v1/contracts/acme-2026"


@pytest.fixture
def acme(client: Client) -> Client:
    """An account with a contract, on each engine; three runs were drawn."""
    client.world.account("acme", since="2026-10")
    client.world.send(runs(3))
    assert client.post("/v1/contracts", json=TERM).status_code == 201
    return client


def books(client: Client) -> Any:
    urls = ("/v1/accounts/acme/terms", "/v1/contracts", URL)
    return [client.get(url).json() for url in urls]


def test_a_contract_is_added_and_shown(client: Client) -> None:
    client.world.account("acme", since="2026-10")
    client.world.send(runs(3))
    key = {"Idempotency-Key": "k"}
    made = client.post("/v1/contracts", json=TERM, headers=key)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == URL
    shown = client.get(URL).json()
    assert_shape(ContractAnswer, shown)
    assert shown == made.json()
    assert client.post("/v1/contracts", json=TERM, headers=key).json() == shown
    at = "2026-11-02T00:00:00Z"
    entry = {"grant": "g1", "corrects": None, "recorded_at": at}
    assert shown == TERM | {
        "grants": [TERM["grants"][0] | {"left": 997}],
        "services": [TERM["services"][0] | {"delivered_on": None}],
        "plans": [{"from": "2026-10", "plan": "standard@2021-02"}],
        "balance": 997,
        "ledger": [
            entry | {"kind": "grant", "effective_on": "2026-10-01", "quantity": 1000},
            entry | {"kind": "usage", "effective_on": "2026-10-03", "quantity": -3},
        ],
    }
    listed = client.get("/v1/contracts").json()
    assert_shape(ContractSummary, listed)
    assert listed == [TERM] == client.get("/v1/contracts?account=acme").json()
    assert client.get("/v1/contracts?account=other").json() == []
    assert client.get("/v1/contracts?limit=1&cursor=acme-2026").json() == []


def test_a_contract_in_toml_that_reaches_into_an_invoiced_month(lite: Client) -> None:
    lite.world.account("acme", since="2026-10")
    lite.world.send(runs(3))
    lite.post("/v1/billing-runs", json={"month": "2026-10"})
    toml = 'id = "t"\naccount = "acme"\nstart = 2026-10-01\nend = 2027-10-01\nplan = "standard"\n'
    toml += 'currency = "USD"\ninstalments = "upfront"\n'
    headers = {"Content-Type": "application/toml"}
    assert_problem(lite.post("/v1/contracts", content=toml, headers=headers), 409, field="from")
    assert lite.get("/v1/contracts").json() == []
    url = "/v1/contracts?amend=true&reason=signed%20late"
    assert lite.post(url, content=toml, headers=headers).json()["plan"] == "standard@2021-02"
    last = lite.get("/v1/accounts/acme/terms").json()[-1]
    assert (last["kind"], last["amendment"], last["reason"]) == ("contract", True, "signed late")
    assert_problem(lite.post("/v1/contracts", content="x", headers={"Content-Type": "text/html"}), 415)


def test_a_contract_is_changed(acme: Client) -> None:
    granted = acme.post(f"{URL}/grants", json={"runs": 500, "price": 450, "granted_on": "2027-01-01"})
    assert granted.status_code == 201
    assert_shape(ContractAnswer, granted.json())
    assert granted.json()["grants"][1] == {
        "id": "g2", "runs": 500, "price": "450.00", "granted_on": "2027-01-01", "expires_on": "2027-10-01",
        "left": 0,
    }  # fmt: skip
    body = {"end": "2028-01-01", "extend_grants": True, "plan": "starter", "from": "2027-06"}
    amended = acme.post(f"{URL}/amendments", json=body | {"reason": "agreed by mail"}).json()
    assert (amended["end"], amended["grants"][1]["expires_on"]) == ("2028-01-01", "2028-01-01")
    assert amended["plans"][1] == {"from": "2027-06", "plan": "starter@2021-02"}
    delivered = acme.post(f"{URL}/deliveries", json={"service": "onboarding"})
    assert delivered.status_code == 201
    assert delivered.json()["services"][0]["delivered_on"] == "2026-11-02"
    again = acme.post(f"{URL}/deliveries", json={"service": "1", "on": "2026-11-02"})
    assert_problem(again, 409, field="service", says="delivered on 2026-11-02 already")
    plans = acme.get("/v1/plans", key=acme.key("read", "acme").secret).json()
    assert [each["plan"] for each in plans] == ["standard", "starter"]


def test_a_contract_is_withdrawn(acme: Client) -> None:
    assert acme.ask("DELETE", f"{URL}?reason=a%20slip").status_code == 204
    assert_problem(acme.get(URL), 404, field="id")
    assert acme.get("/v1/accounts/acme").json()["contracts"] == []
    last = acme.get("/v1/accounts/acme/terms").json()[-1]
    assert (last["kind"], last["reason"]) == ("contract_withdrawn", "a slip")
    assert acme.post("/v1/contracts", json=TERM).status_code == 201
    acme.post("/v1/billing-runs", json={"month": "2026-10"})
    assert_problem(acme.ask("DELETE", URL), 409, field="id", says="end it instead")


GRANT = {"runs": 5, "price": "1", "granted_on": "2027-01-01"}
FREE = {"id": "b", "start": "2028-01-01", "end": "2029-01-01", "grants": []}
REFUSED: list[tuple[str, Any, int, str | None]] = [
    ("/v1/contracts", TERM, 409, "id"),
    ("/v1/contracts", TERM | {"id": "b"}, 409, "start"),
    ("/v1/contracts", TERM | FREE | {"account": "ghost"}, 404, None),
    ("/v1/contracts", TERM | FREE | {"start": "2028-01-15"}, 422, "start"),
    ("/v1/contracts", TERM | FREE | {"end": "2029-01-15"}, 422, "end"),
    ("/v1/contracts", TERM | FREE | {"end": "2027-12-01"}, 422, "end"),
    ("/v1/contracts", TERM | FREE | {"end": "2028-02-30"}, 422, "end"),
    ("/v1/contracts", TERM | FREE | {"plan": "gold"}, 422, "plan"),
    ("/v1/contracts", TERM | FREE | {"currency": "EUR"}, 422, "currency"),
    ("/v1/contracts", TERM | FREE | {"instalments": "weekly"}, 422, "instalments"),
    ("/v1/contracts", TERM | FREE | {"colour": "red"}, 422, "colour"),
    ("/v1/contracts", TERM | FREE | {"id": "a\0"}, 422, "id"),
    ("/v1/contracts", TERM | FREE | {"grants": TERM["grants"]}, 422, "granted_on"),
    ("/v1/contracts", TERM | FREE | {"grants": [{"id": "g", "runs": 5, "price": "-1"}]}, 422, "price"),
    ("/v1/contracts", TERM | FREE | {"grants": [{"id": "g", "runs": 5, "price": "NaN"}]}, 422, "price"),
    ("/v1/contracts", TERM | FREE | {"grants": [{"id": "g", "runs": 0, "price": "1"}]}, 422, "runs"),
    ("/v1/contracts", {}, 422, "id"),
    ("/v1/contracts", [], 422, "contract"),
    ("/v1/contracts?reason=" + "x" * 201, TERM | FREE, 422, "reason"),
    (f"{URL}/grants", GRANT | {"granted_on": "2026-09-30"}, 422, "granted_on"),
    (f"{URL}/grants", GRANT | {"expires_on": "2027-10-02"}, 422, "expires_on"),
    (f"{URL}/grants", GRANT | {"expires_on": "2027-01-01"}, 422, "expires_on"),
    (f"{URL}/grants", GRANT | {"granted_on": "soon"}, 422, "granted_on"),
    (f"{URL}/grants", GRANT | {"runs": -5}, 422, "runs"),
    (f"{URL}/grants", GRANT | {"runs": "5"}, 422, "runs"),
    (f"{URL}/grants", GRANT | {"price": "-1"}, 422, "price"),
    (f"{URL}/grants", GRANT | {"price": "NaN"}, 422, "price"),
    (f"{URL}/grants", GRANT | {"price": 1.5}, 422, "price"),
    (f"{URL}/grants", GRANT | {"id": "g1"}, 422, "id"),
    (f"{URL}/grants", GRANT | {"id": ""}, 422, "id"),
    (f"{URL}/grants", GRANT | {"colour": "red"}, 422, "colour"),
    ("/v1/contracts/none/grants", GRANT, 404, "id"),
    (f"{URL}/amendments", {}, 422, "end"),
    (f"{URL}/amendments", {"end": "2026-10-01"}, 422, "end"),
    (f"{URL}/amendments", {"end": "2027-01-15"}, 422, "end"),
    (f"{URL}/amendments", {"plan": "starter"}, 422, "plan"),
    (f"{URL}/amendments", {"plan": "gold", "from": "2027-01"}, 422, "plan"),
    (f"{URL}/amendments", {"plan": "starter", "from": "2029-01"}, 422, "from"),
    ("/v1/contracts/none/amendments", {"end": "2028-01-01"}, 404, "id"),
    (f"{URL}/deliveries", {"service": "Support"}, 422, "service"),
    (f"{URL}/deliveries", {"service": "1", "on": "tomorrow"}, 422, "on"),
    ("/v1/contracts/none/deliveries", {"service": "1"}, 404, "id"),
]


def test_a_refusal_names_the_field_and_changes_nothing(acme: Client) -> None:
    before = books(acme)
    for url, body, status, field in REFUSED:
        assert_problem(acme.post(url, json=body), status, field=field)
    assert books(acme) == before


def test_what_is_due_is_invoiced_once(acme: Client) -> None:
    made = acme.post("/v1/contract-invoices", json={"as_of": "2026-10-01"})
    assert made.status_code == 201, made.text
    assert [(each["kind"], each["total"]) for each in made.json()] == [("contract", 225_00 + 1500_00)]
    assert_shape(InvoiceSummary, made.json())
    assert acme.post("/v1/contract-invoices", json={"as_of": "2026-10-01"}).json() == []
    shown = acme.get(f"/v1/invoices/{made.json()[0]['id']}").json()
    assert_shape(InvoiceAnswer, shown)
    assert [line["reference"] for line in shown["lines"]] == ["grant/g1", "service/1"]
    assert_problem(acme.post("/v1/contract-invoices", json={"as_of": "soon"}), 422, field="as_of")
    assert_problem(acme.post("/v1/contract-invoices", json={"contract": "none"}), 404, field="id")
    assert_problem(acme.post("/v1/contract-invoices", json={"month": "2026-10"}), 422, field="month")


def test_the_report(acme: Client) -> None:
    url = f"{URL}/report"
    data = acme.get(url, params={"as_of": "2026-10-31"}).json()
    assert (data["committed"], data["used"], data["remaining"]) == (1000, 3, 997)
    assert_shape(ReportAnswer, data)
    page = acme.get(url, params={"format": "html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "<svg" in page.text
    assert acme.get(url, params={"format": "csv"}).text.startswith("month,")
    assert_problem(acme.get("/v1/contracts/none/report"), 404, field="id")
    assert_problem(acme.get(url, params={"as_of": "2026-02-30"}), 422, field="as_of")
    assert_problem(acme.get(url, params={"format": "pdf"}), 422, field="format")
