"""A database of an older schema keeps what it holds when it is upgraded, on both engines."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from billing.access import authenticate, create_key, rotate_key
from billing.accounts import show_account
from billing.audit.trail import begin
from billing.invoices import show_invoice
from billing.plans import shipped_catalogue
from billing.reporting.proof import verify
from billing.repository import plans
from billing.schema import is_current, upgrade
from metering.database import make_engine, migrating, reading, writing
from metering.event import TaskRunEvent
from metering.outcome import Action
from metering.period import HOUR_US, Month
from metering.run_list import MonthUsage, month_usage
from metering.store import Correction, Verdict, run_key
from metering.store.sql import SqlEventStore
from metering.usage import Run
from tests.conftest import NewDatabase
from tests.events import event, runs

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
    with migrating(engine) as connection:
        command.upgrade(_config(connection), revision)


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.attributes["connection"] = connection
    return config


def test_plans_become_terms_and_invoices_keep_their_place(empty: sa.Engine) -> None:
    at_revision(empty, "0001")
    with writing(empty) as connection:
        for version in shipped_catalogue():
            plans.add(connection, version, NOW)
    held = runs(3)
    _hold_as_before(empty, held)
    cutoff = 1
    digest = _usage(held).run_list_sha256
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


TIMED = "0199a3a4-5b6c-7d8e-9f00-11223344556"
BEFORE = [
    *(event(f"{TIMED}{digit}", flow="load", source="prefect") for digit in "0123"),
    event("0199ffff-5b6c-7d8e-9f00-112233445566", end="2026-11-01T00:00:00Z"),
    event("0199a3a4-5b6c-4d8e-9f00-112233445566", account="beta", workspace="prod"),
    event("0199a3a4-5b6c-7d8e-1f00-112233445566", account="beta", state="FAILED"),
    event("exactly15chars.", account="beta", end="2026-10-31T23:59:59Z"),
]


def test_runs_lie_elsewhere_and_say_the_same(empty: sa.Engine, sqlite_databases: NewDatabase) -> None:
    """With a run that failed first, as of a later commit. And nothing is taken a second time."""
    at_revision(empty, "0003")
    failed = event(BEFORE[0].task_run_id, state="FAILED", flow="load", source="prefect")
    _hold_as_before(empty, [failed, *BEFORE[1:]], revised=BEFORE[0])
    upgrade(empty)
    moved, fresh = SqlEventStore(empty), SqlEventStore(sqlite_databases())
    for events in ([failed, *BEFORE[1:]], [BEFORE[0]]):
        fresh.append(events, NOW)
    year = Month.parse("2026-01").start, Month.parse("2027-01").start
    for again in ([*BEFORE, failed], [event("new"), event(f"{TIMED}4")]):
        for account in ("acme", "beta"):
            for group in (None, "workspace", "flow", "both"):
                asked = {"by": "hour", "group_by": group}
                assert moved.usage(account, *year, **asked) == fresh.usage(account, *year, **asked)  # type: ignore[arg-type]
            for cutoff in (0, 1, 2, 3):
                assert list(moved.runs(account, *year, cutoff)) == list(fresh.runs(account, *year, cutoff))
        month = Month.parse("2026-10").start, Month.parse("2026-10").end
        assert moved.counts_by_account(*month) == fresh.counts_by_account(*month)
        for cutoff in (0, 1, 2, 3):
            asked_of = (["acme", "beta"], *month, cutoff)
            assert dict(moved.month_usages(*asked_of)) == dict(fresh.month_usages(*asked_of))
        is_new = [again[0] is not BEFORE[0]] * len(again)
        assert moved.append(again, NOW) == fresh.append(again, NOW) == is_new


def test_a_schema_is_taken_back_with_what_it_holds(empty: sa.Engine) -> None:
    upgrade(empty)
    store = SqlEventStore(empty)
    store.append(BEFORE, NOW)
    store.append([event(BEFORE[0].task_run_id, state="ROLLED_BACK")], NOW)
    year = Month.parse("2026-01").start, Month.parse("2027-01").start
    before = {account: list(store.runs(account, *year, 2)) for account in ("acme", "beta")}
    usage = store.usage("acme", *year, by="hour", group_by="flow")
    with migrating(empty) as connection:
        config = _config(connection)
        command.downgrade(config, "0003")
        command.upgrade(config, "head")
    again = SqlEventStore(empty)
    assert {account: list(again.runs(account, *year, 2)) for account in before} == before
    assert again.usage("acme", *year, by="hour", group_by="flow") == usage


def test_a_schema_with_corrections_is_not_taken_back(empty: sa.Engine) -> None:
    """An older version would bill what was reversed; without any it may be taken back."""
    upgrade(empty)
    store = SqlEventStore(empty)
    store.append(BEFORE, NOW)
    with migrating(empty) as connection:
        command.downgrade(_config(connection), "0007")
        command.upgrade(_config(connection), "head")
    ids = [each.task_run_id for each in BEFORE if each.account == "acme"]
    asked = Correction(Action.REVERSE, "a dispute", "ann")
    assert Verdict.CORRECTED in store.correct("acme", ids, asked, NOW)
    with pytest.raises(RuntimeError, match="task runs were corrected"), migrating(empty) as connection:
        command.downgrade(_config(connection), "0007")
    assert is_current(empty)


def test_a_key_that_was_to_end_is_not_left_for_ever_by_an_older_version(empty: sa.Engine) -> None:
    upgrade(empty)
    with writing(empty) as connection:
        begin(connection, NOW)
    ends = create_key(empty, "admin", None, NOW, expires=NOW + HOUR_US)
    old = create_key(empty, "admin", None, NOW)
    new, _ = rotate_key(empty, old.key.id, NOW)
    with migrating(empty) as connection:
        command.downgrade(_config(connection), "0013")
        left = connection.execute(sa.text("SELECT id FROM api_keys WHERE revoked_at IS NULL")).scalars().all()
        command.upgrade(_config(connection), "head")
    assert left == [new.key.id]
    assert authenticate(empty, new.secret, NOW) is not None
    assert authenticate(empty, ends.secret, NOW) is None and authenticate(empty, old.secret, NOW) is None


def _hold_as_before(
    engine: sa.Engine, events: list[TaskRunEvent], revised: TaskRunEvent | None = None
) -> None:
    """Task runs as revision 0003 and those before it kept them, in a first commit; in a second, another event
    of the first of them."""
    accounts = sorted({each.account for each in events})
    places = sorted({_place(each) for each in events})
    counted: Counter[tuple[int, int, int, int]] = Counter()
    with writing(engine) as connection:
        for number, account in enumerate(accounts, 1):
            _insert(connection, "meter_accounts", number, account)
        for number, (account, *names) in enumerate(places, 1):
            _insert(connection, "meter_labels", number, accounts.index(account) + 1, *names)
        for each in events:
            account, label = accounts.index(each.account) + 1, places.index(_place(each)) + 1
            key = run_key.encode(each.task_run_id)
            is_revised = int(revised is not None and each.task_run_id == revised.task_run_id)
            said = (int(each.outcome), each.ended_at, each.duration_us, label)
            _insert(connection, "task_runs", account, key, 1, *said, each.fingerprint, is_revised)
            holds = revised if revised is not None and is_revised else each
            counted[account, holds.ended_at // HOUR_US, label, int(holds.outcome)] += 1
            if holds is not each:
                said = (int(holds.outcome), holds.ended_at, holds.duration_us, label)
                _insert(connection, "task_run_revisions", account, key, holds.fingerprint, 2, *said)
        for counter, quantity in counted.items():
            _insert(connection, "usage_hours", *counter, quantity)
        commits = 1 if revised is None else 2
        for position in range(1, commits + 1):
            _insert(connection, "meter_commits", position, NOW)
        if engine.dialect.name == "postgresql":
            for sequence, last in (
                ("meter_positions", commits),
                ("meter_accounts_id_seq", len(accounts)),
                ("meter_labels_id_seq", len(places)),
            ):
                connection.exec_driver_sql(f"SELECT setval('{sequence}', {last})")


def _place(each: TaskRunEvent) -> tuple[str, str, str, str]:
    return each.account, each.workspace, each.flow, each.source


def _insert(connection: sa.Connection, table: str, *row: object) -> None:
    names = [f"v{number}" for number in range(len(row))]
    values = ", ".join(f":{name}" for name in names)
    connection.execute(sa.text(f"INSERT INTO {table} VALUES ({values})"), dict(zip(names, row, strict=True)))


def _usage(events: list[TaskRunEvent]) -> MonthUsage:
    return month_usage(
        Run(each.task_run_id, each.outcome, each.ended_at, each.duration_us, "", "", "") for each in events
    )
