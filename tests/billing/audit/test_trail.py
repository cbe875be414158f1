"""The audit trail of a real database: every change has its entry, and what was done without one is found."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from billing.access import create_key, revoke_key
from billing.accounts import add_account, update_account
from billing.audit.actor import acting
from billing.audit.reading import entry_data, export_lines, list_entries, show_entry
from billing.audit.trail import begin, changing
from billing.audit.verification import Verified, verify
from billing.audit_tables import audit_end, audit_entries
from billing.credits import add_credit
from billing.errors import Invalid, NotFound, Refused
from billing.invoices import list_invoices
from billing.moving.tables import tables
from billing.repository.audit import Wanted
from billing.repository.audited import HIDDEN, KINDS
from metering.database import writing
from tests.billing.months import bill, dollars, void
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import OCTOBER, World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return dollars(engine)


def said(world: World, **wanted: Any) -> list[tuple[str, str, str]]:
    """Deed, who, and of what, the first first."""
    found = list_entries(world.engine, Wanted(**wanted))
    return [(each.deed, each.by, each.subject) for each in reversed(found)]


def rewrite(world: World, statement: str, **values: Any) -> None:
    """Behind the service's back."""
    with world.engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def found(world: World, **given: Any) -> list[str]:
    return [each.says for each in verify(world.engine, **given).findings]


def test_who_changed_what_from_what_to_what(world: World) -> None:
    with acting("key key_1", "req-7"):
        update_account(world.engine, "acme", now=world.instant, name="Acme AG")
    (entry,) = list_entries(world.engine, Wanted(deed="account.updated"))
    data = entry_data(entry)
    assert (data["by"], data["request"], data["account"]) == ("key key_1", "req-7", "acme")
    assert data["at"] == "2026-11-02T00:00:00Z"
    assert data["before"] == {"accounts/acme": {"name": "acme"}}
    assert data["after"] == {"accounts/acme": {"name": "Acme AG"}}
    assert show_entry(world.engine, entry.number) == entry
    with pytest.raises(NotFound, match="has no entry 0"):
        show_entry(world.engine, 0)


def test_what_changes_nothing_or_is_refused_leaves_no_entry(world: World) -> None:
    before = list_entries(world.engine, Wanted())
    update_account(world.engine, "acme", now=world.instant, name="acme")
    with pytest.raises(Refused, match="acme"):
        add_account(world.engine, "acme", now=world.instant, currency="USD")
    with pytest.raises(NotFound, match="key_0"):
        revoke_key(world.engine, "key_0", world.instant)
    assert list_entries(world.engine, Wanted()) == before


def test_secrets_are_not_in_it(world: World) -> None:
    made = create_key(world.engine, "read", None, world.instant)
    (entry,) = list_entries(world.engine, Wanted(deed="key"))
    row = entry_data(entry)["after"][f"api_keys/{made.key.id}"]  # type: ignore[index]
    assert row["secret_sha256"] == HIDDEN
    assert made.secret not in (entry.detail or "")
    revoke_key(world.engine, made.key.id, world.instant + 5)
    after = entry_data(list_entries(world.engine, Wanted(deed="key.revoked"))[0])["after"]
    assert after == {f"api_keys/{made.key.id}": {"revoked_at": world.instant + 5}}


def test_a_month_leaves_a_trail(world: World) -> None:
    add_credit(world.engine, "acme", "1.00", "sorry", by="key key_1", now=world.instant)
    world.send(runs(3))
    made = bill(world)
    void(world, made)
    deeds = [deed for deed, _, _ in said(world)]
    assert deeds[-5:] == [
        "account.credited",
        "billing_run.started",
        "invoice.issued",
        "billing_run.finished",
        "invoice.voided",
    ]
    (issued,) = list_entries(world.engine, Wanted(deed="invoice.issued"))
    assert list(issued.states) == [made.id]
    voided = entry_data(list_entries(world.engine, Wanted(subject=made.id))[0])
    assert voided["reason"] == "wrong plan"
    assert voided["before"][f"invoices/{made.id}"]["status"] == "finalized"  # type: ignore[index]
    assert voided["after"][f"invoices/{made.id}"]["status"] == "void"  # type: ignore[index]
    assert list_entries(world.engine, Wanted(account="acme", deed="account.credited", by="key key_1"))
    assert list_entries(world.engine, Wanted(deed="account.credited", by="key"))
    assert not list_entries(world.engine, Wanted(deed="account.credited", by="operator"))
    done = verify(world.engine)
    assert done == Verified(len(deeds), 0, done.subjects, done.seal, 0, ())
    assert done.subjects == 1 + 4 + 1 + 1  # the account, four plans, the run, the invoice


