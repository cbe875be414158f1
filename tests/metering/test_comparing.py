"""Whether the copy in ClickHouse is what the SQL database has, of many accounts at once: it comes to what
each store answers of each account by itself, and what is lost, changed or added on either side is named."""

from __future__ import annotations

import random
import uuid
from collections import Counter

import pytest
import sqlalchemy as sa

from metering.database import reading, writing
from metering.event import TaskRunEvent
from metering.outcome import Action
from metering.period import DAY_US, parse_instant
from metering.store import Correction, EventStore
from metering.store.clickhouse.address import Address
from metering.store.clickhouse.comparing import Compared, compare, counted_here, counted_there
from metering.store.clickhouse.connection import Connection
from metering.store.clickhouse.copying import copy_events
from metering.store.clickhouse.errors import CopyDiffers
from metering.store.clickhouse.schema import STATEMENTS
from metering.store.clickhouse.store import ClickHouseEventStore
from metering.store.day_columns import CountedDays
from metering.store.sql import SqlEventStore
from metering.store.tables import accounts, task_runs
from tests.conftest import NewDatabase
from tests.events import event
from tests.stores import new_address
from tests.world import NOVEMBER_2

ENGINES = ["sqlite_databases", "postgres_databases"]
END = 1 << 55
FIRST_DAY = parse_instant("2026-08-20T00:00:00Z")
NAMES = ["zeta", "acme", "bravo", "München", "delta"]


def _said_of(rnd: random.Random, run: str, account: str) -> TaskRunEvent:
    # Most days are shared, some are at the edges of months.
    ended = FIRST_DAY + rnd.choice([0, 1, 11, 12, 13, 41, 42, 70]) * DAY_US + rnd.choice([0, 1, DAY_US - 1])
    duration = rnd.choice([0, 999_999, 1_000_000, 5_000_000])
    state = rnd.choice(["COMPLETED", "COMPLETED", "FAILED", "CANCELLED", "ROLLED_BACK"])
    return TaskRunEvent(
        account, run, state, ended - duration, ended, duration, "", rnd.choice("xy"), "", "", ""
    )


def _id(rnd: random.Random) -> str:
    """One that tells its time, one that does not, or no UUID."""
    made = (FIRST_DAY + rnd.randrange(80) * DAY_US) // 1000
    raw = bytearray(made.to_bytes(6, "big") + rnd.randbytes(10))
    raw[6], raw[8] = rnd.choice([0x70, 0x40]) | raw[6] & 15, 0x80 | raw[8] & 63
    return rnd.choice(
        [str(uuid.UUID(bytes=bytes(raw))), f"run/{rnd.randrange(10**6)}", "ü" * rnd.randrange(1, 12)]
    )


def _fill(store: SqlEventStore, seed: int) -> None:
    """Runs of several months that are said again and corrected, in later commits."""
    rnd = random.Random(seed)
    known: list[tuple[str, str]] = []
    for _ in range(6):
        new = [(_id(rnd), rnd.choice(NAMES)) for _ in range(25)]
        known += new
        again = rnd.sample(known, 12)
        store.append([_said_of(rnd, *each) for each in new + again], NOVEMBER_2)
        for run, account in rnd.sample(known, 4):
            action = rnd.choice(list(Action))
            store.correct(account, [run], Correction(action, "x", "x"), NOVEMBER_2)


def _one_by_one(store: EventStore, names: dict[int, str], cutoff: int) -> list[tuple[int, object, int, int]]:
    return sorted(
        (number, day, int(outcome), quantity)
        for number, name in names.items()
        for day, counts in store.days(name, 0, END, cutoff).items()
        for outcome, quantity in counts.by_outcome.items()
    )


