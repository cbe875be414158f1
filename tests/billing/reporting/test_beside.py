"""What is kept beside invoices: numbers, what is to be sent, who corrected what, and the counters."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from billing.accounts import add_account
from billing.audit.entry import canonical, seal, sha256
from billing.audit.reading import list_entries
from billing.audit_tables import audit_end, audit_entries
from billing.corrections import confirm, correct
from billing.credit_notes import credit_note
from billing.errors import Invalid, NotFound, Refused
from billing.invoices import list_invoices
from billing.reporting.everything import prove
from billing.repository.audit import Wanted
from billing.voids import void_invoice
from metering.outcome import Action
from metering.store import Correction
from metering.store.clickhouse.closing import close_for_events
from tests.billing.months import dollars, void
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.stores import Stores
from tests.world import OCTOBER, World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return made(engine)


def made(engine: sa.Engine) -> World:
    """Three invoices of a month, one of them void, with credit notes; corrections; runs of the next month."""
    world = dollars(engine)
    for account in ("beta", "gamma"):
        add_account(engine, account, now=world.instant, currency="USD", plan="dollar", billing_from=OCTOBER)
    world.send(runs(9), runs(4, account="beta"), runs(5, account="gamma"))
    world.send([event("run-0000001", state="FAILED")], runs(3, prefix="n", day="2026-11-01"))
    world.service.run_month(OCTOBER)
    first, second, _ = list_invoices(engine)
    for amount in ("1", "2"):
        credit_note(engine, first.id, amount, "goodwill", "sorry", by="operator", now=world.instant)
    void(world, second)
    corrected(world, ["run-0000002", "run-0000003"], "reverse", "twice", "ann")
    corrected(world, ["run-0000003"], "restore", "once", "operator")
    world.instant += 1
    corrected(world, ["run-0000004", "run-0000005", "none"], "reverse", "twice", "key key_1")
    world.send(runs(2, prefix="late"))
    return world


def corrected(world: World, ids: list[str], action: str, reason: str, author: str) -> None:
    correct(world.engine, world.store, "acme", ids, action, reason, author=author, now=world.instant)


def rewrite(world: World, statement: str) -> None:
    """Behind the service's back."""
    with world.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def found(world: World, *, counters: bool = False) -> list[str]:
    return [each.says for each in prove(world.engine, world.store, counters=counters).beside]