def test_lists_by_time_and_place(world: World) -> None:
    first = world.instant
    world.instant += 1000
    update_account(world.engine, "acme", now=world.instant, name="A")
    newest, second = list_entries(world.engine, Wanted(), limit=2)
    assert newest.deed == "account.updated"
    assert [each.deed for each in list_entries(world.engine, Wanted(since=world.instant))] == [
        "account.updated"
    ]
    assert {each.at for each in list_entries(world.engine, Wanted(until=world.instant))} == {first}
    assert list_entries(world.engine, Wanted(), before=newest.number, limit=1) == [second]
    assert not list_entries(world.engine, Wanted(deed="acc"))  # whole words


@pytest.mark.behind_the_back
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE audit_entries SET author = 'mallory' WHERE number = 2", "entry 2 was edited, or moved"),
        ("UPDATE audit_entries SET detail = '{}' WHERE number = 2", "the detail of entry 2 was edited"),
        ("UPDATE audit_entries SET states = '{}' WHERE number = 2", "entry 2 was edited"),
        ("DELETE FROM audit_entries WHERE number = 2", "entry 2 of the trail is missing"),
        (
            "DELETE FROM audit_entries WHERE number = (SELECT entries FROM audit_end)",
            "the trail ends at entry",
        ),
        ("UPDATE audit_end SET seal = 'x'", "is not the last one that was written"),
        ("UPDATE accounts SET email = 'm@example.com'", "account acme was changed behind the service's back"),
        ("UPDATE account_terms SET data = '{}'", "account acme was changed behind"),
        ("UPDATE invoices SET status = 'paid'", "invoice inv_"),
        ("UPDATE invoice_lines SET amount = 0", "invoice inv_"),
        ("DELETE FROM invoice_lines", "invoice inv_"),
        ("UPDATE plan_versions SET data = '{}' WHERE plan = 'dollar'", "plan dollar was changed"),
        ("UPDATE api_keys SET scope = 'admin', revoked_at = NULL", "key key_"),
        ("DELETE FROM api_keys", "was removed behind the service's back"),
        ("UPDATE billing_runs SET cutoff = 0", "billing run run_"),
        (
            "INSERT INTO credit_ledger (account_id, entry, credit_id, kind, amount, description, author, "
            "recorded_at) VALUES ('acme', 99, 'crd_1', 'goodwill', 100000, '', 'operator', 1)",
            "account acme was changed",
        ),
        (
            "INSERT INTO api_keys (id, prefix, secret_sha256, scope, created_at) "
            "VALUES ('key_m', 'bk', 'x', 'admin', 1)",
            "key key_m was made behind the service's back",
        ),
    ],
)
def test_what_is_done_behind_its_back_is_found(world: World, statement: str, says: str) -> None:
    made = create_key(world.engine, "read", None, world.instant)
    revoke_key(world.engine, made.key.id, world.instant)
    world.send(runs(3))
    bill(world)
    assert found(world) == []
    rewrite(world, statement)
    assert len(found(world)) >= 1
    assert says in found(world)[0]


@pytest.mark.behind_the_back
def test_a_trail_that_was_written_anew_is_found_by_a_seal_that_was_kept(world: World) -> None:
    kept = f"{(done := verify(world.engine)).entries}:{done.seal}"
    update_account(world.engine, "acme", now=world.instant, name="A")
    assert found(world, noted=kept) == []
    with world.engine.begin() as connection:
        connection.execute(audit_entries.delete())
        connection.execute(audit_end.update().values(entries=0, seal="0" * 64))
    with writing(world.engine) as connection:
        begin(connection, world.instant)
    assert found(world) == []
    assert found(world, noted=kept) == [f"the trail has no entry {done.entries}, whose seal was given"]
    for name in "BCDE":
        update_account(world.engine, "acme", now=world.instant, name=name)
    assert found(world, noted=kept) == [f"entry {done.entries} has another seal than the one given"]
    for wrong in ("", "x:y", f"{'9' * 19}:{done.seal}", done.seal):
        with pytest.raises(Invalid) as caught:
            verify(world.engine, wrong)
        assert caught.value.field == "seal"


def test_an_installation_that_had_no_trail_begins_with_what_is_there(new_database: NewDatabase) -> None:
    world = dollars(new_database())
    world.send(runs(3))
    bill(world)
    with world.engine.begin() as connection:
        connection.execute(audit_entries.delete())
        connection.execute(audit_end.update().values(entries=0, seal="0" * 64))
    assert any("was made behind" in each for each in found(world))
    world.service.init()
    assert found(world) == []
    assert {each.deed for each in list_entries(world.engine, Wanted())} == {"audit.begun", "key.created"}
    world.service.init()
    assert len(list_entries(world.engine, Wanted(deed="audit.begun"))) == 4


