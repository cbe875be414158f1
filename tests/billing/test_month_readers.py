"""Accounts of more than one batch: kills, several runs at once, and the processes that read large months."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing.invoices import list_invoices
from billing.month_readers import BATCH, PROCESSES, Asked, Batch, MonthReaders
from billing.plans import load_plan_text
from billing.reporting.proof import verify
from billing.repository import plans
from billing.repository.runs import BillingRun
from metering.database import make_engine, reading
from metering.period import HOUR_US
from metering.settings import Settings
from metering.store.sql import SqlEventStore
from tests.billing.test_billing_batch import PLANS, assert_no_gaps
from tests.conftest import NewDatabase
from tests.events import event
from tests.faults.killing import KillAt, Killed
from tests.world import NOVEMBER_2, OCTOBER, World

MANY = 2 * BATCH + 10


@pytest.fixture(scope="module")
def many(sqlite_databases: NewDatabase) -> Iterator[bytes]:
    """A database with accounts of more than two batches, each with a run of October."""
    engine = sqlite_databases()
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    world = World(engine)
    load_plan_text(engine, PLANS, "plans.json", world.instant)
    names = [f"account-{number:04d}" for number in range(MANY)]
    for name in names:
        world.account(name, plan="dollar")
    world.send([event("0192d3a4-5b6c-7d8e-9f00-112233445566", account=name) for name in names])
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    assert engine.url.database is not None
    yield Path(engine.url.database).read_bytes()


def _copy(many: bytes, folder: Path) -> str:
    path = folder / "copy.db"
    for each in folder.glob("copy.db*"):
        each.unlink()
    path.write_bytes(many)
    return f"sqlite:///{path}"


def test_a_kill_at_any_commit_leaves_whole_batches(many: bytes, tmp_path: Path) -> None:
    step, reached = 0, True
    seen = set()
    while reached:
        step += 1
        url = _copy(many, tmp_path)
        mortal, kill = make_engine(url), KillAt(step)
        sa.event.listen(mortal, "commit", kill.step)
        with contextlib.suppress(Killed):
            World(mortal).service.run_month(OCTOBER)
        mortal.dispose()
        engine = make_engine(url)
        seen.add(len(list_invoices(engine)))
        world = World(engine, now=NOVEMBER_2 + HOUR_US)
        told: list[tuple[int, int]] = []
        report = world.service.run_month(OCTOBER, progress=lambda *at, told=told: told.append(at))
        assert report.failed == []
        made = list_invoices(engine)
        assert [each.total for each in made] == [100] * MANY
        assert len({each.account for each in made}) == MANY
        assert told == [(done, MANY) for done in range(MANY + 1)]
        assert_no_gaps(engine)
        engine.dispose()
        reached = kill.reached
    assert seen == {0, BATCH, 2 * BATCH, MANY}


def test_several_runs_at_once(many: bytes, tmp_path: Path) -> None:
    url = _copy(many, tmp_path)
    finalized, errors = [], []
    gate = threading.Barrier(4)

    def work() -> None:
        engine = make_engine(url)
        gate.wait()
        try:
            finalized.append(World(engine).service.run_month(OCTOBER).finalized)
        except BaseException as error:
            errors.append(error)
        engine.dispose()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(finalized) == MANY
    engine = make_engine(url)
    assert len(list_invoices(engine)) == MANY
    store = SqlEventStore(engine)
    assert verify(engine, store, "2026-10-000007").ok
    assert_no_gaps(engine)
    engine.dispose()


def _asked(world: World) -> Asked:
    cutoff = world.store.cutoff()
    run = BillingRun("run", OCTOBER, None, False, cutoff.position, cutoff.committed_at, world.instant)
    with reading(world.engine) as connection:
        return Asked(run, plans.catalogue(connection), world.instant)


def _totals(batches: Iterable[Batch]) -> list[tuple[str, int]]:
    read = list(batches)
    assert [batch.alone for batch in read if batch.alone] == []
    ready = [each.invoice for batch in read for each in batch.ready]
    return [(invoice.account, invoice.total) for invoice in ready if invoice is not None]


def test_processes_read_what_a_thread_reads(many: bytes, tmp_path: Path) -> None:
    """Also those that are left when the processes die."""
    url = _copy(many, tmp_path)
    world = World(make_engine(url))
    names = sorted(world.store.accounts_in(OCTOBER.start, OCTOBER.end))
    expected = [(name, 100) for name in names]
    asked = _asked(world)
    settings = Settings(_env_file=None, database_url=url)
    readers = MonthReaders(world.engine, world.store, settings, batch=200, batches_for_processes=2)
    assert _totals(MonthReaders(world.engine, world.store).batches(asked, names)) == expected
    assert _totals(readers.batches(asked, names)) == expected
    batches = readers.batches(asked, names)
    first = next(batches)
    children = multiprocessing.active_children()
    assert len(children) == PROCESSES
    for child in children:
        child.kill()
    assert _totals([first, *batches]) == expected
    world.engine.dispose()


_READS = """
import sys
from billing.app import make_service
from billing.month_readers import Asked, MonthReaders
from billing.repository import plans
from billing.repository.runs import BillingRun
from metering.database import reading
from metering.period import Month
from metering.settings import Settings

if __name__ == "__main__":
    settings = Settings(_env_file=None, database_url=sys.argv[1])
    service, month = make_service(settings), Month.parse("2026-10")
    with reading(service.engine) as connection:
        asked = Asked(BillingRun("run", month, None, False, 1, None, 0), plans.catalogue(connection), 0)
    readers = MonthReaders(service.engine, service.store, settings, batch=50, batches_for_processes=2)
    try:
        batches = readers.batches(asked, service.store.accounts_in(month.start, month.end))
        next(batches)
        print("reading", flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        sys.exit(130)
"""


@contextlib.contextmanager
def _reading(many: bytes, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A program of which other processes read a month. What it says ends when the last of them has ended."""
    (folder / "reads.py").write_text(_READS)
    program = subprocess.Popen(
        [sys.executable, "reads.py", _copy(many, folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        start_new_session=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "reading\n"
    yield program


def test_processes_that_read_end_with_a_killed_run(many: bytes, tmp_path: Path) -> None:
    with _reading(many, tmp_path) as program:
        program.kill()
        program.communicate(timeout=60)


def test_processes_that_read_say_nothing_of_ctrl_c(many: bytes, tmp_path: Path) -> None:
    with _reading(many, tmp_path) as program:
        os.killpg(program.pid, signal.SIGINT)
        program.wait(timeout=60)  # before its input is closed, which would end it, too
        _, errors = program.communicate(timeout=60)
    assert (program.returncode, errors) == (130, "")
