"""A customer's personal data is erased: whatever named them is nowhere in the database, and every invoice is
proved as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from billing.closing import close_account
from billing.erasure import erase
from billing.errors import Refused
from billing.invoices import invoice_data, list_invoices
from billing.moving.tables import pages, tables
from billing.notifications.telling import make_deliveries
from billing.reporting.everything import prove
from billing.reporting.proof import invoice_run_list
from metering.database import reading
from metering.period import parse_instant
from tests.billing.api.client import Client, assert_problem, running
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.world import OCTOBER, World

# In all that names the customer, and nowhere else.
MARK = "zyx"
DETAILS = {
    "line1": "1 Zyxwert Way", "city": "Zyxville", "postal_code": "ZYX 1", "country": "DE",
    "tax_id_type": "eu_vat", "tax_id": "DEZYX999999999", "purchase_order": "PO ZYX",
}  # fmt: skip
PATH = "/v1/accounts/jane/erasures"


@pytest.fixture
def client(engine: sa.Engine) -> Iterator[Client]:
    """A customer of whom a month is invoiced, who was renamed, disputed, and was told of things; beside
    another, of whom nothing may change."""
    world = World(engine)
    world.service.settings.webhook_private = "on"
    world.service.settings.mail_from = "billing@example.com"
    world.service.settings.smtp_url = SecretStr("smtp://127.0.0.1:9")
    with running(world) as client:
        once = {"Idempotency-Key": "one"}
        made = {"id": "jane", "name": "Jänë Zyxwert", "email": "jane@zyx.example", "details": DETAILS}
        done(client, "/v1/accounts", made | {"billing_from": "2026-10"}, headers=once)
        world.account("other")
        done(client, "/v1/webhook-endpoints", {"url": "https://127.0.0.1:9/zyx", "account": "jane"})
        done(client, "/v1/webhook-endpoints", {"url": "https://127.0.0.1:9/ours"})
        world.send(runs(9, account="jane"), runs(4, account="other"))
        world.send([event("named", account="jane", workspace="zyx-space", flow="zyx-flow")])
        world.send([event("other", account="other", workspace="space", flow="flow")])
        world.service.run_month(OCTOBER)
        raised = {"account": "jane", "runs": ["run-0000001"], "message": "says Zyx", "raised_by": "Jane Zyx"}
        id = done(client, "/v1/disputes", raised)["id"]
        reply = {"decision": "reverse", "reply": "dear Mrs. Zyxwert"}
        client.post(f"/v1/disputes/{id}/answer", json=reply).raise_for_status()
        client.ask("PATCH", "/v1/accounts/jane", json={"name": "J. Zyxwert"}).raise_for_status()
        make_deliveries(engine, world.instant, mail=True, operator="us@example.com")
        world.customer("jane", "cus_1")
        yield client


def done(client: Client, path: str, body: object, **more: object) -> dict[str, str]:
    answer = client.post(path, json=body, **more)
    answer.raise_for_status()
    made: dict[str, str] = answer.json()
    return made


def dump(engine: sa.Engine) -> dict[str, str]:
    with reading(engine) as connection:
        there = set(sa.inspect(connection).get_table_names())
        return {each.name: str(list(pages(connection, each))) for each in tables() if each.name in there}


def holding(engine: sa.Engine, what: str = MARK) -> set[str]:
    return {table for table, rows in dump(engine).items() if what in rows.lower()}


def proof(world: World) -> list[object]:
    """Every invoice with its run list, without whom it is made out to."""
    assert prove(world.engine, world.store).ok
    found: list[object] = []
    for each in list_invoices(world.engine):
        data = invoice_data(world.engine, each, world.instant)
        del data["bill_to"]
        found.append((data, b"".join(invoice_run_list(world.engine, world.store, each.id))))
    return found


def test_nothing_names_the_customer_any_more(client: Client) -> None:
    world, engine = client.world, client.world.engine
    everywhere = {
        "accounts", "invoices", "disputes", "webhook_endpoints", "notification_events", "meter_labels",
        "notification_deliveries", "idempotent_requests", "audit_entries",
    }  # fmt: skip
    assert holding(engine) == everywhere
    done(client, "/v1/accounts/jane/close", {"on": "2026-10-31"})
    before = proof(world)
    looked = client.post(PATH, json={"retain_years": 0, "dry_run": True})
    assert looked.status_code == 200
    assert holding(engine) == everywhere
    erased = client.post(PATH, json={"retain_years": 0, "reason": "asked for"})
    assert erased.status_code == 201
    assert erased.json() == looked.json() | {"dry_run": False}
    assert erased.json()["erased"] == {
        "audit_details": 6, "invoices": 1, "disputes": 1, "webhook_endpoints": 1, "notifications": 4,
        "requests": 1, "workspaces_and_flows": 1,
    }  # fmt: skip
    assert erased.json()["left"] == {}
    assert "cus_1" in erased.json()["elsewhere"][0]
    assert holding(engine) == set()
    if engine.dialect.name == "sqlite":
        for place in (engine.url.database, f"{engine.url.database}-wal"):
            assert MARK.encode() not in Path(str(place)).read_bytes().lower()
    assert proof(world) == before
    assert "flow" in dump(engine)["meter_labels"] and "other" in dump(engine)["accounts"]
    assert client.get("/v1/accounts/jane").json()["details"] == {"country": "DE"}
    assert client.get("/v1/usage", key=None).status_code in (401, 404)
    # What was sent before is not answered with what was erased.
    again = client.post("/v1/accounts", json={"id": "jane"}, headers={"Idempotency-Key": "one"})
    assert MARK not in again.text.lower()
    for number in range(1, client.get("/v1/audit").json()[0]["number"] + 1):
        assert MARK not in client.get(f"/v1/audit/{number}").text.lower()
    # Once more there is nothing to do.
    more = done(client, PATH, {"retain_years": 0})["erased"]
    assert set(more.values()) == {0}, more


def test_an_invoice_keeps_whom_it_was_made_out_to_for_some_years(client: Client) -> None:
    world = client.world
    done(client, "/v1/accounts/jane/close", {"on": "2026-10-31"})
    before = proof(world)
    erased = done(client, PATH, {})
    assert (erased["invoices_kept"], erased["kept_until"]) == (["2026-10-000001"], "2037-01-01")
    assert holding(world.engine) == {"invoices"}
    assert erased["left"] == {}
    world.instant = parse_instant("2036-12-31T23:59:59Z")
    assert done(client, PATH, {})["invoices_kept"] == ["2026-10-000001"]
    world.instant = parse_instant("2037-01-01T00:00:00Z")
    assert done(client, PATH, {})["invoices_kept"] == []
    assert holding(world.engine) == set()
    assert proof(world) == before


def test_what_somebody_wrote_elsewhere_is_named(client: Client) -> None:
    """Reasons are sealed, and are not erased: who writes names into them is told where they are."""
    credit = {"amount": "5", "reason": "J. Zyxwert asked for it"}
    done(client, "/v1/accounts/jane/credits", credit)
    done(client, "/v1/accounts/jane/close", {"on": "2026-10-31", "reason": "jane@zyx.example wrote"})
    left = done(client, PATH, {"retain_years": 0})["left"]
    assert left == {
        "account_terms.reason": 1, "audit_entries.reason": 2, "credit_ledger.description": 1,
    }  # fmt: skip


def test_what_is_not_over_is_not_erased(client: Client) -> None:
    world = client.world
    before = dump(world.engine)["accounts"]
    assert_problem(client.post(PATH, json={}), 409, says="is open; close it first")
    done(client, "/v1/accounts/jane/close", {"on": "2026-11-30"})
    assert_problem(client.post(PATH, json={}), 409, says="is open")
    world.send(runs(3, account="jane", day="2026-11-03", prefix="more"))
    world.instant = parse_instant("2026-12-02T00:00:00Z")
    assert_problem(client.post(PATH, json={}), 409, says="billing run 2026-11")
    world.service.run_month(OCTOBER.next())
    open_ = {"account": "jane", "runs": ["run-0000002"], "message": "x", "raised_by": "x"}
    id = done(client, "/v1/disputes", open_)["id"]
    assert_problem(client.post(PATH, json={}), 409, says="answer it first")
    client.post(f"/v1/disputes/{id}/answer", json={"decision": "decline", "reply": "x"})
    assert_problem(client.post(PATH, json={"retain_years": 101}), 422, field="retain_years")
    assert_problem(client.post("/v1/accounts/nobody/erasures", json={}), 404)
    assert MARK in before.lower() and MARK in dump(world.engine)["accounts"].lower()
    assert done(client, PATH, {})["dry_run"] is False


def test_what_is_not_paid_is_not_erased(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    world.account("jane", email="jane@zyx.example")
    world.send(runs(10_400, account="jane"))
    world.service.run_month(OCTOBER)
    close_account(world.engine, world.store, "jane", by="x", now=OCTOBER.end - 1)
    with pytest.raises(Refused, match="is not paid"):
        erase(world.engine, world.store, "jane", now=world.instant)
