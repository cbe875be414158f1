"""A real Prefect server on loopback, run by the Python of an environment of its own: it wants an older
FastAPI than the service."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.metering.client.service import free_port
from tests.test_readme import ROOT

VARIABLE = "BILLING_TEST_PREFECT_PYTHON"
FLOWS = Path(__file__).with_name("flows.py")
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
# What ended is in the server's database within seconds, or lost.
_FLUSHED_S = 60
_STARTED_S = 120


def prefect_python() -> str:
    """The Python of an environment that has Prefect, or skip."""
    found = os.environ.get(VARIABLE)
    if not found:
        pytest.skip(
            f"{VARIABLE} names no Python with Prefect; scripts/test installs requirements-prefect.lock into "
            ".venv-prefect where the package registry can be reached"
        )
    return found


class RunningPrefect:
    """Killed and started again on the same database, at the same address."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python = python
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def env(self) -> dict[str, str]:
        """Of the server and of flows: a home folder of its own, and nothing is sent anywhere."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return {
            **kept,
            "HOME": str(self.folder),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
            "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_LOGGING_LEVEL": "CRITICAL",
            "PYTHONPATH": str(ROOT),
        }

    def start(self) -> None:
        """Answers once it can be asked."""
        command = [self.python, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app",
                   "--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning"]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self.env, cwd=self.folder, stdout=log, stderr=log)
        ends = time.monotonic() + _STARTED_S
        while not self._is_up():
            said = self._log.read_text()[-2000:]
            assert self._process.poll() is None and time.monotonic() < ends, said
            time.sleep(0.1)

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """As `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def flow(self, name: str, *given: int) -> subprocess.Popen[str]:
        """A process that runs flows (flows.py)."""
        return subprocess.Popen(
            [self.python, str(FLOWS), name, *map(str, given)],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_flow(self, name: str, *given: int) -> None:
        process = self.flow(name, *given)
        _, said = process.communicate()
        assert process.returncode == 0, said

    def rows(self, since: str) -> list[dict[str, Any]]:
        """The task runs that the server has, whatever their state; rows of subflows are none."""
        found: list[dict[str, Any]] = []
        asked = {"expected_start_time": {"after_": since}, "subflow_runs": {"exists_": False}}
        while True:
            page = self._post("/task_runs/filter", {"task_runs": asked, "limit": 200, "offset": len(found)})
            found += page
            if len(page) < 200:
                return found

    def final_events(self, since: str) -> list[dict[str, Any]]:
        """The events of task runs that came to a final state."""
        wanted = {"event": {"prefix": ["prefect.task-run."]}, "occurred": {"since": since}, "order": "ASC"}
        page = self._post("/events/filter", {"filter": wanted, "limit": 50})
        found: list[dict[str, Any]] = []
        while True:
            found += [each for each in page["events"] if each["resource"].get("prefect.state-type") in FINAL]
            if not page["next_page"]:
                return found
            page = httpx.get(page["next_page"], timeout=60).raise_for_status().json()

    def settle(self, since: str) -> None:
        """Wait until what the server has of flows that ended is on its disk: twice the same."""
        ends, last = time.monotonic() + _FLUSHED_S, ""
        while time.monotonic() < ends:
            now = json.dumps([self.rows(since), self.final_events(since)])
            if now == last:
                return
            last = now
            time.sleep(6)  # it writes events every five seconds

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return httpx.post(f"{self.url}/api{path}", json=body, timeout=60).raise_for_status().json()


@contextmanager
def running_prefect(folder: Path) -> Iterator[RunningPrefect]:
    running = RunningPrefect(prefect_python(), folder)
    try:
        running.start()
        yield running
    finally:
        running.kill()
