"""What was changed behind the service's back is found also where the service changed the same thing
afterwards, and so sealed it as it was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from billing.access import create_key, list_keys, revoke_key
from billing.accounts import update_account
from billing.audit.entry import ERASURE, Step, canonical, seal, sha256
from billing.audit.reading import list_entries
from billing.audit.verification import verify
from billing.audit_tables import audit_end, audit_entries
from billing.closing import close_account
from billing.contracts import load_contract_text, withdraw_contract
from billing.credit_notes import credit_note
from billing.disputes import answer_dispute, raise_dispute
from billing.downgrade import take_back
from billing.erasure import erase
from billing.invoices import show_invoice
from billing.links import create_link, end_links
from billing.notifications.endpoints import add_endpoint, remove_endpoint
from billing.operators import end_sessions, make_link
from billing.plans import load_plan_text
from billing.repository.audit import Wanted, every
from billing.schema import upgrade
from billing.sources import add_source, change_source, declare, find_source, remove_source, server_of
from metering.database import reading
from metering.period import HOUR_US
from tests.billing.months import DOLLAR_A_RUN, bill, dollars, void
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import OCTOBER, World

CONTRACT = """{"id": "c-1", "account": "acme", "currency": "USD", "plan": "dollar", "instalments": "upfront",
    "start": "2027-01-01",
    "end": "2028-01-01", "grants": [{"id": "g1", "runs": 100, "price": "9.00",
    "granted_on": "2027-01-01", "expires_on": "2028-01-01"}]}"""

Change = Callable[[World], object]


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """One of each thing that is audited, so that each can be tampered with."""
    world = dollars(engine)
    world.service.settings.webhook_private = "on"
    world.send(runs(3))
    bill(world)
    load_contract_text(engine, CONTRACT, "c.json", by="ann", now=world.instant)
    create_key(engine, "read", None, world.instant, expires=world.instant + HOUR_US)
    make_link(engine, "ada", "viewer", by="operator", now=world.instant)
    server = server_of("http://127.0.0.1:9/api")
    add_source(engine, "acme", "eu", server, since=None, now=world.instant)
    add_endpoint(
        engine, "https://127.0.0.1:9/x", account="acme", private=True, by="operator", now=world.instant
    )
    run = ["run-0000001"]
    raise_dispute(engine, world.store, "acme", run, "no", raised_by="Eve", by="x", now=world.instant)
    create_link(engine, "acme", now=world.instant)
    return world


def rewrite(world: World, statement: str) -> None:
    """Behind the service's back."""
    with world.engine.begin() as connection:
        connection.execute(sa.text(statement))


def found(world: World) -> list[str]:
    return [each.says for each in verify(world.engine).findings]


def only(world: World, table: str) -> str:
    with world.engine.connect() as connection:
        return str(connection.scalar(sa.text(f"SELECT id FROM {table} ORDER BY id LIMIT 1")))


def renamed(world: World) -> None:
    update_account(world.engine, "acme", now=world.instant, name="A")


def credited(world: World) -> None:
    invoice = only(world, "invoices")
    credit_note(world.engine, invoice, "1", "goodwill", "sorry", by="operator", now=world.instant)


def voided(world: World) -> None:
    void(world, show_invoice(world.engine, only(world, "invoices")))


def revoked(world: World) -> None:
    for key in list_keys(world.engine):
        revoke_key(world.engine, key.id, world.instant)


def planned(world: World) -> None:
    version = json.loads(DOLLAR_A_RUN) | {"version": "2", "effective_from": "2027-01-01"}
    load_plan_text(world.engine, json.dumps(version), "dollar.json", world.instant)


def signed_out(world: World) -> None:
    end_sessions(world.engine, world.instant)


def unlinked(world: World) -> None:
    end_links(world.engine, world.instant)


def moved(world: World) -> None:
    source = find_source(world.engine, "eu")
    change_source(world.engine, source, now=world.instant, workspace="w")


def collected(world: World) -> None:
    server = server_of("http://127.0.0.1:9/other")
    add_source(world.engine, "acme", "eu", server, since=None, now=world.instant)


def unsubscribed(world: World) -> None:
    remove_endpoint(world.engine, only(world, "webhook_endpoints"), now=world.instant)


def answered(world: World) -> None:
    answer_dispute(
        world.engine,
        only(world, "disputes"),
        reply="no",
        reverse_runs=None,
        by="x",
        now=world.instant,
        reverse=lambda *_: None,
    )


def resumed(world: World) -> None:
    world.service.run_month(OCTOBER)


