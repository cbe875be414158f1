"""`billing serve` in a process of its own, and clients that send to it at once."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from metering.store import EventStore
from tests.test_readme import ROOT
from tests.world import OCTOBER

BATCH = 50


def environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    return {**inherited, "PYTHONPATH": str(ROOT), **more}


def batch(number: int) -> list[dict[str, str]]:
    return [
        {
            "account": "acme",
            "task_run_id": f"run-{number}-{place}",
            "state": "COMPLETED",
            "started_at": f"2026-10-{1 + number % 30:02d}T02:00:00Z",
            "ended_at": f"2026-10-{1 + number % 30:02d}T02:00:05Z",
            "flow": f"flow-{place % 3}",
        }
        for place in range(BATCH)
    ]


class Answer(NamedTuple):
    """`status` is None where none came."""

    status: int | None
    detail: str = ""

    @property
    def acknowledged(self) -> bool:
        return self.status == 200


class Served:
    def __init__(
        self, url: str, key: str, folder: Path, *, under: Sequence[str] = (), **settings: str
    ) -> None:
        """`under` is a command that starts another."""
        self._key = key
        self._log = (folder / "served.log").open("a+b")
        self._process = subprocess.Popen(
            [*under, sys.executable, "-m", "billing.cli", "serve", "--port", "0"],
            env=environment(BILLING_DATABASE_URL=url, **settings),
            cwd=folder,
            stdout=self._log,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        said = self._process.stderr.readline()
        address = re.search(r"http://127.0.0.1:(\d+)", said)
        assert address is not None, said + self._process.stderr.read()
        self._port = int(address[1])
        # What it says is read, so that it never waits for a reader.
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def post(self, number: int) -> Answer:
        """A batch of this number."""
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        answer = self.ask("POST", "/v1/events", json.dumps(batch(number)), headers)
        if answer.acknowledged:
            report = json.loads(answer.detail)
            assert report["accepted"] + report["duplicate"] == BATCH, report
        return answer

    def ask(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.read().decode())
        except (OSError, http.client.HTTPException):
            return Answer(None)
        finally:
            connection.close()

    def send(self, number: int) -> bool:
        """Whether the batch was acknowledged, new or held before."""
        return self.post(number).acknowledged

    def kill(self, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """Ends it; nothing happens if it was ended."""
        if self._log.closed:
            return
        self._process.send_signal(with_signal)
        self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._log.close()


class Load:
    """Clients that send batches, each a new one, until it is over. `acknowledged` are the batches that were,
    `refused` what was said of others."""

    def __init__(self, served: Served, clients: int = 4) -> None:
        self._served = served
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.changed = threading.Condition()
        self.sent = 0
        self.acknowledged: set[int] = set()
        self.refused: list[Answer] = []
        self._threads = [threading.Thread(target=self._work) for _ in range(clients)]

    def wait_for(self, acknowledged: int = 0, refused: int = 0) -> None:
        """Until so many more were acknowledged, and so many more refused."""
        acknowledged += len(self.acknowledged)
        refused += len(self.refused)
        with self.changed:
            assert self.changed.wait_for(
                lambda: len(self.acknowledged) >= acknowledged and len(self.refused) >= refused, 120
            ), (len(self.acknowledged), self.refused[-3:])

    def _work(self) -> None:
        while not self._over.is_set():
            with self._lock:
                number, self.sent = self.sent, self.sent + 1
            answer = self._served.post(number)
            with self.changed:
                if answer.acknowledged:
                    self.acknowledged.add(number)
                else:
                    self.refused.append(answer)
                self.changed.notify_all()

    @contextmanager
    def running(self) -> Iterator[Load]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()


def assert_kept(store: EventStore, acknowledged: set[int]) -> None:
    """What was acknowledged is there and counted; no batch is there in part."""
    held = {run.task_run_id for run in store.runs("acme", OCTOBER.start, OCTOBER.end, 2**62)}
    assert {f"run-{number}-{place}" for number in acknowledged for place in range(BATCH)} <= held
    assert len(held) % BATCH == 0
    assert store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == len(held)
