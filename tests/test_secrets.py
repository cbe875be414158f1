"""Secrets are shown once, to whoever made them, and are nowhere else: not in an answer, a page, the log, the
audit trail or the database. Every kind is made and used, rightly and wrongly, and then looked for."""

from __future__ import annotations

import ast
import io
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from billing.access import create_key, revoke_key
from billing.api import make_app
from billing.app import make_service
from billing.audit.reading import export_lines
from billing.console.rooms import ROOMS
from billing.console.visit import csrf_of
from billing.links import create_link
from billing.logs import configure
from billing.moving.tables import pages, tables
from billing.operators import make_link
from metering.database import reading
from metering.period import SECOND_US
from metering.settings import Settings
from tests.billing.api.client import Client, running
from tests.billing.console.conftest import FORM, Operator
from tests.conftest import NewDatabase
from tests.events import runs
from tests.metering.wire import native
from tests.world import OCTOBER, World

ROOT = Path(__file__).parent.parent
HOUSES = ("billing", "metering")
# What the service must have again itself: it signs with them. They are in these tables, and in no other.
SIGNING = {"link_secrets", "webhook_secrets"}
SETTINGS = {
    "stripe_api_key": "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "stripe_webhook_secret": "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH",
    "prefect_api_key": "pnu_kQfWbMmHcGJqgUr1kQfWbMmHcGJqgUr1",
    "smtp_url": "smtp://billing:hunter2hunter2@127.0.0.1:9",
    "events_url": None,
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, by whatever part, at every level."""
    held = io.StringIO()
    handler = logging.StreamHandler(held)
    # The client of these tests tells what it asks.
    handler.addFilter(lambda record: record.name not in ("httpx", "httpcore"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield held
    root.removeHandler(handler)
    root.setLevel(level)


def made(client: Client) -> dict[str, str]:
    """Every kind of secret, by what it is."""
    world = client.world
    numbers = itertools.count()

    def again() -> dict[str, str]:
        """What is kept for when a request is sent again has no secret either."""
        return {"Idempotency-Key": f"once-{next(numbers)}"}

    secrets = {f"a setting: {name}": value for name, value in SETTINGS.items() if value}
    for scope, account in (("admin", None), ("read", None), ("ingest", "acme")):
        answer = client.post("/v1/keys", json={"scope": scope, "account": account}, headers=again() | {
            "Idempotency-Key": scope
        })  # fmt: skip
        secrets[f"a key: {scope}"] = answer.json()["key"]
    old = client.post("/v1/keys", json={"scope": "read"}).json()
    rotated = client.post(f"/v1/keys/{old['id']}/rotate", json={}, headers=again()).json()
    secrets |= {"a rotated key": old["key"], "its new one": rotated["key"]}
    gone = create_key(world.engine, "admin", None, world.instant)
    revoke_key(world.engine, gone.key.id, world.instant)
    secrets["a revoked key"] = gone.secret
    secrets["an expired key"] = create_key(
        world.engine, "admin", None, world.instant - SECOND_US, expires=world.instant
    ).secret
    secrets["a key that never was"] = f"bk_admin_{'q7' * 21}"
    link = client.post("/v1/operator-sessions", json={"name": "eve", "role": "admin"}, headers=again())
    secrets["an operator's link"] = link.json()["url"].partition("link=")[2]
    secrets["another, not used"] = make_link(
        world.engine, "kim", "viewer", by="operator", now=world.instant
    ).secret
    page = client.post("/v1/accounts/acme/links", json={}, headers=again())
    secrets["a customer's link, over http"] = page.json()["url"].rstrip("/").rpartition("/")[2]
    secrets["a customer's link"] = create_link(world.engine, "acme", now=world.instant, hours=2).token
    hook = {"url": "https://127.0.0.1:9/hook", "account": "acme"}
    endpoint = client.post("/v1/webhook-endpoints", json=hook, headers=again()).json()
    secrets["a webhook's secret"] = endpoint["secret"]
    place = f"/v1/webhook-endpoints/{endpoint['id']}"
    secrets["a webhook's next secret"] = client.post(f"{place}/rotate-secret", json={}).json()["secret"]
    client.post(f"{place}/test", json={})
    return secrets


def use(client: Client, secrets: dict[str, str]) -> None:
    """Each where it belongs, and where people put it by mistake."""
    for secret in secrets.values():
        client.get("/v1/keys", key=secret)
        client.post("/v1/events", key=secret, json=native())
        client.post("/v1/events", json=native(workspace="w") | {"state": "\0"}, key=secret)
        client.get(f"/c/{secret}/", key=None)
        client.get(f"/c/{secret}/disputes", key=None)
        client.get(f"/c/{secret}/invoices/2026-10-000001", key=None)
        client.get(f"/console/sign-in?link={secret}", key=None)
        client.post("/console/sign-in", key=None, headers=FORM, content=urlencode({"link": secret}))
        for place in ("", "access", "audit"):
            client.get(f"/console/{place}", key=None, headers={"Cookie": f"billing_console={secret}"})
        client.get(f"/v1/accounts/{secret}")
        client.ask("DELETE", f"/v1/keys/{secret}")
        client.get("/v1/invoices", params={"cursor": secret, "key": secret})
        client.post("/v1/stripe/webhook", key=None, content=b"{}", headers={"Stripe-Signature": secret})
        client.post("/v1/events", content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}, key=secret)


def everything(client: Client, admin: Operator) -> Iterator[tuple[str, str]]:
    """All answers of all that can be read, by who may read everything."""
    described = make_app(make_service(Settings(_env_file=None))).openapi()["paths"]
    listed = client.get("/v1/keys").json()
    names = {
        "account_id": "acme", "account": "acme", "invoice_id": "2026-10-000001", "invoice": "2026-10-000001",
        "key_id": listed[0]["id"], "plan": "starter@2021-02", "month": "2026-10", "what": "usage",
        "number": "1", "endpoint_id": client.get("/v1/webhook-endpoints").json()[0]["id"],
        "delivery_id": client.get("/v1/deliveries").json()[0]["id"],
        "delivery": client.get("/v1/deliveries").json()[0]["id"],
        "session": "ops_0", "proposal": "prp_0", "proposal_id": "prp_0", "dispute": "dsp_0",
        "dispute_id": "dsp_0", "run_id": "run_0", "contract_id": "c", "program": "academia", "source": "s",
        "session_id": "ops_0", "key": "key_0", "job": "job_0", "endpoint": "whe_0",
    }  # fmt: skip
    for path, methods in described.items():
        if "get" in methods:
            yield path, client.get(path.format(**names), params={"month": "2026-10"}).text
            yield path, client.get(path.format(**names)).text
    for number in range(1, client.get("/v1/audit").json()[0]["number"] + 1):
        yield f"audit entry {number}", client.get(f"/v1/audit/{number}").text
    for room in ROOMS:
        if room.method == "GET":
            yield room.place, admin.ask("GET", room.place.format(**names)).text
    for number in range(1, 30):
        yield f"audit page {number}", admin.ask("GET", f"audit/{number}").text
    yield "/metrics", client.get("/metrics", key=None).text


def test_secrets_are_nowhere(
    sqlite_databases: NewDatabase, log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    configure()
    world = World(sqlite_databases())
    settings = world.service.settings
    for name, value in SETTINGS.items():
        setattr(settings, name, None if value is None else SecretStr(value))
    settings.webhook_private = "on"
    settings.mail_from = "billing@example.com"
    world.account("acme")
    world.send(runs(3))
    world.service.run_month(OCTOBER)
    with running(world) as client:
        secrets = made(client)
        admin = Operator(client)
        secrets |= {"a session": admin.secret, "what its forms carry": csrf_of(admin.secret)}
        use(client, secrets)
        answers = list(everything(client, admin))
        _break(client, secrets)
    seen = capfd.readouterr()
    logged = log.getvalue() + seen.out + seen.err
    assert "failed" in logged  # something was logged
    trail = b"".join(export_lines(world.engine)).decode()
    with reading(world.engine) as connection:
        held = {table.name: str(list(pages(connection, table))) for table in _tables(connection)}
    for what, secret in secrets.items():
        assert secret not in logged, f"{what} is in the log"
        assert secret not in trail, f"{what} is in the trail"
        for place, text in answers:
            if what == "what its forms carry":
                continue  # in each of them
            assert secret not in text, f"{what} is told at {place}"
        for table, rows in held.items():
            assert table in SIGNING or secret not in rows, f"{what} is in the table {table}"
    assert SETTINGS["smtp_url"] is not None and "hunter2" not in logged
    assert "hunter2" not in repr(settings) and SETTINGS["stripe_api_key"] not in str(settings)


def _tables(connection: sa.Connection) -> list[sa.Table]:
    there = set(sa.inspect(connection).get_table_names())
    return [table for table in tables() if table.name in there]


def _break(client: Client, secrets: dict[str, str]) -> None:
    """What is not expected is logged with where it was, and not with what it was about."""
    engine = client.world.engine
    renamed = ("webhook_secrets", "disputes", "operator_sessions", "api_keys")
    for table in renamed:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_gone")
    token = secrets["a customer's link"]
    statuses = [
        client.get(f"/c/{token}/disputes", key=None).status_code,
        client.post("/console/sign-in", key=None, headers=FORM, content="link=x").status_code,
        client.post("/v1/keys", json={"scope": "read"}).status_code,
        client.get("/v1/keys", key="bk_admin_unknown").status_code,
        client.post("/v1/webhook-endpoints", json={"url": "https://127.0.0.1:9/x"}).status_code,
    ]
    assert min(statuses) >= 500
    for table in renamed:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table}_gone RENAME TO {table}")


def test_a_statement_that_fails_does_not_tell_its_values(sqlite_databases: NewDatabase) -> None:
    engine = sqlite_databases()
    with engine.connect() as connection, pytest.raises(sa.exc.SQLAlchemyError) as caught:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:secret)"), {"secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


_SECRET = ("secret", "token", "csrf", "signature", "password", "hmac", "mac", "cookie")
# Comparisons that look like one of a secret, and are of none: what is looked up in the database by a digest
# of 256 random bits, what is absent, and what only people see.
_NO_SECRETS = {"billing/repository/keys.py": {"api_keys.c.secret_sha256 == secret_sha256"}}


def _compares(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Compare) or not all(
            isinstance(each, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for each in node.ops
        ):
            continue
        for side in (node.left, *node.comparators):
            name = side.attr if isinstance(side, ast.Attribute) else getattr(side, "id", "")
            if isinstance(side, ast.Call):
                name = getattr(side.func, "attr", getattr(side.func, "id", ""))
            if any(part in _SECRET for part in name.lower().strip("_").split("_")):
                yield ast.unparse(node)
                break


def test_secrets_are_compared_in_constant_time() -> None:
    """None is compared by `==`: digests of random bits are looked up, and what is compared here goes through
    `hmac.compare_digest`, or the libraries of Stripe and of the standard."""
    found: dict[str, set[str]] = {}
    for house in HOUSES:
        for path in (ROOT / house).rglob("*.py"):
            if some := set(_compares(path)):
                found[path.relative_to(ROOT).as_posix()] = some
    assert found == _NO_SECRETS
    using = {
        path.relative_to(ROOT).as_posix()
        for house in HOUSES
        for path in (ROOT / house).rglob("*.py")
        if "compare_digest" in path.read_text()
    }
    assert using >= {"billing/links.py", "billing/console/rooms.py"}


# Each with why its bytes are not made by the one writer of CSV, which makes cells harmless.
_WRITERS = {
    "billing/exports/csv_file.py": "it is the one",
    "metering/run_list.py": "the proof of a quantity: its bytes are the rule's, and are on the invoice",
}


def test_every_csv_is_written_by_the_one_writer() -> None:
    found = set()
    for house in HOUSES:
        for path in (ROOT / house).rglob("*.py"):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and node.attr in ("writer", "DictWriter", "to_csv"):
                    of = ast.unparse(node.value)
                    if of == "csv" or (node.attr == "to_csv" and of not in ("report", "made")):
                        found.add(path.relative_to(ROOT).as_posix())
                # A line of cells that is put together by hand: a text with commas between values.
                if isinstance(node, ast.JoinedStr) and _is_a_line(node):
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == _WRITERS.keys()


def _is_a_line(text: ast.JoinedStr) -> bool:
    parts = [each.value for each in text.values if isinstance(each, ast.Constant)]
    commas = sum(part == "," for part in parts)
    return commas >= 1 and any(isinstance(each, str) and each.endswith("\n") for each in parts)
