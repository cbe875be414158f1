"""A database of an older schema keeps what it holds when it is upgraded, on both engines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from billing.accounts import show_account
from billing.invoices import show_invoice
from billing.plans import load_shipped
from billing.reporting.proof import verify
from billing.schema import is_current, upgrade
from metering.database import make_engine, migrating, reading, writing
from metering.period import Month
from metering.store.sql import SqlEventStore
from tests.events import runs

ROOT = Path(__file__).parent.parent
NOW = 1_790_000_000_000_000


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """A database without any schema."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/empty.db"
        yield make_engine(url)
        return
    server: str = request.getfixturevalue("postgres_url")
    name = f"billing_migration_{os.getpid()}"
    admin = make_engine(server)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine = make_engine(sa.make_url(server).set(database=name).render_as_string(hide_password=False))
    yield engine
    engine.dispose()
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def at_revision(engine: sa.Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "alembic"))
    with migrating(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_plans_become_terms_and_invoices_keep_their_place(empty: sa.Engine) -> None:
    at_revision(empty, "0001")
    load_shipped(empty, NOW)
    store = SqlEventStore(empty)
    store.append(runs(3), NOW)
    cutoff = store.cutoff().position
    with reading(empty) as connection:
        digest = _digest(store, cutoff)
    with writing(empty) as connection:
        for statement in (
            f"INSERT INTO accounts VALUES ('acme', 'Acme', '', 'USD', '2026-10', {NOW}, 'cus_1')",
            "INSERT INTO enrolments VALUES ('acme', '2026-12', 'standard', '2021-02')",
            "INSERT INTO enrolments VALUES ('acme', '2026-10', 'starter', '2021-02')",
            "INSERT INTO billing_runs VALUES "
            f"('run_1', '2026-10', NULL, FALSE, {cutoff}, NULL, 1, 2, '{{}}')",
        ):
            connection.exec_driver_sql(statement)
        for number, status in ((1, "void"), (2, "open")):
            connection.execute(
                sa.text(
                    "INSERT INTO invoices VALUES (:id, 'acme', 'usage', '2026-10', :number, :status, 'USD', "
                    "'starter@2021-02', 'success-1', 'run_1', :cutoff, NULL, 3, :none, :days, :digest, 0, 0, "
                    "1, 1, NULL, NULL, NULL, NULL, NULL)"
                ),
                {
                    "id": f"inv_{number}",
                    "number": f"2026-10-00000{number}",
                    "status": status,
                    "cutoff": cutoff,
                    "digest": digest,
                    "days": '{"2026-10-03": {"billable": 3}}',
                    "none": '{"too_short": 0, "cached": 0, "failed": 0, "crashed": 0, "cancelled": 0, '
                    '"reversed": 0}',
                },
            )
            connection.execute(
                sa.text(
                    "INSERT INTO invoice_lines VALUES (:id, 0, 'usage', "
                    "'Task runs 1 to 3 (free)', 3, '0', '0', 0)"
                ),
                {"id": f"inv_{number}"},
            )
        connection.exec_driver_sql(
            "INSERT INTO outbox VALUES ('inv_2', 'finalize', 'done', 1, 1, 0, 5, 0, NULL)"
        )
    assert not is_current(empty)
    upgrade(empty)
    assert is_current(empty)
    account = show_account(empty, "acme")
    assert account.terms.plan(Month.parse("2026-11")) == "starter@2021-02"
    assert account.terms.plan(Month.parse("2026-12")) == "standard@2021-02"
    assert (account.entries, account.stripe_customer_id) == (4, "cus_1")
    second = show_invoice(empty, "2026-10-000002")
    assert (second.entry, second.run_list_sha256) == (4, digest)
    assert verify(empty, SqlEventStore(empty), second.id).differences == ()
    with reading(empty) as connection:
        sent = connection.execute(sa.text("SELECT id, kind, invoice_id, step, status FROM outbox")).one()
    assert tuple(sent) == ("inv_2", "send", "inv_2", "finalize", "done")


def _digest(store: SqlEventStore, cutoff: int) -> str:
    from metering.run_list import month_usage

    october = Month.parse("2026-10")
    return month_usage(store.runs("acme", october.start, october.end, cutoff)).run_list_sha256
