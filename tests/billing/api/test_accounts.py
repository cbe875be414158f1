"""What is agreed with an account, its credit, its end, and moving it to another plan."""

from __future__ import annotations

from typing import Any

import pytest

from billing.api.account_credit import CreditAnswer, ReferralAnswer
from billing.api.account_shapes import AccountAnswer
from billing.api.account_terms import EndingAnswer, TermsEntryAnswer
from billing.api.accounts import ClosedAnswer
from billing.api.plans import MigrationAnswer
from tests.billing.api.client import Client, assert_problem
from tests.billing.api.test_documents import assert_shape
from tests.events import runs

DETAILS = {
    "line1": "Street 1", "line2": "Floor 2", "city": "Berlin", "postal_code": "10115", "state": "BE",
    "country": "DE", "tax_id_type": "eu_vat", "tax_id": "DE1", "purchase_order": "PO-7",
    "collection": "send", "days_until_due": 14,
}  # fmt: skip


def books(client: Client, *accounts: str) -> Any:
    """All that is written down of accounts."""
    held = [
        client.get(f"/v1/accounts/{each}{rest}").json()
        for each in accounts
        for rest in ("", "/terms", "/credits")
    ]
    return held, client.get("/v1/accounts").json(), client.get("/v1/contracts").json()


def invoiced(client: Client) -> None:
    """`acme`, invoiced for October, and `other`; it is November."""
    client.world.account("acme", since="2026-10")
    client.world.account("other", since="2026-10")
    client.world.send(runs(3))
    assert client.post("/v1/billing-runs", json={"month": "2026-10"}).json()["finalized"] == 1


def test_an_account_that_moves_in(client: Client) -> None:
    body = {
        "id": "acme", "billing_from": "2026-12", "legacy_charge": "100.00", "protected_until": "2027-06-01",
        "opening_credit": 12, "opening_runs": 5000, "opening_runs_until": "2027-03-01", "details": DETAILS,
    }  # fmt: skip
    made = client.post("/v1/accounts", json=body)
    assert made.status_code == 201, made.text
    account = made.json()
    assert_shape(AccountAnswer, account)
    assert account["price_protection"] == [{"from": "2026-12", "charge": 10000, "ends_on": "2027-06-01"}]
    assert account["contracts"] == [{"id": "acme-opening", "start": "2026-12-01", "end": "2027-03-01"}]
    assert account["details"] == DETAILS
    credit = client.get("/v1/accounts/acme/credits").json()
    assert_shape(CreditAnswer, credit)
    assert credit["balance"] == 1200
    history = client.get("/v1/accounts/acme/terms").json()
    assert_shape(TermsEntryAnswer, history)
    assert [each["kind"] for each in history] == ["plan", "protection", "contract"]
    assert all(each["author"].startswith("key key_") for each in history)


def test_an_account_is_updated(client: Client) -> None:
    client.post("/v1/accounts", json={"id": "acme", "name": "Acme", "details": DETAILS})
    changed = client.ask("PATCH", "/v1/accounts/acme", json={"name": "Acme AG", "details": {"line2": ""}})
    assert changed.status_code == 200
    assert changed.json()["name"] == "Acme AG"
    assert changed.json()["details"] == {name: value for name, value in DETAILS.items() if name != "line2"}
    before = client.get("/v1/accounts/acme").json()
    for body, field in [
        ({}, "name"),
        ({"email": "nobody"}, "email"),
        ({"colour": "red"}, "colour"),
        ({"name": None}, "name"),
        ({"plan": "standard"}, "plan"),
        ({"details": {"country": "Germany"}}, "details.country"),
        ({"details": {"tax_id": ""}}, "details.tax_id"),
        ({"details": {"collection": "cash"}}, "details.collection"),
        ({"details": {"days_until_due": True}}, "details.days_until_due"),
        ({"details": {"days_until_due": 366}}, "details.days_until_due"),
        ({"details": {"planet": "Mars"}}, "details.planet"),
        ({"details": {"city": "\0"}}, "details.city"),
        ({"name": "two\nlines"}, "name"),
    ]:
        assert_problem(client.ask("PATCH", "/v1/accounts/acme", json=body), 422, field=field)
    assert_problem(client.ask("PATCH", "/v1/accounts/ghost", json={"name": "x"}), 404)
    assert client.get("/v1/accounts/acme").json() == before


def test_an_amendment_is_recorded_with_its_author(client: Client) -> None:
    invoiced(client)
    body = {"plan": "standard", "from": "2026-10"}
    assert_problem(client.post("/v1/accounts/acme/plan", json=body), 409, field="from", says="an amendment")
    amended = client.post("/v1/accounts/acme/plan", json=body | {"amend": True, "reason": "agreed late"})
    assert amended.json()["plans"] == [{"from": "2026-10", "plan": "standard@2021-02"}]
    last = client.get("/v1/accounts/acme/terms").json()[-1]
    assert (last["amendment"], last["reason"]) == (True, "agreed late")
    assert last["author"].startswith("key key_")
    own = client.get("/v1/accounts/acme/terms", key=client.key("read", "acme").secret).json()
    assert_shape(TermsEntryAnswer, own)
    assert own[-1] == last | {"author": None, "reason": None}