def _names(engine: sa.Engine) -> dict[int, str]:
    with reading(engine) as connection:
        return dict(
            sorted(tuple(row) for row in connection.execute(sa.select(accounts.c.id, accounts.c.account)))
        )


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("engines", ENGINES)
def test_many_accounts_at_once_come_to_what_each_comes_to_by_itself(
    engines: str, seed: int, clickhouse_server: str, request: pytest.FixtureRequest
) -> None:
    engine = request.getfixturevalue(engines)()
    here = SqlEventStore(engine)
    _fill(here, seed)
    address = new_address(clickhouse_server)
    copied = copy_events(engine, address, piece=20)
    there = ClickHouseEventStore(engine, address)
    names = _names(engine)
    last = here.cutoff().position
    seen = set()
    for cutoff in range(0, last + 1, 3):
        expected = _one_by_one(here, names, cutoff)
        assert list(counted_here(engine, names, cutoff).rows()) == expected
        assert list(counted_there(engine, there.connection, names, cutoff).rows()) == expected
        assert _one_by_one(there, names, cutoff) == expected
        runs = sum(quantity for *_, quantity in expected)
        # In parts of one account, of some, and all at once.
        for part in (1, 60, 10**6):
            assert compare(engine, there.connection, cutoff, part=part) == Compared(len(NAMES), runs)
        seen.add(runs)
    assert len(seen) > 3
    assert (copied.accounts, copied.runs) == (
        len(NAMES),
        sum(row[3] for row in _one_by_one(here, names, last)),
    )


def test_there_may_be_no_accounts_and_accounts_without_runs(
    sqlite_databases: NewDatabase, clickhouse_server: str
) -> None:
    engine = sqlite_databases()
    clickhouse = Connection(new_address(clickhouse_server))
    assert compare(engine, clickhouse, 0) == Compared(0, 0)
    SqlEventStore(engine).append([event()], NOVEMBER_2)
    assert compare(engine, clickhouse, 0) == Compared(1, 0)


def test_more_accounts_take_no_more_questions(sqlite_databases: NewDatabase, clickhouse_server: str) -> None:
    asked = []
    for quantity in (2, 300):
        engine = sqlite_databases()
        SqlEventStore(engine).append([event(account=f"a{number}") for number in range(quantity)], NOVEMBER_2)
        address = new_address(clickhouse_server)
        copy_events(engine, address)
        told: list[str] = []
        sa.event.listen(engine, "begin", told.append)
        assert compare(engine, Connection(address), 1) == Compared(quantity, quantity)
        asked.append(len(told))
    assert asked[0] == asked[1] > 0


@pytest.mark.behind_the_back
@pytest.mark.parametrize("engines", ENGINES)
def test_runs_that_are_no_accounts_are_not_taken_for_anothers(
    engines: str, clickhouse_server: str, request: pytest.FixtureRequest
) -> None:
    engine = request.getfixturevalue(engines)()
    clickhouse = Connection(_copied(engine, clickhouse_server))
    with writing(engine) as connection:
        connection.execute(accounts.delete().where(accounts.c.account == "b"))
    assert compare(engine, clickhouse, 3) == Compared(3, 18)


def _copied(engine: sa.Engine, server: str) -> Address:
    """Accounts a to d, with two runs a day on three days; run 4 of c was said again, and run 5 corrected."""
    here = SqlEventStore(engine)
    events = [
        event(f"r-{number}", account=account, end=f"2026-10-0{1 + number // 2}T12:00:00Z")
        for account in "abcd"
        for number in range(6)
    ]
    here.append(events, NOVEMBER_2)
    here.append([event("r-4", account="c", state="ROLLED_BACK", end="2026-10-03T12:00:00Z")], NOVEMBER_2)
    here.correct("c", ["r-5"], Correction(Action.REVERSE, "x", "x"), NOVEMBER_2)
    address = new_address(server)
    copy_events(engine, address)
    return address


_RUN_0, _RUN_4 = "run_key = concat(char(0), 'r-0')", "run_key = concat(char(0), 'r-4')"