NUMBERS = [
    (
        "UPDATE invoice_numbers SET last = 5 WHERE prefix = '2026-10'",
        "there are no documents 2026-10-000004 to 000005: numbers have no gaps",
    ),
    (
        "UPDATE invoice_numbers SET last = 2 WHERE prefix = '2026-10'",
        "2026-10 has a document 000003, and the next would get 000003",
    ),
    (
        "DELETE FROM invoice_numbers WHERE prefix = '2026-11-CN'",
        "2026-11-CN has a document 000002, and the next would get 000001",
    ),
    (
        "UPDATE invoices SET number = '2026-10-000007' WHERE number = '2026-10-000002'",
        "there is no document 2026-10-000002: numbers have no gaps",
    ),
    (
        "UPDATE invoices SET number = '2026-10-0000002' WHERE number = '2026-10-000003'",
        "2026-10-0000002 is the number of two documents",
    ),
    (
        "UPDATE invoices SET number = 'none' WHERE number = '2026-10-000003'",
        "a document has the number 'none', which none can have",
    ),
    (
        "UPDATE credit_notes SET number = '2026-11-CN-000003' WHERE number = '2026-11-CN-000001'",
        "there is no document 2026-11-CN-000001: numbers have no gaps",
    ),
]
INTENTS = [
    (
        "DELETE FROM outbox WHERE kind = 'credit_note' AND id = "
        "(SELECT id FROM credit_notes WHERE number = '2026-11-CN-000002')",
        "nothing says that credit note 2026-11-CN-000002 is to be sent, or was: its intent is gone",
    ),
    (
        "DELETE FROM outbox WHERE id = (SELECT id FROM invoices WHERE number = '2026-10-000003')",
        "nothing says that invoice 2026-10-000003 is to be sent, or was: its intent is gone",
    ),
]
OTHERS = [
    (
        "UPDATE outbox SET reason = 'another' WHERE kind = 'void'",
        "nobody asked for the void of invoice 2026-10-000003 as its intent says",
    ),
    (
        "UPDATE outbox SET author = 'operator zoe' WHERE kind = 'void'",
        "nobody asked for the void of invoice 2026-10-000003 as its intent says",
    ),
    (
        "UPDATE accounts SET entries = 1 WHERE id = 'acme'",
        "account acme counts 1 entries of its books, and has one numbered 4",
    ),
    (
        "CREATE VIEW others AS SELECT * FROM invoices",
        "the database has a view others on others, which is not the service's",
    ),
]
# What the database would do by itself, what it takes to make it, and what is said of it.
_MORE = "UPDATE credit_ledger SET amount = 9 WHERE kind = 'goodwill'"
_FUNCTION = "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ %s $$"
_TRIGGER = "CREATE TRIGGER more BEFORE INSERT ON credit_ledger FOR EACH ROW EXECUTE FUNCTION more()"
_ODD = "CREATE FUNCTION odd(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT $1'"
BY_ITSELF: dict[str, dict[str, tuple[tuple[str, ...], str]]] = {
    "sqlite": {
        "a trigger": (
            (f"CREATE TRIGGER more AFTER INSERT ON credit_ledger BEGIN {_MORE}; END",),
            "trigger more on credit_ledger",
        ),
        "one that seems to refuse": (
            (
                f"CREATE TRIGGER more AFTER INSERT ON credit_ledger BEGIN {_MORE};"
                " -- BEGIN SELECT RAISE(ABORT, 'moved');\nEND",
            ),
            "trigger more on credit_ledger",
        ),
        "a computed column": (
            ("ALTER TABLE credit_ledger ADD COLUMN more INTEGER AS (amount * 100)",),
            "computed column more on credit_ledger",
        ),
        "a default": (
            ("ALTER TABLE credit_ledger ADD COLUMN more INTEGER DEFAULT 100",),
            "default more on credit_ledger",
        ),
        "rows that go with others": (
            ("ALTER TABLE credit_ledger ADD COLUMN more TEXT REFERENCES accounts (id) ON DELETE CASCADE",),
            "foreign key more on credit_ledger",
        ),
    },
    "postgresql": {
        "a trigger": (
            (_FUNCTION % "BEGIN NEW.amount := 9; RETURN NEW; END", _TRIGGER),
            "trigger more on credit_ledger",
        ),
        "one that seems to refuse": (
            (
                _FUNCTION % "BEGIN NEW.amount := 9; RETURN NEW; END -- BEGIN RAISE EXCEPTION 'moved'; END",
                _TRIGGER,
            ),
            "trigger more on credit_ledger",
        ),
        "one beside an empty schema that comes first": (
            (
                "CREATE SCHEMA AUTHORIZATION CURRENT_USER",
                _FUNCTION % "BEGIN NEW.amount := 9; RETURN NEW; END",
                _TRIGGER.replace("ON credit", "ON public.credit"),
            ),
            "trigger more on credit_ledger",
        ),
        "a computed column": (
            ("ALTER TABLE credit_ledger ADD more bigint GENERATED ALWAYS AS (amount * 100) STORED",),
            "computed column more on credit_ledger",
        ),
        "a default": (
            ("ALTER TABLE credit_ledger ALTER amount SET DEFAULT 100",),
            "default amount on credit_ledger",
        ),
        "rows that go with others": (
            (
                "ALTER TABLE outbox ADD CONSTRAINT more"
                " FOREIGN KEY (id) REFERENCES invoices ON DELETE CASCADE NOT VALID",
            ),
            "foreign key more on outbox",
        ),
        "a policy": (
            ("ALTER TABLE credit_ledger ENABLE ROW LEVEL SECURITY",),
            "row-level security credit_ledger on credit_ledger",
        ),
        "rows of another table": (
            ("CREATE TABLE more () INHERITS (credit_ledger)",),
            "child table more on credit_ledger",
        ),
        "a function of an index": (
            (_ODD, "CREATE INDEX more ON credit_ledger (odd(amount))"),
            "function odd(bigint) on credit_ledger",
        ),
        "a function of a check": (
            (_ODD, "ALTER TABLE credit_ledger ADD CHECK (odd(amount) < 1000000000)"),
            "function odd(bigint) on credit_ledger",
        ),
    },
}