def test_writers_at_once_make_one_chain(world: World) -> None:
    def rename(number: int) -> None:
        update_account(world.engine, "acme", now=world.instant, name=f"name {number}")
        create_key(world.engine, "read", None, world.instant)

    before = len(list_entries(world.engine, Wanted()))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(rename, range(40)))
    assert found(world) == []
    assert len(list_entries(world.engine, Wanted())) == before + 80
    names = [
        entry_data(each) for each in reversed(list_entries(world.engine, Wanted(deed="account.updated")))
    ]
    last = "acme"
    for each in names:  # each was before what the one before it made
        assert each["before"]["accounts/acme"]["name"] == last  # type: ignore[index]
        last = each["after"]["accounts/acme"]["name"]  # type: ignore[index]


def test_a_change_that_fails_has_no_entry(world: World) -> None:
    before = list_entries(world.engine, Wanted())
    with (
        pytest.raises(ZeroDivisionError),
        changing(world.engine, "account.updated", "account", "acme", now=0) as connection,
    ):
        connection.execute(sa.text("UPDATE accounts SET name = 'x'"))
        raise ZeroDivisionError
    assert list_entries(world.engine, Wanted()) == before


@pytest.mark.behind_the_back
def test_a_detail_that_is_gone_without_an_erasure_is_found(world: World) -> None:
    """The entry stays readable, and the chain whole; tests of erasures show that theirs are not found."""
    update_account(world.engine, "acme", now=world.instant, email="ada@example.com")
    rewrite(world, "UPDATE audit_entries SET detail = NULL WHERE deed = 'account.updated'")
    done = verify(world.engine)
    assert done.erased == 1
    (entry,) = list_entries(world.engine, Wanted(deed="account.updated"))
    assert [each.says for each in done.findings] == [
        f"the detail of entry {entry.number} is gone, and no erasure tells of it"
    ]
    assert entry_data(list_entries(world.engine, Wanted(deed="account.updated"))[0])["erased"]


def test_credit_that_nobody_granted_is_found_whatever_it_says_of_itself(world: World) -> None:
    """Of no invoice, of one that is not there, and of a draft: each can be spent."""
    world.send(runs(20_000))
    world.service.run_month(OCTOBER, early=True)
    draft = next(each.id for each in list_invoices(world.engine) if each.status == "draft")
    with world.engine.connect() as connection:
        entry = connection.scalar(sa.text("SELECT entries FROM accounts WHERE id = 'acme'"))
    forged = (
        "INSERT INTO credit_ledger VALUES ('acme', :entry, 'crd_x', 'goodwill', 5, 'free', :invoice, 'x', 0)"
    )
    for invoice in (None, draft):
        assert found(world) == []
        rewrite(world, forged, entry=entry, invoice=invoice)
        assert found(world) == ["account acme was changed behind the service's back"]
        rewrite(world, "DELETE FROM credit_ledger WHERE credit_id = 'crd_x'")


def test_an_auditor_checks_the_export_without_this_service(world: World, tmp_path: Path) -> None:
    """By the lines of docs/audit.md."""
    page = Path(__file__).parents[3] / "docs" / "audit.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    world.send(runs(3))
    void(world, bill(world))
    lines = b"".join(export_lines(world.engine))

    def check() -> str:
        (tmp_path / "audit.ndjson").write_bytes(lines)
        run = [sys.executable, "-c", code]
        done = subprocess.run(run, check=False, cwd=tmp_path, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert check() == f"the trail holds, up to {verify(world.engine).seal}\n"
    lines = lines.replace(b"wrong plan", b"right plan")
    assert "AssertionError" in check()


def test_every_table_of_what_was_agreed_or_billed_is_audited() -> None:
    """A new table is either part of something that is audited, or said here why it is not."""
    audited = {part.table.name for kind in KINDS.values() for part in kind.parts}
    not_audited = {
        # the trail itself, and where an installation has moved to
        "audit_entries", "audit_end", "installation_moves",
        # computed from what is audited and metered
        "run_ledger", "invoice_numbers", "alerts",
        # work to be done, and answers that are kept
        "outbox", "idempotent_requests", "jobs", "operator_jobs",
        "notification_events", "notification_deliveries",
        # what Stripe says, which reconciliation compares
        "collections", "invoice_payments", "invoice_reversals", "stripe_records", "stripe_events",
        "stripe_rate",
    }  # fmt: skip
    billing = {table.name for table in tables() if table.metadata is audit_entries.metadata}
    assert billing - audited == not_audited - {"installation_moves"}
    assert "sources" in audited