@pytest.mark.behind_the_back
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (f"DELETE FROM {STATEMENTS} WHERE account = 'b' AND {_RUN_0}", "account b, 2026-10-01;"),
        # What was said first of a run, and what was said last.
        (
            f"DELETE FROM {STATEMENTS} WHERE account = 'c' AND {_RUN_4} AND position = 2",
            "account c, 2026-10-03;",
        ),
        (
            f"ALTER TABLE {STATEMENTS} UPDATE outcome = 1 WHERE account = 'd' AND {_RUN_4}",
            "account d, 2026-10-03;",
        ),
        (
            f"ALTER TABLE {STATEMENTS} UPDATE ended_at = ended_at - {2 * DAY_US}"
            f" WHERE account = 'b' AND {_RUN_4}",
            "account b, 2026-10-01;",
        ),
        (
            f"INSERT INTO {STATEMENTS} (account, run_key, position, outcome, ended_at, duration_us)"
            f" SELECT account, concat(char(0), 'more'), position, outcome, ended_at, duration_us"
            f" FROM {STATEMENTS} WHERE account = 'b' AND {_RUN_4}",
            "account b, 2026-10-03;",
        ),
    ],
)
def test_what_is_lost_changed_or_added_in_clickhouse_is_named(
    spoil: str, says: str, sqlite_databases: NewDatabase, clickhouse_server: str
) -> None:
    engine = sqlite_databases()
    clickhouse = Connection(_copied(engine, clickhouse_server))
    clickhouse.tell(spoil + (" SETTINGS mutations_sync = 1" if spoil.startswith("ALTER") else ""))
    with pytest.raises(CopyDiffers, match=says):
        compare(engine, clickhouse, 3)
    with pytest.raises(CopyDiffers, match=says):
        compare(engine, clickhouse, 3, part=1)


@pytest.mark.behind_the_back
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("DELETE FROM task_runs WHERE {b} AND {run_0}", "account b, 2026-10-01;"),
        ("DELETE FROM task_run_revisions", "account c, 2026-10-03;"),
        ("UPDATE task_runs SET outcome = 1 WHERE {b} AND {run_0}", "account b, 2026-10-01;"),
        (
            f"UPDATE task_runs SET ended_at = ended_at + {DAY_US} WHERE {{b}} AND {{run_0}}",
            "account b, 2026-10-01;",
        ),
        ("UPDATE task_runs SET revised = 1 WHERE {b} AND {run_0}", "account b, 2026-10-01;"),
        # As many runs as there were, and the counters as they were.
        (
            "UPDATE task_runs SET account_id = 1, run_key = run_key || run_key WHERE {b} AND {run_0}",
            "account a",
        ),
    ],
)
@pytest.mark.parametrize("engines", ENGINES)
def test_what_is_lost_changed_or_added_in_the_database_is_named(
    engines: str, spoil: str, says: str, clickhouse_server: str, request: pytest.FixtureRequest
) -> None:
    engine = request.getfixturevalue(engines)()
    clickhouse = Connection(_copied(engine, clickhouse_server))
    b = "account_id = (SELECT id FROM meter_accounts WHERE account = 'b')"
    with writing(engine) as connection:
        run_0 = connection.scalar(sa.select(task_runs.c.run_key).order_by(task_runs.c.run_key).limit(1))
        said = spoil.format(b=b, run_0="run_key = :key")
        connection.execute(sa.text(said), {"key": run_0} if ":key" in said else {})
    with pytest.raises(CopyDiffers, match=says):
        compare(engine, clickhouse, 3)


def test_codes_are_added_up_whatever_their_order() -> None:
    rnd = random.Random(3)
    lists = [
        ([rnd.randrange(40) for _ in range(30)], [rnd.randrange(-2, 3) for _ in range(30)]) for _ in range(4)
    ]
    expected: Counter[int] = Counter()
    for codes, quantities in lists:
        for code, quantity in zip(codes, quantities, strict=True):
            expected[code] += quantity
    found = CountedDays.summed(lists)
    assert dict(zip(found.code.tolist(), found.quantity.tolist(), strict=True)) == {
        code: quantity for code, quantity in expected.items() if quantity
    }
    assert found.code.tolist() == sorted(found.code.tolist())
    assert len(found.without(found).code) == 0
