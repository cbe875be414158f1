"""Who may ask what: every route of the application against every kind of key."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from fastapi.routing import APIRoute

from billing.access import create_key, revoke_key, rotate_key
from billing.api import make_app
from billing.api.examples import CONTRACT
from billing.app import make_service
from metering.period import SECOND_US
from metering.settings import Settings
from tests.billing.api.client import Client, assert_problem, running
from tests.conftest import NewDatabase
from tests.events import runs
from tests.metering.test_sources_openlineage import lineage
from tests.metering.wire import native
from tests.world import World

# What is read of all accounts at once, by the operator alone.
ADMINS = {
    "/v1/anomalies",
    "/v1/what-if",
    "/v1/accounts/{account_id}/advice",
    "/v1/contract-risks",
    "/v1/months/{month}/revenue",
    "/v1/audit",
    "/v1/audit/export",
    "/v1/audit/{number}",
    "/v1/operator-sessions",
    "/v1/proposals",
    "/v1/proposals/{proposal_id}",
    "/v1/months/{month}/check",
    "/v1/months/{month}/drafts",
    "/v1/months/{month}/unsent",
    "/v1/account-figures",
    "/v1/contract-figures",
}
PUBLIC = {"/healthz", "/metrics", "/readyz", "/v1/stripe/webhook"}
# What another account has, by the parameter that would name it.
OTHERS = {
    "account_id": "other",
    "invoice_id": "2026-10-000002",
    "plan": "standard@2021-02",
    "run_id": "run_of_all",
    "key_id": "key_of_other",
    "contract_id": "other-2027",
    "program": "academia",
    "source": "airflow",
    "dispute_id": "dsp_of_other",
    "session_id": "ops_of_other",
    "month": "2026-10",
    "endpoint_id": "whe_of_other",
    "delivery_id": "dlv_of_other",
    "what": "usage",
    "number": "1",
    "proposal_id": "prp_of_other",
}
NOBODY_LISTENS = "https://127.0.0.1:9/hook"
BODIES: dict[str, Any] = {
    "/v1/events": native(),
    "/v1/corrections": {"account": "other", "task_run_ids": ["x"], "action": "reverse", "reason": "x"},
    "/v1/accounts": {"id": "new"},
    "/v1/accounts/{account_id}/plan": {"plan": "standard", "from": "2026-12"},
    "/v1/accounts/{account_id}/protection": {"charge": "1", "until": "2027-12-01"},
    "/v1/accounts/{account_id}/programs": {"program": "academia", "percent": 5, "until": "2027-12-01"},
    "/v1/accounts/{account_id}/programs/{program}/end": {"on": "2027-01-01"},
    "/v1/accounts/{account_id}/credits": {"amount": "1", "reason": "x"},
    "/v1/accounts/{account_id}/close": {},
    "/v1/accounts/{account_id}/reopen": {},
    "/v1/accounts/{account_id}/erasures": {},
    "/v1/referrals": {"referrer": "acme", "referred": "other"},
    "/v1/plans": {},
    "/v1/plans/{plan}/migrations": {"from": "2027-01", "dry_run": True},
    "/v1/contracts": {},
    "/v1/contracts/{contract_id}/grants": {"runs": 1, "price": "0", "granted_on": "2027-01-01"},
    "/v1/contracts/{contract_id}/amendments": {"end": "2028-07-01"},
    "/v1/contracts/{contract_id}/deliveries": {"service": "1"},
    "/v1/contract-invoices": {},
    "/v1/billing-runs": {"month": "2026-10"},
    "/v1/reconciliations": {"month": "2026-10"},
    "/v1/invoices/{invoice_id}/approve": {},
    "/v1/invoices/approvals": {"month": "2026-10"},
    "/v1/invoices/{invoice_id}/void": {"reason": "x"},
    "/v1/invoices/{invoice_id}/credit-notes": {"amount": "1", "kind": "goodwill", "reason": "x"},
    "/v1/keys": {"scope": "read"},
    "/v1/keys/{key_id}/rotate": {"overlap": "1h"},
    "/v1/plans/previews": {},
    "/v1/backtests": {},
    "/v1/operator-sessions": {"name": "eve", "role": "admin"},
    "/v1/accounts/{account_id}/links": {},
    "/v1/disputes": {"account": "other", "runs": ["run-0000001"], "message": "x", "raised_by": "x"},
    "/v1/disputes/{dispute_id}/answer": {"decision": "decline", "reply": "x"},
    "/v1/sources/{source}/visits": {},
    "/v1/sources/{source}/recoveries": {},
    "/v1/alerts/checks": {},
    "/v1/webhook-endpoints": {"url": NOBODY_LISTENS, "account": "other"},
    "/v1/webhook-endpoints/{endpoint_id}/rotate-secret": {},
    "/v1/webhook-endpoints/{endpoint_id}/test": {},
    "/v1/deliveries/send": {},
    "/v1/deliveries/resend": {"endpoint": "x"},
    "/v1/deliveries/{delivery_id}/resend": {},
    "/v1/audit/verifications": {},
    "/v1/proposals/{proposal_id}/approve": {},
    "/v1/proposals/{proposal_id}/refuse": {"reason": "x"},
}


@functools.cache
def routes() -> list[tuple[str, str]]:
    """Every method and path of the application, as its own description has them."""
    described = make_app(make_service(Settings(_env_file=None))).openapi()["paths"]
    return [(method.upper(), path) for path, methods in described.items() for method in methods]


ROUTES = [(method, path) for method, path in routes() if path not in PUBLIC]
READS = [path for method, path in ROUTES if method == "GET" and path not in ADMINS]
WRITES = [(method, path) for method, path in ROUTES if method != "GET" and path != "/v1/events"]


@pytest.fixture(scope="module")
def two(sqlite_databases: NewDatabase) -> Iterator[Client]:
    """Two accounts, on different plans, both invoiced."""
    world = World(sqlite_databases())
    settings = world.service.settings.model_copy(update={"webhook_private": "on"})
    world.service = replace(world.service, settings=settings)
    world.account("acme")
    world.account("other", plan="standard")
    world.send(runs(3), runs(4, account="other"), runs(1, account="other", prefix="wrong"))
    with running(world) as client:
        wrong = BODIES["/v1/corrections"] | {"task_run_ids": ["wrong-0000000"]}
        client.post("/v1/corrections", json=wrong)
        report = client.post("/v1/billing-runs", json={"month": "2026-10"}).json()
        OTHERS["run_id"] = report["id"]
        client.post("/v1/contracts", json=CONTRACT | {"id": "other-2027", "account": "other"})
        client.post("/v1/accounts/other/protection", json={"charge": "1", "until": "2026-12-15"})
        said = {"account": "other", "complete_to": "2026-11-01T00:00:00Z"}
        client.ask("PUT", "/v1/sources/airflow/watermark", json=said)
        half = lineage("START", "2026-10-03T02:00:00Z")
        client.post("/v1/events?format=openlineage&account=other", json=half)
        OTHERS["dispute_id"] = client.post("/v1/disputes", json=BODIES["/v1/disputes"]).json()["id"]
        world.service.settings.second_person_credit = Decimal(5)
        asked = client.post("/v1/accounts/other/credits", json={"amount": "6", "reason": "x"})
        OTHERS["proposal_id"] = asked.json()["id"]
        OTHERS["key_id"] = client.key("read", "other").key.id
        world.send(runs(5_000, account="other", day="2026-11-01", prefix="half"))
        client.post("/v1/alerts/checks", json={})
        endpoint = client.post("/v1/webhook-endpoints", json=BODIES["/v1/webhook-endpoints"]).json()["id"]
        OTHERS["endpoint_id"] = endpoint
        client.post(f"/v1/webhook-endpoints/{endpoint}/test", json={})
        OTHERS["delivery_id"] = client.get("/v1/deliveries").json()[0]["id"]
        yield client


def fill(path: str) -> str:
    return path.format(**OTHERS) + ("?month=2026-10" if path == "/v1/exports/{what}" else "")


def test_there_are_routes() -> None:
    assert len(READS) >= 11
    assert len(WRITES) >= 6
    assert BODIES.keys() == {path for method, path in ROUTES if method == "POST"}


def test_every_route_is_asked() -> None:
    """What is not described would be forgotten here: there is nothing of the kind."""
    app = make_app(make_service(Settings(_env_file=None)))
    told = {(method, path) for method, path in routes()}
    found = set()
    included = [getattr(each, "original_router", None) for each in app.routes]
    every = [route for router in included if router is not None for route in router.routes]
    for route in every + [each for each, router in zip(app.routes, included, strict=True) if router is None]:
        if isinstance(route, APIRoute):
            found |= {(method, route.path) for method in route.methods - {"HEAD"}}
        else:
            place = getattr(route, "path", "")
            # The description itself; customers' pages and the console have matrices of their own.
            assert place in ("/openapi.json", "/c", "/console"), place
    assert found == told


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"])
def test_a_method_that_a_route_has_not_is_no_way_around(two: Client, method: str, path: str) -> None:
    for key in (None, "bk_admin_unknown"):
        answer = two.ask(method, fill(path), key=key)
        # Some are also what another route takes for the id of a thing.
        assert answer.status_code in ((401,) if (method, path) in ROUTES else (401, 405))
        if method != "HEAD":
            assert "other" not in answer.text.replace(fill(path), "")


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("scope", ["ingest", "read"])
def test_a_key_that_is_refused_learns_nothing(two: Client, scope: str, method: str, path: str) -> None:
    """Whether a thing is there or not, and whatever it is called: to a key of another account, or of too
    small a scope, the answers are the same."""
    key = two.key(scope, "acme").secret
    there = fill(path)
    nowhere = path.format(**{name: f"no-{name}" for name in OTHERS} | {"what": "usage", "month": "2026-10"})
    nowhere += there.removeprefix(path.format(**OTHERS))
    one = two.ask(method, there, key=key, json=BODIES.get(path))
    other = two.ask(method, nowhere, key=key, json=BODIES.get(path))
    if one.status_code not in (401, 403, 404):
        return  # it may; what it sees is another test's
    assert one.status_code == other.status_code

    def told(answer: Any, url: str) -> str:
        text = str(answer.json() | {"request_id": ""})
        for name, value in OTHERS.items():
            text = text.replace(f"no-{name}", "…") if url == nowhere else text.replace(f"'{value}'", "'…'")
        return text

    if one.status_code == 403:
        assert told(one, there) == told(other, nowhere)
    assert "standard" not in one.text.replace(OTHERS["plan"], "")


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer bk_admin_unknown"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer \xe9"},
    ],
)
def test_without_a_known_key_nothing_is_answered(
    two: Client, method: str, path: str, headers: dict[str, str]
) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = two.ask(method, fill(path), key=None, json=BODIES.get(path), headers=raw)
    assert_problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_revoked_key_is_refused_at_once(two: Client, method: str, path: str) -> None:
    key = two.key("admin")
    assert two.get("/v1/accounts", key=key.secret).status_code == 200
    assert two.ask("DELETE", f"/v1/keys/{key.key.id}").status_code == 204
    assert_problem(two.ask(method, fill(path), key=key.secret, json=BODIES.get(path)), 401)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("rotated", [False, True])
def test_a_key_that_has_ended_is_refused_at_once(two: Client, method: str, path: str, rotated: bool) -> None:
    """By itself, at a time that was set or when the overlap is over: nobody has to do anything. It is told
    nothing that an unknown key is not."""
    world = two.world
    begun = world.instant
    try:
        if rotated:
            key = two.key("admin")
            rotate_key(world.engine, key.key.id, begun, overlap=SECOND_US)
            world.instant += SECOND_US // 2
        else:
            key = create_key(world.engine, "admin", None, begun, expires=begun + SECOND_US)
            world.instant += SECOND_US - 1
        assert two.get("/v1/accounts", key=key.secret).status_code == 200
        world.instant = begun + SECOND_US
        refused = two.ask(method, fill(path), key=key.secret, json=BODIES.get(path))
        assert_problem(refused, 401)
        unknown = two.ask(method, fill(path), key="bk_admin_unknown", json=BODIES.get(path))
        assert refused.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}
    finally:
        world.instant = begun


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_ingest_key_writes_events_and_watermarks_and_nothing_else(
    two: Client, method: str, path: str
) -> None:
    answer = two.ask(method, fill(path), key=two.key("ingest").secret, json=BODIES.get(path))
    if path == "/v1/events":
        assert answer.status_code == 200
    elif path == "/v1/sources/{source}/watermark":
        assert_problem(answer, 422, field="body")  # it may, and said nothing
    else:
        assert_problem(answer, 403)


@pytest.mark.parametrize("account", [None, "acme"])
@pytest.mark.parametrize(("method", "path"), [*WRITES, ("POST", "/v1/events")])
def test_a_read_key_changes_nothing(two: Client, method: str, path: str, account: str | None) -> None:
    answer = two.ask(method, fill(path), key=two.key("read", account).secret, json=BODIES.get(path))
    assert_problem(answer, 403)


@pytest.mark.parametrize("path", READS)
def test_a_read_key_reads_everything(two: Client, path: str) -> None:
    assert two.get(fill(path), key=two.key("read").secret).status_code == 200


@pytest.mark.parametrize("path", sorted(ADMINS))
def test_what_is_the_operators_takes_an_admin_key(two: Client, path: str) -> None:
    assert two.get(fill(path)).status_code == 200
    for account in (None, "acme"):
        assert_problem(two.get(fill(path), key=two.key("read", account).secret), 403, says="'admin'")


@pytest.mark.parametrize("path", READS)
def test_a_bound_key_sees_nothing_of_another_account(two: Client, path: str) -> None:
    answer = two.get(fill(path), key=two.key("read", "acme").secret)
    if "{" in path and path != "/v1/exports/{what}":
        named = [word for word in ("plan", "contract") if word in path]
        assert_problem(answer, 404, field={"plan": "plan", "contract": "id"}[named[0]] if named else None)
    else:
        assert answer.status_code == 200
        assert "other" not in answer.text
        assert "standard" not in answer.text


@pytest.mark.parametrize("path", READS)
def test_a_bound_key_sees_what_is_of_its_account(two: Client, path: str) -> None:
    key = two.key("read", "other")
    if path == "/v1/billing-runs/{run_id}":
        assert_problem(two.get(fill(path), key=key.secret), 404)  # a run of all accounts
        own = two.post("/v1/billing-runs", json={"month": "2026-10", "account": "other"}).json()["id"]
        assert two.get(f"/v1/billing-runs/{own}", key=key.secret).status_code == 200
        return
    answer = two.get(fill(path), key=key.secret)
    assert answer.status_code == 200
    assert answer.content not in (b"", b"[]")


def test_a_bound_key_cannot_ask_for_another_account_in_a_list(two: Client) -> None:
    assert two.get("/v1/invoices?account=other", key=two.key("read", "acme").secret).json() == []
    assert len(two.get("/v1/invoices?account=other").json()) == 1
    assert two.get("/v1/contracts?account=other", key=two.key("read", "acme").secret).json() == []
    assert len(two.get("/v1/contracts?account=other").json()) == 1


def test_a_bound_key_of_an_account_that_billing_does_not_know(two: Client) -> None:
    key = two.key("read", "ghost").secret
    for path in ("/v1/accounts", "/v1/plans", "/v1/invoices", "/v1/contracts", "/v1/price-protections"):
        assert two.get(path, key=key).json() == []


def test_a_key_revoked_by_another_process_is_refused_after_a_second(lite: Client) -> None:
    key = lite.key("read")
    assert lite.get("/v1/accounts", key=key.secret).status_code == 200
    revoke_key(lite.world.engine, key.key.id, lite.world.instant)
    lite.world.instant += SECOND_US
    assert_problem(lite.get("/v1/accounts", key=key.secret), 401)