def test_protection(client: Client) -> None:
    for account, until in (("soon", "2026-12-15"), ("later", "2027-03-01")):
        client.world.account(account)
        body = {"charge": "100.00", "until": until, "from": "2026-11", "reason": "the old plan"}
        protected = client.post(f"/v1/accounts/{account}/protection", json=body)
        assert protected.json()["price_protection"][0]["ends_on"] == until
    ending = client.get("/v1/price-protections").json()
    assert_shape(EndingAnswer, ending)
    assert ending == [
        {"account": "soon", "charge": 10000, "currency": "USD", "ends_on": "2026-12-15", "days_left": 43}
    ]
    assert len(client.get("/v1/price-protections?within=365").json()) == 2
    key = client.key("read", "later").secret
    assert client.get("/v1/price-protections", key=key).json() == []
    assert_problem(client.get("/v1/price-protections?within=-1"), 422, field="within")


def test_programs(client: Client) -> None:
    client.world.account("acme")
    body = {"program": "startups", "percent": "50", "until": "2027-12-01", "raised": "5000000.00"}
    joined = client.post("/v1/accounts/acme/programs", json=body | {"founded_on": "2025-01-01"})
    assert joined.json()["programs"] == [
        {"program": "startups", "percentage": "50", "starts_on": "2026-11-02", "ends_on": "2027-12-01"}
    ]
    old = client.post("/v1/accounts/acme/programs", json=body | {"founded_on": "2020-01-01"})
    assert_problem(old, 409, field="program", says="less than 3 years old")
    kept = client.get("/v1/accounts/acme/terms").json()[-1]
    assert (kept["kind"], kept["data"]["raised"]) == ("program_refused", 500000000)
    left = client.post("/v1/accounts/acme/programs/startups/end", json={"on": "2027-01-01"})
    assert left.json()["programs"][0]["ends_on"] == "2027-01-01"


def test_credit_is_granted_once(client: Client) -> None:
    client.world.account("acme")
    body, key = {"amount": "25.00", "reason": "the outage"}, {"Idempotency-Key": "k"}
    granted = client.post("/v1/accounts/acme/credits", json=body, headers=key)
    assert granted.status_code == 201
    assert_shape(CreditAnswer, granted.json())
    assert client.post("/v1/accounts/acme/credits", json=body, headers=key).json() == granted.json()
    assert client.get(granted.headers["location"]).json() == granted.json()
    assert (granted.json()["balance"], len(granted.json()["ledger"])) == (2500, 1)


def test_referrals(client: Client) -> None:
    for each in ("acme", "b", "c"):
        client.world.account(each)
    made = client.post("/v1/referrals", json={"referrer": "acme", "referred": "b"})
    assert made.status_code == 201
    assert_shape(ReferralAnswer, made.json())
    client.post("/v1/referrals", json={"referrer": "b", "referred": "c"})
    for referrer, referred, status, field in [
        ("acme", "acme", 409, "referred"),
        ("c", "b", 409, "referred"),
        ("c", "acme", 409, "referrer"),
        ("acme", "ghost", 404, None),
        ("acme", "a\0", 422, "referred"),
    ]:
        answer = client.post("/v1/referrals", json={"referrer": referrer, "referred": referred})
        assert_problem(answer, status, field=field)


def test_closing_and_reopening(client: Client) -> None:
    invoiced(client)
    assert_problem(client.post("/v1/accounts/acme/close", json={"on": "2026-09-30"}), 409, field="on")
    closed = client.post("/v1/accounts/acme/close", json={"on": "2026-11-30", "reason": "left us"})
    assert_shape(ClosedAnswer, closed.json())
    assert closed.json() == {
        "account": "acme", "closed_on": "2026-11-30", "invoices_to_come": [], "adjustments_to_come": 0,
        "grants": [], "credit": 0,
        "currency": "USD",
    }  # fmt: skip
    assert_problem(client.post("/v1/accounts/acme/close", json={}), 409, says="reopen it first")
    assert client.post("/v1/accounts/acme/reopen", json={}).json()["closed_on"] is None
    assert_problem(client.post("/v1/accounts/acme/reopen", json={}), 409, says="is not closed")
    assert_problem(client.post("/v1/accounts/ghost/close", json={}), 404)


def test_plans_are_migrated(client: Client) -> None:
    invoiced(client)
    body = {"from": "2026-12", "accounts": ["acme", "other"], "dry_run": True}
    before = books(client, "acme", "other")
    report = client.post("/v1/plans/standard/migrations", json=body).json()
    assert_shape(MigrationAnswer, report)
    assert (report["plan"], len(report["accounts"]), report["failed"]) == ("standard@2021-02", 2, [])
    assert books(client, "acme", "other") == before
    late = client.post("/v1/plans/standard/migrations", json=body | {"from": "2026-10", "dry_run": False})
    assert [each["account"] for each in late.json()["failed"]] == ["acme"]
    assert client.get("/v1/accounts/other").json()["plans"][0]["plan"] == "standard@2021-02"


