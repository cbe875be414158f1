"""The examples, run against the real service as a reader would run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from examples import prefect_hook
from examples.plain_python import metered
from metering.client import Client, SpoolError
from metering.clock import now_instant
from metering.period import HOUR_US, hour_of, to_datetime
from metering.sources import Admission
from metering.sources.airflow import read_airflow
from metering.usage import Run
from tests.conftest import NewDatabase
from tests.metering.client.service import ingest_key, served
from tests.test_readme import ROOT
from tests.world import World


@pytest.fixture
def world(sqlite_databases: NewDatabase) -> World:
    return World(sqlite_databases(), now=now_instant())


def runs_of_today(world: World) -> list[Run]:
    hour = hour_of(now_instant()) * HOUR_US
    return list(world.store.runs("acme", hour - 2 * HOUR_US, hour + 2 * HOUR_US, 2**62))


def test_plain_python(world: World, tmp_path: Path) -> None:
    with served(world) as (url, _):
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / "plain_python.py"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "BILLING_URL": url,
                "BILLING_KEY": ingest_key(world),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "accepted=1" in done.stdout
    (run,) = runs_of_today(world)
    assert (run.outcome.reason, run.flow) == ("billable", "example")
    assert 1_100_000 <= run.duration_us < 30_000_000


def test_a_call_that_raises_failed_and_raises(world: World, tmp_path: Path) -> None:
    with served(world) as (url, _), Client(url, ingest_key(world), spool=tmp_path) as client:

        @metered(client, account="acme")
        def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
    assert [run.outcome.reason for run in runs_of_today(world)] == ["failed"]


def test_what_cannot_be_metered_runs_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Client):
        def send(self, *events: object) -> None:
            raise SpoolError("the spool cannot be used")

    client = Broken("http://127.0.0.1:9", "bk_ingest_1", spool=tmp_path)

    @metered(client, account="acme")
    def work() -> int:
        return 42

    assert work() == 42
    assert "is not metered" in caplog.text
    client.close()


def python_with(library: str) -> str:
    """The Python of an environment that has the library, or skip: theirs and ours want different FastAPIs."""
    variable = f"BILLING_TEST_{library.upper()}_PYTHON"
    found = os.environ.get(variable)
    if not found:
        pytest.skip(f"{variable} names no Python of an environment with {library} installed")
    return found


def run_example(python: str, code_or_file: list[str], folder: Path, **env: str) -> str:
    done = subprocess.run(
        [python, *code_or_file],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            **env,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_real_prefect_calls_the_hook(world: World, tmp_path: Path) -> None:
    python = python_with("prefect")
    with served(world) as (url, _):
        run_example(
            python,
            [str(ROOT / "examples" / "prefect_hook.py")],
            tmp_path,
            BILLING_URL=url,
            BILLING_KEY=ingest_key(world),
            PREFECT_HOME=str(tmp_path / "prefect"),
        )
    found = {run.outcome.reason: run for run in runs_of_today(world)}
    assert set(found) == {"billable", "failed"}
    assert found["billable"].flow == "example" and found["billable"].duration_us >= 1_100_000


class Named(SimpleNamespace):
    """What Prefect hands to a hook, as far as the hook looks."""


@pytest.mark.parametrize(
    ("kind", "name", "seconds", "reason"),
    [
        ("COMPLETED", "Completed", 4.25, "billable"),
        ("COMPLETED", "Cached", 0.001, "cached"),
        ("COMPLETED", "My own name", 1.0, "too_short"),
        ("FAILED", "TimedOut", 9.0, "failed"),
        ("CRASHED", "Crashed", 9.0, "crashed"),
    ],
)
def test_what_the_hook_makes_of_a_state(
    world: World, tmp_path: Path, kind: str, name: str, seconds: float, reason: str
) -> None:
    ended_at = to_datetime(now_instant())
    run = Named(
        id=uuid.uuid4(),
        start_time=ended_at - timedelta(seconds=60),
        end_time=ended_at,
        total_run_time=timedelta(seconds=seconds),
        flow_run_id=None,
    )
    state = Named(type=Named(value=kind), name=name, timestamp=ended_at)
    with served(world) as (url, _), Client(url, ingest_key(world), spool=tmp_path) as client:
        prefect_hook.metered(client, account="acme")(Named(name="load"), run, state)
    (found,) = runs_of_today(world)
    assert (found.task_run_id, found.outcome.reason) == (str(run.id), reason)
    assert found.duration_us == seconds * 1_000_000


_AIRFLOW = """
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from airflow.listeners.listener import get_listener_manager

manager = get_listener_manager()
now = datetime.now(UTC)
def instance(**more):
    plain = dict(dag_id="etl", run_id="scheduled__2026-10-01", task_id="load", map_index=-1, try_number=1,
                 start_date=now - timedelta(seconds=5), end_date=now)
    return SimpleNamespace(**plain | more)
manager.hook.on_task_instance_failed(previous_state=None, task_instance=instance(), error=ValueError())
manager.hook.on_task_instance_success(previous_state=None, task_instance=instance(try_number=2))
manager.hook.on_task_instance_failed(previous_state=None, task_instance=instance(task_id="a b"), error="no")
"""


def test_a_real_airflow_calls_the_listener(world: World, tmp_path: Path) -> None:
    """Found in its folder of plugins, and checked against the specification of its hooks."""
    python = python_with("airflow")
    plugins = tmp_path / "airflow" / "plugins"
    plugins.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "airflow_listener.py", plugins)
    with served(world) as (url, _):
        run_example(
            python,
            ["-c", _AIRFLOW],
            tmp_path,
            BILLING_URL=url,
            BILLING_KEY=ingest_key(world),
            BILLING_ACCOUNT="acme",
            BILLING_SPOOL=str(tmp_path / "spool"),
            AIRFLOW_HOME=str(tmp_path / "airflow"),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
        )
    found = {run.task_run_id: run for run in runs_of_today(world)}
    assert {run: each.outcome.reason for run, each in found.items()} == {
        exported_id("load"): "billable",
        exported_id("a b"): "failed",
    }


def exported_id(task: str) -> str:
    """The id that an export of the same task instance gets."""
    exported = {
        "dag_id": "etl",
        "run_id": "scheduled__2026-10-01",
        "task_id": task,
        "start_date": "2026-10-01T00:00:00Z",
        "end_date": "2026-10-01T00:00:05Z",
        "state": "success",
    }
    event = read_airflow(exported, Admission(now_instant(), default_account="acme"))
    assert event is not None
    return event.task_run_id