def erased(world: World) -> None:
    answered(world)
    remove_source(world.engine, find_source(world.engine, "eu"), now=world.instant)
    withdraw_contract(world.engine, "c-1", by="ann", now=world.instant)
    voided(world)
    close_account(world.engine, world.store, "acme", by="x", now=world.instant)
    world.instant += 1
    erase(world.engine, world.store, "acme", now=world.instant, retain_years=0)


def there_and_back(world: World) -> None:
    take_back(world.engine, "0013", now=world.instant, may_lose=True)
    upgrade(world.engine)


CHANGES: list[Change] = [
    renamed, credited, voided, revoked, planned, signed_out, unlinked, moved, unsubscribed, answered, resumed,
    erased, there_and_back,
]  # fmt: skip
TAMPERED: list[tuple[str, Change, str]] = [
    ("UPDATE accounts SET email = 'm@example.com'", renamed, "account acme was changed"),
    ("UPDATE account_terms SET data = replace(data, '100', '900')", renamed, "account acme was changed"),
    (
        "INSERT INTO credit_ledger (account_id, entry, credit_id, kind, amount, description, author, "
        "recorded_at) VALUES ('acme', 99, 'crd_1', 'goodwill', 100000, '', 'operator', 1)",
        renamed,
        "account acme was changed",
    ),
    ("UPDATE invoices SET total = total + 1", credited, "invoice inv_"),
    ("UPDATE invoice_lines SET amount = amount + 1", voided, "invoice inv_"),
    ("UPDATE api_keys SET scope = 'admin'", revoked, "key key_"),
    ("UPDATE api_keys SET scope = 'admin'", there_and_back, "key key_"),
    (
        "INSERT INTO api_keys (id, prefix, secret_sha256, scope, created_at) "
        "VALUES ('key_m', 'bk', 'x', 'admin', 1)",
        revoked,
        "key key_m was made",
    ),
    ("UPDATE plan_versions SET data = data || ' ' WHERE plan = 'dollar'", planned, "plan dollar was changed"),
    ("UPDATE operator_sessions SET role = 'admin'", signed_out, "operator ops_"),
    ("UPDATE link_secrets SET secret = 'known'", unlinked, "links customer was changed"),
    ("UPDATE sources SET url = 'http://127.0.0.1:9/m'", moved, "source acme/eu was changed"),
    ("DELETE FROM sources", collected, "source acme/eu was removed"),
    ("UPDATE webhook_endpoints SET url = 'https://127.0.0.1:9/m'", unsubscribed, "webhook endpoint whe_"),
    ("UPDATE disputes SET message = 'yes'", answered, "dispute dsp_"),
    ("UPDATE billing_runs SET finished_at = NULL, cutoff = 0", resumed, "billing run run_"),
    ("UPDATE webhook_endpoints SET url = 'https://127.0.0.1:9/m'", erased, "webhook endpoint whe_"),
    ("UPDATE accounts SET name = 'M'", erased, "account acme was changed"),
]


@pytest.mark.behind_the_back
@pytest.mark.parametrize(("statement", "change", "says"), TAMPERED)
def test_what_the_service_changed_afterwards_is_found(
    world: World, statement: str, change: Change, says: str
) -> None:
    assert found(world) == []
    rewrite(world, statement)
    change(world)
    (first, *_) = verify(world.engine).findings
    assert first.says.startswith(says)
    assert first.says.endswith(f"behind the service's back before entry {first.entry}")
    # And whatever else the service does.
    update_account(world.engine, "acme", now=world.instant, name="B")
    assert first.says in found(world)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_the_service_alone_is_no_finding(world: World, change: Change) -> None:
    change(world)
    assert found(world) == []


def test_what_is_audited_from_some_time_on_is_no_finding(world: World) -> None:
    """A source that declares itself is not audited; one of the same name that is asked is. Nor is a draft."""
    now = world.instant
    declare(world.engine, world.store, "acme", "us", complete_to=now, now=now)
    remove_source(world.engine, find_source(world.engine, "us"), now=now)
    server = server_of("http://127.0.0.1:9/us")
    add_source(world.engine, "acme", "us", server, since=None, now=now)
    remove_source(world.engine, find_source(world.engine, "us"), now=now)
    declare(world.engine, world.store, "acme", "us", complete_to=now, now=now)
    assert found(world) == []
    world.send(runs(2, day="2026-11-03", prefix="n"))
    world.service.run_month(OCTOBER.next(), early=True)
    world.instant = OCTOBER.next().end + 24 * HOUR_US
    (draft,) = world.service.run_month(OCTOBER.next(), early=True).invoices
    world.service.approve_month(OCTOBER.next(), by="ann", only=[draft.id])
    (issued,) = list_entries(world.engine, Wanted(deed="invoice.issued"), limit=1)
    (step,) = issued.states.values()
    assert isinstance(step, Step) and step.was is None