@pytest.mark.behind_the_back
@pytest.mark.parametrize(("statement", "says"), OTHERS)
def test_what_nobody_asked_for_is_found(world: World, statement: str, says: str) -> None:
    third = list_invoices(world.engine)[2]
    with world.engine.begin() as connection:
        connection.execute(sa.text("UPDATE outbox SET step = 'finalize' WHERE id = :id"), {"id": third.id})
    void_invoice(world.engine, third.id, "twice", by="operator ada", now=world.instant)
    assert found(world) == []
    rewrite(world, statement)
    assert says in found(world)


@pytest.mark.behind_the_back
@pytest.mark.parametrize("way", sorted({way for ways in BY_ITSELF.values() for way in ways}))
def test_what_the_database_does_by_itself_is_found(world: World, way: str) -> None:
    """It would be sealed as the service's own deed."""
    statements, says = BY_ITSELF[world.engine.dialect.name].get(way, ((), ""))
    for statement in statements:
        rewrite(world, statement)
    wanted = [f"the database has a {says}, which is not the service's"] if statements else []
    assert found(world) == wanted


@pytest.mark.behind_the_back
def test_what_only_refuses_is_the_services_own(world: World) -> None:
    """What an installation leaves behind when its events move to ClickHouse."""
    close_for_events(world.engine)
    assert found(world) == []


CORRECTIONS = [
    "UPDATE task_run_corrections SET author = 'bob' WHERE author = 'ann'",
    "UPDATE task_run_corrections SET reason = 'asked' WHERE reason = 'once'",
    "UPDATE task_run_corrections SET recorded_at = 1 WHERE author = 'key key_1'",
    "UPDATE task_run_corrections SET place = place + 7, author = 'key key_2' WHERE author = 'key key_1'",
    "DELETE FROM task_run_corrections WHERE author = 'ann' AND place = 0",
]


@pytest.mark.behind_the_back
@pytest.mark.parametrize(("statement", "says"), NUMBERS + INTENTS)
def test_numbers_have_no_gaps_and_what_is_owed_is_sent(world: World, statement: str, says: str) -> None:
    assert prove(world.engine, world.store, counters=True).ok
    rewrite(world, statement)
    assert says in found(world)


@pytest.mark.behind_the_back
@pytest.mark.parametrize("statement", CORRECTIONS)
def test_the_record_of_corrections_is_what_the_trail_says(world: World, statement: str) -> None:
    assert found(world) == []
    rewrite(world, statement)
    (says,) = found(world)
    assert says.startswith("the record of corrections at position ")


def forge(world: World, position: int, *, reason: str = "asked", at: int = 7) -> None:
    """A reversal of a run that nobody asked for, behind the service's back."""
    columns = "recorded_at, place, action, author, reason, bucket, account_id, run_key"
    rewrite(
        world,
        f"INSERT INTO task_run_corrections (position, {columns}) "
        f"SELECT {position}, {at}, 50, action, 'ann', '{reason}', bucket, account_id, task_runs.run_key "
        "FROM task_runs CROSS JOIN (SELECT min(action) AS action FROM task_run_corrections) AS reverse "
        "WHERE run_key IN (SELECT max(run_key) FROM task_runs WHERE account_id ="
        " (SELECT min(account_id) FROM task_run_corrections))",
    )


