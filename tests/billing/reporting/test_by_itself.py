"""What a database does by itself is found: it would be sealed as the service's own deed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from metering.store.clickhouse.closing import close_for_events
from tests.billing.reporting.behind import found, made, rewrite
from tests.world import World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return made(engine)


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