def test_of_many_who_make_the_same_thing_at_once_each_knows_what_was(new_database: NewDatabase) -> None:
    world = dollars(new_database())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: end_links(world.engine, world.instant + number), range(8)))
    assert found(world) == []
    assert len(list_entries(world.engine, Wanted(deed="links.ended"))) == 8


@pytest.mark.behind_the_back
def test_a_trail_that_was_begun_before_entries_said_what_was_still_holds(world: World) -> None:
    """Its entries say only what a thing is since; what is laundered after the last of them is found."""
    _as_it_was_written_before(world)
    assert found(world) == []
    renamed(world)
    assert found(world) == []
    rewrite(world, "UPDATE accounts SET email = 'm@example.com'")
    update_account(world.engine, "acme", now=world.instant, name="B")
    entry = verify(world.engine).entries
    assert found(world) == [f"account acme was changed behind the service's back before entry {entry}"]


def details(world: World) -> dict[int, str | None]:
    return {each.number: each.detail for each in list_entries(world.engine, Wanted())}


def set_detail(world: World, number: int, detail: str | None) -> None:
    """Behind the service's back."""
    with world.engine.begin() as connection:
        mine = audit_entries.update().where(audit_entries.c.number == number)
        connection.execute(mine.values(detail=detail))


@pytest.mark.behind_the_back
def test_an_erasure_says_which_details_it_erased(world: World) -> None:
    """So nobody erases another one while they put one back, which leaves as many gone."""
    before = details(world)
    erased(world)
    after = details(world)
    gone = [number for number, detail in before.items() if detail is not None and after[number] is None]
    other = next(number for number, detail in sorted(after.items()) if detail is not None)
    assert len(gone) > 1 and found(world) == []
    set_detail(world, other, None)
    assert found(world) == [f"the detail of entry {other} is gone, and no erasure tells of it"]
    set_detail(world, gone[0], before[gone[0]])
    assert found(world) == [
        f"the detail of entry {other} is gone, and no erasure tells of it",
        f"the detail of entry {gone[0]} is there again, which was erased",
    ]
    set_detail(world, other, after[other])
    set_detail(world, gone[0], None)
    assert found(world) == []
    (last,) = list_entries(world.engine, Wanted(deed=ERASURE), limit=1)
    set_detail(world, last.number, None)  # which is itself a detail that nobody erased
    assert {f"the detail of entry {number} is gone, and no erasure tells of it" for number in gone} < set(
        found(world)
    )


@pytest.mark.behind_the_back
def test_an_erasure_that_said_only_how_many_details_it_erased_still_holds(world: World) -> None:
    erased(world)
    gone = [number for number, detail in details(world).items() if detail is None]
    _as_it_was_written_before(world)
    assert found(world) == []
    (last,) = list_entries(world.engine, Wanted(deed=ERASURE), limit=1)
    set_detail(world, 1, None)
    assert found(world) == [
        f"{len(gone) + 1} entries before entry {last.number} have no details that no erasure names, and those"
        f" that name none tell of {len(gone)}"
    ]
    set_detail(world, 1, "{}")
    with world.engine.connect() as connection:
        entries = connection.scalar(sa.select(audit_end.c.entries))
    world.account("other")
    set_detail(world, entries + 1, None)
    assert f"the detail of entry {entries + 1} is gone, and no erasure tells of it" in found(world)


def _as_it_was_written_before(world: World) -> None:
    """Entries say neither what a thing was, nor which details an erasure erased."""
    with reading(world.engine) as connection:
        entries = list(every(connection))
    last = "0" * 64
    with world.engine.begin() as connection:
        for entry in entries:
            states = {id: said.now if isinstance(said, Step) else said for id, said in entry.states.items()}
            detail, digest = entry.detail, entry.detail_sha256
            if entry.deed == ERASURE and detail is not None:
                said_then = json.loads(detail)
                said_then.pop("details_of", None)
                detail = canonical(said_then)
                digest = sha256(detail)
            last = seal(last, replace(entry, states=states, detail_sha256=digest).line())
            held = audit_entries.update().where(audit_entries.c.number == entry.number)
            values = {"states": json.dumps(states), "detail": detail, "detail_sha256": digest, "seal": last}
            connection.execute(held.values(values))
        connection.execute(audit_end.update().values(seal=last))
