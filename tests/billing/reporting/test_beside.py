"""What is kept beside invoices: numbers, what is to be sent, and the counters."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billing.errors import Refused
from billing.invoices import list_invoices
from billing.reporting.everything import prove
from billing.voids import void_invoice
from tests.billing.reporting.behind import found, made, rewrite
from tests.conftest import NewDatabase
from tests.stores import Stores
from tests.world import World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return made(engine)


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
@pytest.mark.parametrize(("statement", "says"), NUMBERS + INTENTS)
def test_numbers_have_no_gaps_and_what_is_owed_is_sent(world: World, statement: str, says: str) -> None:
    assert prove(world.engine, world.store, counters=True).ok
    rewrite(world, statement)
    assert says in found(world)


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