def positions(world: World) -> list[int]:
    with world.engine.connect() as connection:
        query = "SELECT DISTINCT position FROM task_run_corrections ORDER BY position"
        return list(connection.exec_driver_sql(query).scalars())


@pytest.mark.behind_the_back
def test_a_correction_that_nobody_made_is_found_until_it_is_confirmed(world: World) -> None:
    forge(world, 5_000)
    (says,) = found(world)
    assert says.startswith("no entry tells of the correction at position 5000: 1 task runs of acme, such as ")
    assert "reverse at 1970-01-01T00:00:00.000007Z" in says
    assert "billing corrections confirm 5000 --reason TEXT" in says
    with pytest.raises(NotFound, match="nothing was corrected at position 6000"):
        confirm(world.engine, [5_000, 6_000], "x", now=world.instant)
    for wrong in ([], [5_000]):
        with pytest.raises(Invalid) as caught:
            confirm(world.engine, wrong, "" if wrong else "x", now=world.instant)
        assert caught.value.field == ("reason" if wrong else "positions")
    assert found(world) == [says]
    assert confirm(world.engine, [5_000], "a crash, ticket 1", now=world.instant) == 1
    assert prove(world.engine, world.store).trail.findings == () and found(world) == []
    (entry,) = list_entries(world.engine, Wanted(deed="runs.confirmed"))
    assert (entry.account, entry.reason) == ("acme", "a crash, ticket 1")
    rewrite(world, "UPDATE task_run_corrections SET author = 'bob' WHERE position = 5000")
    assert found(world) == [
        f"the record of corrections at position 5000 is not what entry {entry.number} says: who corrected"
        " which task runs, and why"
    ]


@pytest.mark.behind_the_back
def test_a_correction_that_was_put_beside_a_true_one_is_found(world: World) -> None:
    """In its transaction, for its reason, at its instant."""
    first = positions(world)[0]
    forge(world, first, reason="twice", at=world.instant - 1)
    (says,) = found(world)
    assert says.startswith(f"the record of corrections at position {first} is not what entry ")


def as_older_services_wrote_it(world: World) -> None:
    """Entries that do not say which part of the record they are of."""
    with world.engine.begin() as connection:
        entries = connection.execute(sa.select(audit_entries).order_by(audit_entries.c.number)).all()
        last = "0" * 64
        for row, entry in zip(entries, reversed(list_entries(world.engine, Wanted())), strict=True):
            said = json.loads(row.detail)
            said.pop("position", None)
            said.pop("record_sha256", None)
            digest = sha256(canonical(said))
            last = seal(last, replace(entry, detail_sha256=digest).line())
            mine = audit_entries.update().where(audit_entries.c.number == row.number)
            values = {"detail": canonical(said), "detail_sha256": digest, "seal": last}
            connection.execute(mine.values(values))
        connection.execute(audit_end.update().values(seal=last))


@pytest.mark.behind_the_back
@pytest.mark.parametrize("statement", [*CORRECTIONS, None])
def test_what_an_older_service_recorded_is_compared_by_its_instant(
    world: World, statement: str | None
) -> None:
    as_older_services_wrote_it(world)
    assert prove(world.engine, world.store).ok
    if statement is None:  # a service that was killed between the record and its entry
        left = Correction(Action.REVERSE, "asked", "ann")
        world.store.correct("acme", ["run-0000006"], left, world.instant)
        assert [each[:44] for each in found(world)] == ["no entry tells of the correction at position"]
        confirm(world.engine, positions(world)[-1:], "a crash", now=world.instant)
        assert prove(world.engine, world.store).ok
        return
    rewrite(world, statement)
    assert found(world)


