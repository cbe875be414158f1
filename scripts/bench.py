"""Measures ingestion on this machine: HTTP batches of 1,000 events into a fresh SQLite (or PostgreSQL), with
the load generator on the same machine. Prints events a second, median of three, and the ratio to floors
measured in the same run: decoding alone, and the store alone. Each measurement's counts are compared with
what was generated: a fast wrong answer is a failure.

    scripts/bench [--events 200000] [--connections 8] [--json FILE] [--database-url URL]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from billing.app import make_service
from metering.period import Month, format_instant, parse_instant
from metering.settings import Settings
from metering.sources import Admission, decode

BATCH = 1_000
NOW = parse_instant("2026-11-02T00:00:00Z")
MONTH = Month.parse("2026-10")
ROUNDS = 3


class Load(NamedTuple):
    """Batches as they travel, and what they must come to."""

    bodies: list[bytes]
    received: int
    accepted: int
    billable: int


def generate(events: int, round_number: int) -> Load:
    """Task runs of 200 accounts, Zipf-skewed, 20 flows each, spread over a month; 3 % sent twice. The same
    arguments give the same events."""
    chance = random.Random(round_number)
    accounts = [f"account-{number:04d}" for number in range(200)]
    weights = [1 / (number + 1) for number in range(200)]
    names = chance.choices(accounts, weights, k=events)
    lines: list[dict[str, Any]] = []
    billable = duplicates = 0
    for number, account in enumerate(names):
        end = MONTH.start + number * (MONTH.end - MONTH.start) // events + chance.randrange(1_000_000)
        duration = chance.choice([400_000, 2_500_000, 4_250_000, 61_000_000])
        state = chance.choices(["COMPLETED", "FAILED", "CRASHED", "CANCELLED"], [90, 7, 2, 1])[0]
        run = uuid7((end - duration) // 1000, chance)
        billable += state == "COMPLETED" and duration > 1_000_000
        lines.append(
            {
                "account": account,
                "task_run_id": run,
                "state": state,
                "started_at": format_instant(end - duration),
                "ended_at": format_instant(end),
                "duration": f"{duration / 1_000_000:.6f}",
                "workspace": "prod",
                "flow": f"flow-{chance.randrange(20)}",
                "task": "load",
                "source": "prefect",
            }
        )
        if chance.random() < 0.03:
            lines.append(lines[-1])
            duplicates += 1
    bodies = [msgspec.json.encode(lines[start : start + BATCH]) for start in range(0, len(lines), BATCH)]
    return Load(bodies, len(lines), len(lines) - duplicates, billable)


def uuid7(milliseconds: int, chance: random.Random) -> str:
    """An id as Prefect gives: the time of creation in front."""
    digits = f"{milliseconds:012x}7{chance.getrandbits(12):03x}8{chance.getrandbits(60):015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def rate(quantity: int, seconds: float) -> float:
    return round(quantity / seconds)


def measure_decode(load: Load) -> float:
    """One core, JSON to events."""
    start = time.perf_counter()
    for body in load.bodies:
        decode(body, format="task-run", framing="json", admission=Admission(NOW))
    return rate(load.received, time.perf_counter() - start)


def measure_store(load: Load, url: str) -> float:
    """The store alone: events already decoded, 10,000 a commit."""
    service = make_service(Settings(_env_file=None, database_url=url), lambda: NOW)
    service.init()
    events = [
        event
        for body in load.bodies
        for event in decode(body, format="task-run", framing="json", admission=Admission(NOW)).events
    ]
    start = time.perf_counter()
    for first in range(0, len(events), 10_000):
        service.store.append(events[first : first + 10_000], NOW)
    seconds = time.perf_counter() - start
    check(service, load)
    service.store.close()
    return rate(load.received, seconds)


def check(service: Any, load: Load) -> None:
    """What the service counts is what was generated."""
    counts = service.store.counts_by_account(MONTH.start, MONTH.end).values()
    assert sum(each.total for each in counts) == load.accepted, "runs lost or invented"
    assert sum(each.billable for each in counts) == load.billable, "billable runs lost or invented"


def measure_http(load: Load, url: str, connections: int) -> float:
    """The whole way: HTTP, decoding, store, fsync, answer."""
    service = make_service(Settings(_env_file=None, database_url=url), lambda: NOW)
    first_key = service.init()
    assert first_key is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "BILLING_DATABASE_URL": url}
    server = subprocess.Popen(
        [sys.executable, "-m", "billing.cli", "serve", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(port)
        seconds, totals = send(load, port, first_key.secret, connections)
    finally:
        server.terminate()
        server.wait(30)
    assert totals == {
        "received": load.received,
        "accepted": load.accepted,
        "duplicate": load.received - load.accepted,
        "ignored": 0,
        "rejected": 0,
    }, totals
    check(service, load)
    service.store.close()
    return rate(load.received, seconds)


def wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit("the service did not become ready")


def send(load: Load, port: int, key: str, connections: int) -> tuple[float, dict[str, int]]:
    """All batches over some connections at once; the seconds it took, and the sum of the answers."""
    totals = dict.fromkeys(("received", "accepted", "duplicate", "ignored", "rejected"), 0)
    lock = threading.Lock()
    waiting = list(reversed(load.bodies))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    failures: list[str] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                if not waiting or failures:
                    return
                body = waiting.pop()
            connection.request("POST", "/v1/events", body, headers)
            response = connection.getresponse()
            answer = response.read()
            with lock:
                if response.status != 200:
                    failures.append(f"{response.status} {answer[:300]!r}")
                    return
                report = json.loads(answer)
                for name in totals:
                    totals[name] += report[name]

    threads = [threading.Thread(target=work) for _ in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    assert not failures, failures
    return seconds, totals


def measure_fsync(folder: Path) -> float:
    """Commits a second that the disk allows: 4 KiB and fsync."""
    with (folder / "fsync").open("wb") as file:
        start = time.perf_counter()
        for _ in range(200):
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
        return rate(200, time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--database-url", help="an empty server database, for example of PostgreSQL; default: SQLite"
    )
    options = parser.parse_args()
    figures: dict[str, list[float]] = {"decode": [], "store": [], "http": [], "fsync": []}
    with tempfile.TemporaryDirectory(prefix="billing-bench-") as name:
        folder = Path(name)
        for number in range(ROUNDS):
            load = generate(options.events, number)
            figures["fsync"].append(measure_fsync(folder))
            figures["decode"].append(measure_decode(load))
            figures["store"].append(
                measure_store(load, database(options.database_url, folder, f"store-{number}"))
            )
            figures["http"].append(
                measure_http(
                    load, database(options.database_url, folder, f"http-{number}"), options.connections
                )
            )
    report(figures, options)


def database(server: str | None, folder: Path, name: str) -> str:
    """The URL of a new database."""
    if server is None:
        return f"sqlite:///{folder / name}.db"
    unique = f"bench_{os.getpid()}_{name.replace('-', '_')}"
    with sa.create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {unique}")
    return sa.make_url(server).set(database=unique).render_as_string(hide_password=False)


def report(figures: dict[str, list[float]], options: argparse.Namespace) -> None:
    medians = {name: statistics.median(values) for name, values in figures.items()}
    rows = [
        ("HTTP, batches of 1,000", "http", "events/s"),
        ("store alone, 10,000 a commit", "store", "events/s"),
        ("decoding alone, one core", "decode", "events/s"),
        ("fsync of 4 KiB", "fsync", "a second"),
    ]
    print(f"{options.events:,} task runs, {options.connections} connections, median of {ROUNDS}")
    for title, name, unit in rows:
        share = f"{medians['http'] / medians[name]:.2f}" if name in ("store", "decode") else ""
        print(
            f"  {title:30} {medians[name]:>10,.0f} {unit:9} HTTP reaches {share}"
            if share
            else f"  {title:30} {medians[name]:>10,.0f} {unit}"
        )
    if options.json:
        options.json.write_text(
            json.dumps({"events": options.events, "median": medians, "rounds": figures}, indent=1)
        )


if __name__ == "__main__":
    main()