ACCOUNTS, PROGRAMS = "/v1/accounts", "/v1/accounts/acme/programs"
PROTECTION, MIGRATIONS = "/v1/accounts/acme/protection", "/v1/plans/standard/migrations"
REFUSED: list[tuple[str, Any, int, str | None]] = [
    (ACCOUNTS, {"id": "new", "opening_runs": 5}, 422, "opening_runs_until"),
    (ACCOUNTS, {"id": "new", "opening_runs": "5", "opening_runs_until": "2027-03-01"}, 422, "opening_runs"),
    (ACCOUNTS, {"id": "new", "opening_credit": "-5"}, 422, "opening_credit"),
    (ACCOUNTS, {"id": "new", "opening_credit": 1.5}, 422, "opening_credit"),
    (ACCOUNTS, {"id": "new", "legacy_charge": "1", "protected_until": "soon"}, 422, "protected_until"),
    (ACCOUNTS, {"id": "new", "details": {"country": "XYZ"}}, 422, "details.country"),
    ("/v1/accounts/acme/plan", {"plan": "gold", "from": "2026-12"}, 422, "plan"),
    ("/v1/accounts/acme/plan", {"plan": "standard", "from": "2026-12", "amend": "yes"}, 422, "amend"),
    ("/v1/accounts/acme/plan", {"plan": "standard", "from": "2026-12", "reason": "\0"}, 422, "reason"),
    ("/v1/accounts/ghost/plan", {"plan": "standard", "from": "2026-12"}, 404, None),
    (PROTECTION, {"charge": "-1", "until": "2027-12-01"}, 422, "charge"),
    (PROTECTION, {"charge": "NaN", "until": "2027-12-01"}, 422, "charge"),
    (PROTECTION, {"charge": "1", "until": "2026-02-30"}, 422, "until"),
    (PROTECTION, {"charge": "1", "until": "2026-11-01"}, 422, "until"),
    (PROTECTION, {"charge": "1", "until": "2027-12-01", "from": "2026-10"}, 409, "from"),
    (PROTECTION, {"charge": "1", "until": "2027-12-01", "for": "x"}, 422, "for"),
    (PROGRAMS, {"program": "startups", "percent": "5", "until": "2027-12-01"}, 422, "founded_on"),
    (
        PROGRAMS,
        {"program": "startups", "percent": "5", "until": "2027-12-01", "founded_on": "2026-01-01"},
        422,
        "raised",
    ),
    (
        PROGRAMS,
        {"program": "academia", "percent": "5", "until": "2027-12-01", "raised": "-1"},
        422,
        "raised",
    ),
    (PROGRAMS, {"program": "gold", "percent": "5", "until": "2027-12-01"}, 422, "program"),
    (PROGRAMS, {"program": "academia", "percent": 101, "until": "2027-12-01"}, 422, "percent"),
    (PROGRAMS, {"program": "academia", "percent": "NaN", "until": "2027-12-01"}, 422, "percent"),
    (PROGRAMS, {"program": "academia", "percent": "5", "until": "2026-01-01"}, 422, "until"),
    (
        PROGRAMS,
        {"program": "academia", "percent": "5", "until": "2027-01-01", "raised": "1.005"},
        422,
        "raised",
    ),
    ("/v1/accounts/acme/programs/academia/end", {"on": "2027-01-01"}, 422, "on"),
    ("/v1/accounts/acme/programs/gold/end", {"on": "2027-01-01"}, 422, "program"),
    ("/v1/accounts/acme/credits", {"amount": "-5", "reason": "x"}, 422, "amount"),
    ("/v1/accounts/acme/credits", {"amount": "0", "reason": "x"}, 422, "amount"),
    ("/v1/accounts/acme/credits", {"amount": "NaN", "reason": "x"}, 422, "amount"),
    ("/v1/accounts/acme/credits", {"amount": "5", "reason": " "}, 422, "reason"),
    ("/v1/accounts/acme/credits", {"amount": "5"}, 422, "reason"),
    ("/v1/accounts/ghost/credits", {"amount": "5", "reason": "x"}, 404, None),
    ("/v1/accounts/acme/close", {"on": "today"}, 422, "on"),
    ("/v1/plans/gold/migrations", {"from": "2026-12"}, 422, "plan"),
    (MIGRATIONS, {"from": "2026-12", "accounts": ["ghost"]}, 404, None),
    (MIGRATIONS, {"from": "2026-12", "accounts": ["a\0"]}, 422, "accounts.0"),
    (MIGRATIONS, {"from": "2026-12", "protect_until": "2026-12-01"}, 422, "protect_until"),
]


def test_a_refusal_names_the_field_and_changes_nothing(client: Client) -> None:
    invoiced(client)
    before = books(client, "acme", "other")
    for url, body, status, field in REFUSED:
        assert_problem(client.post(url, json=body), status, field=field)
    assert books(client, "acme", "other") == before


@pytest.mark.parametrize("path", ["terms", "credits"])
def test_what_an_unknown_account_has(lite: Client, path: str) -> None:
    assert_problem(lite.get(f"/v1/accounts/ghost/{path}"), 404)
