"""What was damaged is a finding, whatever was written there: nothing that proves or verifies fails itself."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billing.accounts import update_account
from billing.audit.reading import entry_data, export_lines, list_entries
from billing.audit.verification import verify
from billing.credits import add_credit
from billing.errors import Refused
from billing.invoices import list_invoices
from billing.reporting.everything import prove
from billing.reporting.proof import verify as verify_invoice
from billing.repository.audit import Wanted
from metering.store.sql import SqlEventStore
from tests.billing.months import dollars
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import OCTOBER, World

pytestmark = pytest.mark.behind_the_back

NO_TEXT = "CAST(x'ff00fe' AS TEXT)"
DEEP = "'" + "[" * 100_000 + "'"


# As a table is that somebody made anew without its constraints.
BARE = (
    "CREATE TABLE bare AS SELECT * FROM audit_entries",
    "DROP TABLE audit_entries",
    "ALTER TABLE bare RENAME TO audit_entries",
)


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """Two accounts with an invoice each."""
    world = dollars(engine)
    world.account("other", plan="dollar")
    add_credit(engine, "acme", "1", "sorry", by="operator", now=world.instant)
    world.send(runs(3), runs(2, account="other"))
    world.service.run_month(OCTOBER)
    return world


def rewrite(world: World, *statements: str) -> None:
    """Behind the service's back."""
    with world.engine.begin() as connection:
        for each in statements:
            connection.exec_driver_sql(each)


def found(world: World) -> list[str]:
    return [each.says for each in verify(world.engine).findings]


def set_in_entry_2(value: str) -> str:
    return f"UPDATE audit_entries SET {value} WHERE number = 2"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("states = '{'", "entry 2 was edited: its states cannot be read"),
        ("states = '[]'", "entry 2 was edited: its states cannot be read"),
        ("states = 'null'", "entry 2 was edited: its states cannot be read"),
        ("states = '{\"acme\": 5}'", "entry 2 was edited: its states cannot be read"),
        ("states = '{\"acme\": [null]}'", "entry 2 was edited: its states cannot be read"),
        ("states = '{\"acme\": [1, 2]}'", "entry 2 was edited: its states cannot be read"),
        (f"states = {DEEP}", "entry 2 was edited: its states cannot be read"),
        ("states = NULL", "entry 2 was edited: its states cannot be read"),
        ("detail = '{'", "the detail of entry 2 was edited"),
        ("deed = 'account.erased', detail = '{'", "the detail of entry 2 was edited"),
        ("deed = 'account.erased', detail = '{\"erased\": 5}'", "the detail of entry 2 was edited"),
        ("deed = NULL, kind = NULL, subject = NULL, author = NULL, at = NULL", "entry 2 was edited"),
        ("seal = NULL", "entry 2 was edited"),
        ("detail_sha256 = NULL", "the detail of entry 2 was edited"),
    ],
)
def test_an_entry_that_cannot_be_read_is_a_finding(world: World, value: str, says: str) -> None:
    rewrite(world, *BARE, set_in_entry_2(value))
    assert any(each.startswith(says) for each in found(world))
    assert not prove(world.engine, world.store).ok
    for entry in list_entries(world.engine, Wanted()):
        assert entry.at is None or entry_data(entry)
    assert len(list(export_lines(world.engine))) == verify(world.engine).entries


def test_an_entry_without_a_number_is_a_finding(world: World) -> None:
    rewrite(world, *BARE, set_in_entry_2("number = NULL"))
    assert "an entry of the trail has the number 'None'" in found(world)


def test_a_trail_without_its_end_is_a_finding_and_takes_no_entries(world: World) -> None:
    rewrite(world, "INSERT INTO audit_end VALUES (2, 5, 'x')")
    lost = "the trail has lost its end: the table audit_end is to have one row"
    assert found(world) == [lost]
    rewrite(world, "DELETE FROM audit_end")
    assert found(world) == [lost]
    with pytest.raises(Refused, match="the audit trail has lost its end"):
        update_account(world.engine, "acme", now=world.instant, name="A")
    assert found(world) == [lost]


DOCUMENTS = [
    "UPDATE invoices SET usage_by_day = '{' WHERE account_id = 'acme'",
    "UPDATE invoices SET usage_by_day = '[]' WHERE account_id = 'acme'",
    "UPDATE invoices SET not_billed = 'null' WHERE account_id = 'acme'",
    "UPDATE invoices SET bill_to = '' WHERE account_id = 'acme'",
    "UPDATE invoices SET month = '2026-13' WHERE account_id = 'acme'",
    "UPDATE invoices SET entry = NULL WHERE account_id = 'acme'",
    "UPDATE invoice_lines SET exact_amount = 'much' WHERE kind = 'credit'",
    "UPDATE invoice_lines SET kind = 'gift' WHERE kind = 'credit'",
    "UPDATE invoice_lines SET month = '10' WHERE kind = 'credit'",
    "UPDATE account_terms SET data = '{' WHERE account_id = 'acme'",
    "UPDATE account_terms SET kind = 'wish' WHERE account_id = 'acme'",
    "UPDATE credit_ledger SET kind = 'gift' WHERE account_id = 'acme'",
    "UPDATE accounts SET details = '[' WHERE id = 'acme'",
]


