"""The client and the real service over HTTP: whatever fails between them, each run is metered once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from metering.client import AsyncClient, Client, SpoolFull
from metering.store import EventStore
from tests.conftest import NewDatabase
from tests.metering.client.service import Faulty, free_port, ingest_key, served
from tests.test_readme import ROOT
from tests.world import OCTOBER, World

SECONDS = 60  # nothing here takes that long; without an end, a test that fails would wait for ever


def run(number: int, **more: object) -> dict[str, object]:
    return {
        "task_run_id": f"run-{number}",
        "state": "COMPLETED",
        "started_at": "2026-10-03T02:00:00Z",
        "ended_at": "2026-10-03T02:00:05Z",
    } | more


def metered(store: EventStore) -> set[str]:
    return {each.task_run_id for each in store.runs("acme", OCTOBER.start, OCTOBER.end, 2**62)}


class Hand:
    """Time in the test's hands: a wait is noted, and lasts until `go_on` or `give_up`."""

    def __init__(self) -> None:
        self.waits: queue.Queue[float] = queue.Queue()
        self._go = threading.Semaphore(0)
        self._over = False

    def __call__(self, seconds: float) -> bool:
        self.waits.put(seconds)
        return not self._go.acquire(timeout=SECONDS) or self._over

    def waited(self) -> float:
        return self.waits.get(timeout=SECONDS)

    def go_on(self) -> None:
        self._go.release()

    def give_up(self) -> None:
        self._over = True
        self._go.release()


def at_once(_seconds: float) -> bool:
    return False


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """On each engine."""
    return World(engine)


@pytest.fixture
def lite(sqlite_databases: NewDatabase) -> World:
    return World(sqlite_databases())


@pytest.fixture
def service(lite: World) -> Iterator[tuple[str, Faulty]]:
    with served(lite) as found:
        yield found


def test_ten_lines_are_enough(world: World, tmp_path: Path) -> None:
    with served(world) as (url, app):
        with Client(url, ingest_key(world), spool=tmp_path, account="acme") as client:
            client.send(*(run(number) for number in range(2500)))
            client.send(run(7), run(2500, state="FAILED"))
        assert (client.tally.accepted, client.tally.duplicate) == (2501, 1)
        assert all(post.get("content-encoding") == "gzip" for post in app.posts[:2])
    assert metered(world.store) == {f"run-{number}" for number in range(2501)}
    assert world.store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == 2500
    assert list(tmp_path.iterdir()) == []


def test_faults_of_every_kind_cost_nothing(lite: World, service: tuple[str, Faulty], tmp_path: Path) -> None:
    url, app = service
    app.faults = [
        (503, {"retry-after": "2"}),
        "cut",
        (429, {"retry-after": "1"}),
        (401, {}),
        (500, {}),
        (307, {"location": "http://127.0.0.1:9/"}),
        "cut",
    ]
    with Client(url, ingest_key(lite), spool=tmp_path, account="acme", wait=at_once) as client:
        client.send(*(run(number) for number in range(50)))
        assert client.flush(SECONDS)
        # What the answers were lost of was there already.
        assert (client.tally.accepted, client.tally.duplicate) == (0, 50)
    assert len(app.posts) == 8
    assert metered(lite.store) == {f"run-{number}" for number in range(50)}


def test_a_proxy_with_a_small_limit_gets_small_batches(
    lite: World, service: tuple[str, Faulty], tmp_path: Path
) -> None:
    url, app = service
    app.largest = 700
    with Client(url, ingest_key(lite), spool=tmp_path, account="acme") as client:
        client.send(*(run(number) for number in range(200)))
        assert client.flush(SECONDS)
    assert metered(lite.store) == {f"run-{number}" for number in range(200)}
    assert client.tally.accepted == 200


def test_the_service_is_away_and_comes_back(lite: World, tmp_path: Path) -> None:
    hand, port = Hand(), free_port()
    client = Client(f"http://127.0.0.1:{port}", ingest_key(lite), spool=tmp_path, account="acme", wait=hand)
    client.send(run(1))
    assert 0.5 <= hand.waited() <= 1
    client.send(run(2))  # returns, whatever the service does
    hand.go_on()
    assert 1 <= hand.waited() <= 2
    assert client.tally.problem is not None and "cannot be reached" in client.tally.problem
    assert not client.flush(0.0)
    with served(lite, port):
        hand.go_on()
        assert client.flush(SECONDS)
        client.close()
    assert client.tally.problem is None
    assert metered(lite.store) == {"run-1", "run-2"}


def test_retry_after_is_honoured(lite: World, service: tuple[str, Faulty], tmp_path: Path) -> None:
    url, app = service
    hand = Hand()
    app.faults = [(503, {"retry-after": "120"})]
    client = Client(url, ingest_key(lite), spool=tmp_path, account="acme", wait=hand)
    client.send(run(1))
    assert 120 <= hand.waited() <= 132
    hand.go_on()
    assert client.flush(SECONDS)
    client.close()


def test_a_key_that_is_mended_at_the_next_start(
    lite: World, service: tuple[str, Faulty], tmp_path: Path
) -> None:
    url, _ = service
    hand = Hand()
    refused = Client(url, "bk_ingest_wrong", spool=tmp_path, account="acme", wait=hand)
    refused.send(run(1))
    hand.waited()
    assert refused.tally.problem is not None
    assert (
        "it refuses the API key (401: this API key is unknown, revoked or expired)" in refused.tally.problem
    )
    hand.give_up()
    refused.close(SECONDS)
    with Client(url, ingest_key(lite), spool=tmp_path) as client:
        assert client.flush(SECONDS)
    assert metered(lite.store) == {"run-1"}


