"""A schema is taken back with what a real installation holds, and brought forward again: what was lost is
what was said, and everything else is proved as before."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billing.access import create_key
from billing.api.examples import CONTRACT
from billing.corrections import correct
from billing.downgrade import TakenBack, take_back
from billing.errors import Invalid, Refused
from billing.invoices import list_invoices
from billing.reporting.everything import prove
from billing.reporting.proof import invoice_run_list
from billing.schema import is_current
from metering.period import HOUR_US, parse_instant
from tests.billing.api.client import running
from tests.events import event, runs
from tests.world import OCTOBER, World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """Two months, a contract, credit, a dispute that was declined, a key that ends, somebody who signs in,
    and a change that waits for the other."""
    world = World(engine)
    world.service.settings.webhook_private = "on"
    with running(world) as client:
        world.account("acme", since="2026-10")
        world.account("other", since="2026-10")
        contract = CONTRACT | {"account": "other", "start": "2026-11-01", "end": "2027-11-01", "services": []}
        grant = {"id": "g1", "runs": 100, "price": "9.00", "granted_on": "2026-11-01"}
        bodies = (
            ("/v1/contracts", contract | {"grants": [grant | {"expires_on": "2027-11-01"}]}),
            ("/v1/accounts/acme/credits", {"amount": "5", "reason": "an outage"}),
            ("/v1/webhook-endpoints", {"url": "https://127.0.0.1:9/x"}),
            ("/v1/operator-sessions", {"name": "ada", "role": "viewer"}),
            ("/v1/keys", {"scope": "read"}),
        )
        world.send(runs(30), runs(40, account="other"), [event("run-0000001", state="FAILED")])
        world.service.run_month(OCTOBER)
        for path, body in bodies:
            client.post(path, json=body).raise_for_status()
        dispute = {"account": "acme", "runs": ["run-0000002"], "message": "x", "raised_by": "x"}
        id = client.post("/v1/disputes", json=dispute).json()["id"]
        client.post(f"/v1/disputes/{id}/answer", json={"decision": "decline", "reply": "x"})
        world.service.settings.second_person_credit = 1  # type: ignore[assignment]
        client.post("/v1/accounts/acme/credits", json={"amount": "5", "reason": "x"}).raise_for_status()
    create_key(engine, "admin", None, world.instant, expires=world.instant + HOUR_US)
    world.send(runs(5, prefix="late"), runs(50, day="2026-11-03", prefix="more"))
    world.instant = parse_instant("2026-12-02T00:00:00Z")
    world.service.run_month(OCTOBER.next())
    return world


def bills(world: World) -> list[object]:
    found = list_invoices(world.engine)
    return [
        (each, b"".join(invoice_run_list(world.engine, world.store, each.id)))
        for each in found
        if each.cutoff is not None
    ]


def back(world: World, to: str) -> TakenBack:
    """Looked at first, which changes nothing where something would be lost; then done."""
    looked = take_back(world.engine, to, now=world.instant)
    assert looked.done is not looked.loses
    assert is_current(world.engine) is looked.loses
    done = take_back(world.engine, to, now=world.instant, may_lose=True) if looked.loses else looked
    assert done.steps == looked.steps
    assert not is_current(world.engine)
    return done


def test_step_by_step_to_where_it_cannot_be_taken_back(world: World) -> None:
    before = bills(world)
    lost = {}
    for to in ("0013", "0010", "0002"):
        for step in back(world, to).steps:
            lost |= {name: rows for name, rows in step.lost.items() if name not in lost}
        world.service.init(with_key=False)
        assert is_current(world.engine)
        assert prove(world.engine, world.store).ok, to
        assert bills(world) == before
    assert lost.keys() == {
        "proposals", "api_keys.expires_at", "api_keys.last_used_at", "operator_sessions", "audit_entries",
        "disputes", "dispute_runs", "webhook_endpoints", "webhook_secrets", "notification_events",
    }  # fmt: skip
    with pytest.raises(Refused, match="0002 cannot be taken back: contracts and credits have no place"):
        take_back(world.engine, "0001", now=world.instant, may_lose=True)
    assert is_current(world.engine)


def test_what_was_lost_is_in_the_trail(world: World) -> None:
    """Where there is still one: so it verifies, by the older version and after the next upgrade."""
    done = back(world, "0013")
    (step,) = (each for each in done.steps if each.lost)
    lost = {"proposals": 1, "api_keys.expires_at": 1, "api_keys.last_used_at": 1}
    assert (step.revision, dict(step.lost)) == ("0014", lost)
    assert "end now" in step.says
    with world.engine.connect() as connection:
        query = sa.text("SELECT * FROM audit_entries WHERE deed = 'schema.taken_back' ORDER BY kind")
        entries = connection.execute(query).all()
    assert [each.kind for each in entries] == ["key", "proposal"]
    assert entries[1].states.endswith(", null]}")
    world.service.init(with_key=False)
    assert prove(world.engine, world.store).ok


def test_what_cannot_be_is_said(world: World) -> None:
    with pytest.raises(Invalid, match="no revision '13'; known: 0001, 0002"):
        take_back(world.engine, "13", now=world.instant)
    run = ["run-0000003"]
    correct(world.engine, world.store, "acme", run, "reverse", "x", author="ann", now=world.instant)
    with pytest.raises(Refused, match="0008 cannot be taken back: task runs were corrected"):
        take_back(world.engine, "0007", now=world.instant, may_lose=True)
    assert is_current(world.engine)
    assert prove(world.engine, world.store).ok