@pytest.mark.parametrize("statement", DOCUMENTS)
def test_an_invoice_that_cannot_be_read_differs_and_the_others_are_proved(
    world: World, statement: str
) -> None:
    mine, theirs = sorted(list_invoices(world.engine), key=lambda each: each.account)
    assert prove(world.engine, world.store).ok
    rewrite(world, statement)
    assert not verify_invoice(world.engine, world.store, mine.id).ok
    assert verify_invoice(world.engine, world.store, theirs.id).ok
    proved = prove(world.engine, world.store)
    assert [each.id for each in proved.differing] == [mine.id]
    assert proved.invoices == 2 and proved.trail.count


METER = [
    (
        "DELETE FROM meter_labels WHERE id = (SELECT max(id) FROM meter_labels)",
        "the task runs of other for 2026-10 cannot be read, and were not counted (LookupError: task run "
        "run-0000000 has the label 2, which its account does not have)",
    ),
    (
        "DELETE FROM meter_accounts WHERE id = 2",
        "meter_accounts has no account 2, of which there is something in task_runs, usage_hours, usage_days, "
        "usage_months",
    ),
    (
        "UPDATE task_runs SET label_id = 999 WHERE account_id = 2 AND run_key IN (SELECT max(run_key) FROM "
        "task_runs WHERE account_id = 2)",
        "the task runs of other for 2026-10 cannot be read, and were not counted (LookupError: task run "
        "run-0000001 has the label 999, which its account does not have)",
    ),
    (
        "UPDATE task_runs SET label_id = (SELECT min(id) FROM meter_labels) WHERE account_id = 2",
        "the task runs of other for 2026-10 cannot be read, and were not counted (LookupError: task run "
        "run-0000000 has the label 1, which its account does not have)",
    ),
    (
        "UPDATE task_runs SET account_id = 999 WHERE account_id = 2",
        "meter_accounts has no account 999, of which there is something in task_runs",
    ),
    (
        "UPDATE task_runs SET outcome = 99 WHERE account_id = 2",
        "the task runs of other for 2026-10 cannot be read, and were not counted (ValueError: 99 is not a "
        "valid Outcome)",
    ),
    (
        "UPDATE usage_months SET month = 999999 WHERE account_id = 2",
        "counters, or run_buckets, are of a month 999999, which there is not",
    ),
]


@pytest.mark.parametrize(("statement", "says"), METER)
def test_what_of_the_meter_cannot_be_read_is_a_finding(world: World, statement: str, says: str) -> None:
    """And the other account is counted."""
    world.store.settle()  # type: ignore[attr-defined]
    assert prove(world.engine, world.store, counters=True).ok
    rewrite(world, statement, "UPDATE usage_hours SET quantity = quantity + 1 WHERE account_id = 1")
    proved = prove(world.engine, SqlEventStore(world.engine), counters=True)
    assert proved.invoices == 2
    found = [each.says for each in proved.beside]
    assert says in found, found
    assert "the counters of acme for 2026-10 are not what its task runs come to: usage_hours" in found


class TestSQLite:
    """It keeps in a column whatever is put there."""

    @pytest.fixture
    def engine(self, sqlite_databases: NewDatabase) -> sa.Engine:
        return sqlite_databases()

    @pytest.mark.parametrize("column", ["author", "states", "detail", "detail_sha256", "seal", "subject"])
    @pytest.mark.parametrize("value", [NO_TEXT, "x'00ff'"])
    def test_an_entry_of_bytes_is_a_finding(self, world: World, column: str, value: str) -> None:
        rewrite(world, set_in_entry_2(f"{column} = {value}"))
        assert any("entry 2 was edited" in each for each in found(world))
        assert len(list(export_lines(world.engine))) == verify(world.engine).entries

    @pytest.mark.parametrize("value", [NO_TEXT, "x'00ff'"])
    def test_things_of_bytes_are_findings(self, world: World, value: str) -> None:
        rewrite(world, f"UPDATE accounts SET email = {value} WHERE id = 'acme'")
        assert "account acme was changed behind the service's back" in found(world)
        rewrite(world, f"UPDATE invoices SET bill_to = {value} WHERE account_id = 'acme'")
        assert len(prove(world.engine, world.store).differing) == 1
        rewrite(
            world,
            "INSERT INTO api_keys (id, prefix, secret_sha256, scope, created_at) "
            f"VALUES ({value}, 'bk', 'x', 'admin', 1)",
        )
        assert any("was made behind the service's back" in each for each in found(world))