def test_a_full_spool_is_said_in_the_call(lite: World, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    hand = Hand()
    client = Client(url, ingest_key(lite), spool=tmp_path, account="acme", limit_bytes=1000, wait=hand)
    kept = 0
    with pytest.raises(SpoolFull, match="raise limit_bytes"):
        while True:
            client.send(run(kept))
            kept += 1
    assert 3 < kept < 10 and client.waiting_bytes <= 1000
    hand.give_up()
    client.close(SECONDS)
    with (
        served(lite) as (url, _),
        Client(url, ingest_key(lite), spool=tmp_path) as client,
    ):
        assert client.flush(SECONDS)
    assert metered(lite.store) == {f"run-{number}" for number in range(kept)}


def test_the_same_for_asyncio(lite: World, service: tuple[str, Faulty], tmp_path: Path) -> None:
    url, app = service
    app.faults = ["cut"]

    async def work() -> int:
        async with AsyncClient(url, ingest_key(lite), spool=tmp_path, account="acme", wait=at_once) as client:
            await asyncio.gather(*(client.send(run(number)) for number in range(100)))
            assert await client.flush(SECONDS)
            return client.tally.accepted + client.tally.duplicate

    assert asyncio.run(work()) == 100
    assert metered(lite.store) == {f"run-{number}" for number in range(100)}


def test_many_threads_and_programs_share_a_spool(
    lite: World, service: tuple[str, Faulty], tmp_path: Path
) -> None:
    url, _ = service
    key = ingest_key(lite)
    with (
        Client(url, key, spool=tmp_path, account="acme") as one,
        Client(url, key, spool=tmp_path, account="acme") as other,
    ):

        def work(start: int) -> None:
            for number in range(start, start + 25):
                (one if number % 2 else other).send(run(number))

        threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 100, 25)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.flush(SECONDS) and other.flush(SECONDS)
    assert one.tally.accepted + other.tally.accepted == 100
    assert metered(lite.store) == {f"run-{number}" for number in range(100)}


def _in_a_child(client: Client) -> None:
    client.send(run(2))
    assert client.flush(SECONDS)
    os._exit(0)  # as a worker of a pool ends: nothing is closed


def test_a_forked_worker_has_a_client_of_its_own(
    lite: World, service: tuple[str, Faulty], tmp_path: Path
) -> None:
    url, _ = service
    with Client(url, ingest_key(lite), spool=tmp_path, account="acme") as client:
        client.send(run(1))
        assert client.flush(SECONDS)
        child = multiprocessing.get_context("fork").Process(target=_in_a_child, args=(client,))
        child.start()
        child.join(SECONDS)
        assert child.exitcode == 0
        client.send(run(3))
    assert metered(lite.store) == {"run-1", "run-2", "run-3"}


_PRODUCER = """
import sys
from metering.client import Client
client = Client(sys.argv[1], sys.argv[2], spool=sys.argv[3], account="acme")
for number in range(int(sys.argv[4]), 10**9):
    client.send({"task_run_id": f"run-{number}", "state": "COMPLETED",
                 "started_at": "2026-10-03T02:00:00Z", "ended_at": "2026-10-03T02:00:05Z"})
    print(number, flush=True)
"""


@pytest.mark.parametrize("away", [True, False])
def test_a_killed_producer_loses_nothing_whose_call_returned(lite: World, tmp_path: Path, away: bool) -> None:
    """SIGKILL, with the service away and at work."""
    key, port = ingest_key(lite), free_port()
    spool = tmp_path / "spool"
    returned = 0

    def produce_and_kill(calls: int) -> None:
        nonlocal returned
        words = [f"http://127.0.0.1:{port}", key, str(spool), str(returned)]
        process = subprocess.Popen(
            [sys.executable, "-c", _PRODUCER, *words],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(calls):
            returned = int(process.stdout.readline()) + 1
        process.kill()
        said = process.communicate()[0].split()
        returned = max([returned, *(int(number) + 1 for number in said)])

    if away:
        for calls in (5, 17):
            produce_and_kill(calls)
        assert metered(lite.store) == set()
    with served(lite, port) as (url, _):
        if not away:
            for calls in (5, 17):
                produce_and_kill(calls)
        with Client(url, key, spool=spool) as heir:
            assert heir.flush(SECONDS)
    found = metered(lite.store)
    # A call that was cut short by the kill may have been kept, or not.
    assert {f"run-{number}" for number in range(returned)} <= found
    assert found <= {f"run-{number}" for number in range(returned + 1)}
    assert lite.store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == len(found)


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not the service's address"):
        Client("billing.example.com", "bk_ingest_1", spool=tmp_path)
    with pytest.raises(ValueError, match="billing keys create"):
        Client("http://billing.example.com", "", spool=tmp_path)


def test_a_client_of_httpx_may_be_given(lite: World, service: tuple[str, Faulty], tmp_path: Path) -> None:
    """With a proxy or certificates of its own; it stays its owner's."""
    url, app = service
    with httpx.Client(headers={"x-team": "data"}) as http:
        with Client(url, ingest_key(lite), spool=tmp_path, account="acme", http=http) as client:
            client.send(run(1))
        assert not http.is_closed
    assert app.posts[0]["x-team"] == "data"


def test_a_producer_imports_little(tmp_path: Path) -> None:
    """Neither our service nor its database; httpx only once there is something to send."""
    heavy = "{'sqlalchemy', 'fastapi', 'numpy', 'msgspec', 'pydantic', 'httpx', 'billing'}"
    code = f"import sys, metering.client; found = {heavy} & set(sys.modules); assert not found, found"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