# Which correction of a run is the last one: it holds, so an invoice depends on it.
SWAPPED = (
    "UPDATE task_run_corrections SET position = 999999 WHERE position = {0}",
    "UPDATE task_run_corrections SET position = {0} WHERE position = {1}",
    "UPDATE task_run_corrections SET position = {1} WHERE position = 999999",
)
OF_BOTH = "SET {0} = {{2}} - {0} WHERE position IN ({{0}}, {{1}})"
ORDER = [
    SWAPPED,
    (*SWAPPED, f"UPDATE meter_commits {OF_BOTH.format('committed_at')}"),
    (*SWAPPED, f"UPDATE task_run_corrections {OF_BOTH.format('recorded_at')}"),
    ("UPDATE task_run_corrections SET position = position + 1 WHERE position = {1}",),
    ("UPDATE task_run_corrections SET position = position + 1000",),
]


@pytest.mark.behind_the_back
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("statements", ORDER)
def test_the_order_of_corrections_is_what_the_trail_says(
    world: World, statements: tuple[str, ...], older: bool
) -> None:
    """Twenty runs were reversed and then restored; swapped, they stay reversed."""
    sent = runs(20, prefix="swapped")
    world.send(sent)
    at = world.instant
    for action in ("reverse", "restore"):
        world.instant += 1
        corrected(world, [each.task_run_id for each in sent], action, action, "ann")
    if older:
        as_older_services_wrote_it(world)
    assert prove(world.engine, world.store, counters=True).ok
    first, second = positions(world)[-2:]
    for statement in statements:
        rewrite(world, statement.format(first, second, 2 * at + 3))
    says = found(world)
    assert says and all("corrections" in each for each in says), says


@pytest.mark.behind_the_back
def test_other_places_in_a_correction_are_found(world: World) -> None:
    """Older entries do not say them; they order nothing but the list."""
    rewrite(world, "UPDATE task_run_corrections SET place = place + 10")
    assert len(found(world)) == 3


@pytest.mark.behind_the_back
def test_corrections_of_a_clock_that_was_put_back_are_no_finding(world: World) -> None:
    corrected(world, ["run-0000007"], "reverse", "a", "ann")
    world.instant -= 50
    corrected(world, ["run-0000007"], "restore", "b", "ann")
    assert found(world) == []
    as_older_services_wrote_it(world)
    assert found(world) == []


COUNTERS = [
    ("UPDATE usage_hours SET quantity = quantity + 1", "usage_hours"),
    ("DELETE FROM usage_days", "usage_days"),
    ("DELETE FROM usage_months", "usage_months"),
    ("UPDATE usage_months SET outcome = outcome + 10", "usage_months"),
]


@pytest.mark.behind_the_back
@pytest.mark.parametrize(("statement", "says"), COUNTERS)
def test_counters_are_what_the_task_runs_come_to(world: World, statement: str, says: str) -> None:
    world.store.settle()  # type: ignore[attr-defined]
    assert found(world, counters=True) == []
    rewrite(world, statement)
    assert found(world) == []  # only where it is asked for
    months = [("acme", "2026-10"), ("beta", "2026-10"), ("gamma", "2026-10"), ("acme", "2026-11")]
    assert found(world, counters=True) == [
        f"the counters of {account} for {month} are not what its task runs come to: {says}"
        for account, month in months
    ]


@pytest.mark.behind_the_back
def test_task_runs_that_nobody_would_find_are_found(world: World) -> None:
    rewrite(world, "DELETE FROM run_buckets")
    assert found(world, counters=True)[0].startswith("task runs of ")


@pytest.mark.behind_the_back
def test_what_was_put_off_counts(postgres_databases: NewDatabase) -> None:
    world = made(postgres_databases())
    assert found(world, counters=True) == []
    rewrite(world, "DELETE FROM usage_changes")
    assert "the counters of acme" in found(world, counters=True)[0]


def test_of_events_in_clickhouse_there_are_no_counters(clickhouse_stores: Stores, engine: sa.Engine) -> None:
    with pytest.raises(Refused, match="events are in ClickHouse"):
        prove(engine, clickhouse_stores.new(), counters=True)
