"""Several processes correct the same runs while events of them arrive; and one is killed in between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing.app import make_service
from billing.corrections import Corrected, correct
from billing.reporting.everything import prove
from metering.outcome import Action, Outcome
from metering.run_list import month_usage
from metering.settings import Settings
from metering.store import Correction, EventStore
from metering.store.clickhouse.journal import Journal
from metering.store.clickhouse.store import ClickHouseEventStore
from metering.store.corrections import recorded
from metering.store.sql import SqlEventStore
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.faults.killing import KillAt, Killed
from tests.faults.test_concurrent_writers import STATES
from tests.stores import Stores
from tests.test_readme import ROOT
from tests.world import NOVEMBER_2, OCTOBER

_PERIOD = OCTOBER.start, OCTOBER.end
_RUNS = [f"run-{number}" for number in range(40)]


def _work(store: EventStore, seed: int, rounds: int) -> None:
    """Few runs, so that writers meet all the time."""
    chance = random.Random(seed)
    for _ in range(rounds):
        some = chance.sample(_RUNS, 12)
        if chance.random() < 0.6:
            action = chance.choice(list(Action))
            store.correct("acme", some, Correction(action, "a dispute", f"process {seed}"), NOVEMBER_2)
        else:
            hour = chance.randrange(3)
            sent = [
                event(
                    run,
                    state=chance.choice(STATES),
                    end=f"2026-10-01T{hour:02d}:00:05Z",
                    flow=f"f{chance.randrange(3)}",
                )
                for run in some
            ]
            store.append(sent, NOVEMBER_2)


def _listed(store: EventStore, cutoff: int) -> list[tuple[str, Outcome, int, str]]:
    return [(r.task_run_id, r.outcome, r.ended_at, r.flow) for r in store.runs("acme", *_PERIOD, cutoff)]


def test_counters_stay_exact_and_cutoffs_hold(stores: Stores) -> None:
    store = stores.new()
    store.append([event(run) for run in _RUNS], NOVEMBER_2)
    rounds = 12 if isinstance(store, ClickHouseEventStore) else 60
    errors: list[BaseException] = []
    seen: list[tuple[int, list[tuple[str, Outcome, int, str]]]] = []
    gate = threading.Barrier(4)

    def work(seed: int) -> None:
        mine = stores.again(store)
        gate.wait()
        try:
            for each in range(4):
                _work(mine, seed * 10 + each, rounds // 4)
                cutoff = mine.cutoff().position
                seen.append((cutoff, _listed(mine, cutoff)))
        except BaseException as error:
            errors.append(error)
        mine.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    cutoff = store.cutoff().position
    counts = month_usage(store.runs("acme", *_PERIOD, cutoff)).counts
    for by, group_by in (("hour", None), ("hour", "flow"), ("day", "flow"), ("month", None)):
        usage = store.usage("acme", *_PERIOD, by=by, group_by=group_by)  # type: ignore[arg-type]
        assert usage.counts == counts
    # The last word on each run holds.
    last = {each.task_run_id: each.action for each in recorded(stores.engine_of(store), limit=10_000)}
    held = {run: outcome for run, outcome, *_ in _listed(store, cutoff)}
    assert len(last) > 20
    for run, action in last.items():
        assert (held[run] is Outcome.REVERSED) == (action is Action.REVERSE)
    for position, then in seen:
        assert _listed(store, position) == then
    store.close()


def test_who_corrects_in_clickhouse_looks_again_where_others_were_faster(clickhouse_stores: Stores) -> None:
    """Between looking at a run and recording, another process reverses it: once is enough."""
    store = clickhouse_stores.new()
    store.append([event("a"), event("b")], NOVEMBER_2)
    engine = clickhouse_stores.engine_of(store)
    asked = Correction(Action.REVERSE, "a dispute", "ann")
    other = clickhouse_stores.again(store)

    class Late(Journal):
        """The first time, somebody comes between."""

        first = True

        def recording(self):  # type: ignore[no-untyped-def]
            if self.first:
                self.first = False
                other.correct("acme", ["a"], asked, NOVEMBER_2)
            return super().recording()

    assert isinstance(store, ClickHouseEventStore)
    mine = ClickHouseEventStore(engine, store.address, Late(engine))
    verdicts = mine.correct("acme", ["a", "b"], asked, NOVEMBER_2)
    assert [verdict.name for verdict in verdicts] == ["UNCHANGED", "CORRECTED"]
    assert [each.task_run_id for each in recorded(engine, limit=10)] == ["a", "b"]
    other.close()
    store.close()


def killed_at_every_step(engine: sa.Engine, store: EventStore, ids: list[str]) -> Iterator[Corrected | None]:
    """Corrects the runs, killed at the first step, then at the second …: None after each, and at last what
    was done."""
    step, done = 1, None
    while done is None:
        kill = KillAt(step)
        kill.listen(engine)
        try:
            done = correct(engine, store, "acme", ids, "reverse", "x", author="ann", now=NOVEMBER_2)
        except Killed:
            step += 1
        kill.forget(engine)
        yield done
    assert step > 4


def test_in_clickhouse_too_the_record_and_its_entry_are_one(clickhouse_stores: Stores) -> None:
    """Both are in the SQL database: the record is not kept where its entry cannot be written."""
    store = clickhouse_stores.new()
    engine = clickhouse_stores.engine_of(store)
    store.append(runs(3), NOVEMBER_2)
    ids = [each.task_run_id for each in runs(3)]
    for _ in killed_at_every_step(engine, store, ids):
        assert prove(engine, store).ok
    assert len(recorded(engine, limit=10)) == 3
    store.close()


def test_killed_at_any_step_a_correction_is_whole_or_not_there(engine: sa.Engine) -> None:
    store = SqlEventStore(engine)
    store.append(runs(4), NOVEMBER_2)
    ids = [each.task_run_id for each in runs(4)]
    for done in killed_at_every_step(engine, store, ids):
        listed = month_usage(store.runs("acme", *_PERIOD, store.cutoff().position)).counts
        assert store.usage("acme", *_PERIOD).counts == listed
        assert len(recorded(engine, limit=10)) == listed.by_outcome.get(Outcome.REVERSED, 0)
        assert listed.billable in (0, 4)
        assert prove(engine, store).ok  # with its entry in the trail, or without both
        assert done is None or done.corrected + done.unchanged == 4


_MANY = 30_000


@pytest.mark.parametrize("engines", ["sqlite_databases", "postgres_databases"])
def test_a_correction_of_many_runs_that_is_really_killed_goes_on(
    engines: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """`billing correct` in a process of its own, killed when a part of its runs is done; started again, it
    does the rest, and nothing twice."""
    new_database: NewDatabase = request.getfixturevalue(engines)
    url = new_database().url.render_as_string(hide_password=False)
    service = make_service(Settings(_env_file=None, database_url=url))
    service.init()
    for part in range(0, _MANY, 10_000):
        service.store.append(runs(10_000, prefix=f"r{part}"), NOVEMBER_2)
    ids = [each.task_run_id for part in range(0, _MANY, 10_000) for each in runs(10_000, prefix=f"r{part}")]
    (tmp_path / "runs.txt").write_text("\n".join(ids))
    doomed = _correct(url, tmp_path)
    _until(lambda: len(recorded(service.engine, limit=1)) == 1 or doomed.poll() is not None)
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate()
    left = service.store.usage("acme", *_PERIOD).counts
    assert left.total == _MANY and left.billable % 10_000 == 0
    said, _ = _correct(url, tmp_path).communicate()
    assert f"{left.billable:,} task runs reversed, {_MANY - left.billable:,} unchanged." in said
    assert service.store.usage("acme", *_PERIOD).counts.by_outcome == {Outcome.REVERSED: _MANY}
    assert len(recorded(service.engine, limit=_MANY + 1)) == _MANY
    assert prove(service.engine, service.store).ok
    service.store.close()


def _correct(url: str, folder: Path) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    words = "correct acme reverse --runs runs.txt --reason x"
    return subprocess.Popen(
        [sys.executable, "-m", "billing.cli", *words.split()],
        env=inherited | {"PYTHONPATH": str(ROOT), "BILLING_DATABASE_URL": url},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.002)
