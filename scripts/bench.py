"""Measures the meter on this machine, over HTTP and without, with the load generator on the same machine.

Each figure is the median of three rounds; beside it stands its ratio to a floor measured in the same round
(decoding alone, or inserting the same rows without deduplication and counters). After each measurement the
counts are compared, by account and outcome, with what was generated: a fast wrong answer ends with code 1.

    scripts/bench [--events 200000] [--held 0] [--connections 8] [--json FILE] [--database-url URL]
    scripts/bench --clickhouse [URL]       the store on ClickHouse: a server, or the tests' engine
    scripts/bench --close 10000 --months 2    closing months: task runs become numbered invoices
    scripts/bench --backtest 100000 --months 12    what a draft plan would have made of their months
    scripts/bench --file 10000000          `billing ingest` of one large file
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from bench_accounts import enrol
from bench_client import get, post, send
from bench_floors import commits_a_second, decoding, events_of, inserting
from bench_held import hold
from bench_load import ACCOUNTS, BATCH, MONTH, Ints, Load, account_name, generate
from bench_places import bytes_held, database, resident_mib, serving

from billing.app import Service, make_service
from billing.quota import quota_now
from metering.outcome import Outcome
from metering.period import HOUR_US, parse_instant
from metering.settings import Settings

NOW = parse_instant("2026-11-02T00:00:00Z")
ROUNDS = 3
ALONE_CONNECTIONS = 64
HALF = 50_000
READS = 500


class Bench:
    """One database with a service on it; loads go in one after the other, and all that went in is known."""

    def __init__(self, options: argparse.Namespace, url: str, folder: Path) -> None:
        self.options = options
        self.url = url
        self.folder = folder
        self.service: Service = make_service(Settings(_env_file=None, database_url=url), lambda: NOW)
        first_key = self.service.init()
        assert first_key is not None
        self.key = first_key.secret
        self.held: Ints = hold(self.service.engine, options.held, options.seed)
        self.sent = 0
        self.figures: dict[str, list[float]] = defaultdict(list)

    def load(self, quantity: int) -> Load:
        """The next events of the source."""
        load = generate(quantity, first=self.sent, seed=self.options.seed)
        self.sent += quantity
        return load

    def kept(self, load: Load) -> None:
        """From now on the load is held; the service must count just that."""
        self.held = self.held + load.counts
        end = MONTH.next().end
        # Whole months come from the counters of months, a period cut by an hour from those of hours.
        for start in (0, HOUR_US):
            counted = np.zeros_like(self.held)
            for account, counts in self.service.store.counts_by_account(start, end).items():
                for outcome, quantity in counts.by_outcome.items():
                    counted[int(account.removeprefix("account-")), int(outcome)] = quantity
            self.compare(counted)
        self.service.store.settle()
        with self.service.engine.connect() as connection:
            for table, what in (("task_runs", "count(*)"), ("usage_days", "sum(quantity)")):
                expect(
                    table,
                    int(connection.scalar(sa.text(f"SELECT {what} FROM {table}"))),
                    int(self.held.sum()),
                )

    def compare(self, counted: Ints) -> None:
        if not np.array_equal(counted, self.held):
            wrong = np.argwhere(counted != self.held)
            account, outcome = wrong[0].tolist()
            raise SystemExit(
                f"WRONG: {len(wrong)} counts differ from what was generated, for example "
                f"{account_name(account)} {Outcome(outcome).reason}: {counted[account, outcome]} counted, "
                f"{self.held[account, outcome]} generated"
            )

    def add(self, name: str, figure: float) -> None:
        self.figures[name].append(figure)

    def floors(self) -> None:
        load = generate(self.options.events, seed=self.options.seed + 1)
        self.add("fsync", commits_a_second(self.folder))
        self.add("decode", decoding(load, NOW))
        self.add("insert", inserting(load, self.options.database_url, self.folder, NOW))

    def store(self) -> None:
        """The store alone: events already decoded, 10,000 a commit; then all of them again."""
        load = self.load(self.options.events)
        events = events_of(load, NOW)
        for name, wanted in (("store", load.accepted), ("store_replay", 0)):
            start, accepted = time.perf_counter(), 0
            for at in range(0, len(events), 10_000):
                accepted += sum(self.service.store.append(events[at : at + 10_000], NOW))
            self.service.store.settle()  # what was put off is part of the work
            self.add(name, len(events) / (time.perf_counter() - start))
            expect(name, accepted, wanted)
        self.kept(load)

    def http(self, port: int) -> None:
        """The whole way: HTTP, decoding, store, disk, answer. All of it again; more at half that rate, and at
        one that is the same everywhere."""
        load = self.load(self.options.events)
        requests = [post(body, self.key) for body in load.batches()]
        for name, wanted in (("http", load.accepted), ("http_replay", 0)):
            sent = send(requests, port, self.options.connections)
            self.add(name, load.received / sent.seconds)
            self.expect_totals(name, sent.totals, load, wanted)
        self.kept(load)
        for name, rate in (("http_half_p99_ms", self.figures["http"][-1] / 2), ("http_goal_p99_ms", HALF)):
            load = self.load(self.options.events)
            requests = [post(body, self.key) for body in load.batches()]
            sent = send(requests, port, self.options.connections, BATCH / rate)
            self.add(name, sent.p99_ms())
            self.expect_totals(name, sent.totals, load, load.accepted)
            self.kept(load)

    def alone(self, port: int) -> None:
        """One event a request."""
        load = self.load(self.options.events // 20)
        requests = [post(event, self.key) for event in load.events]
        sent = send(requests, port, ALONE_CONNECTIONS)
        self.add("alone", load.received / sent.seconds)
        self.add("alone_p99_ms", sent.p99_ms())
        self.expect_totals("one event a request", sent.totals, load, load.accepted)
        self.kept(load)

    def file(self) -> None:
        """`billing ingest` of a file, start of the program included."""
        load = self.load(self.options.events)
        file = self.folder / "events.ndjson"
        file.write_bytes(b"\n".join(load.events) + b"\n")
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "billing.cli", "ingest", str(file), "--json"],
            env={**os.environ, "BILLING_DATABASE_URL": self.url},
            capture_output=True,
            text=True,
            check=True,
        )
        self.add("file", load.received / (time.perf_counter() - start))
        self.expect_totals("billing ingest", json.loads(done.stdout), load, load.accepted)
        self.kept(load)

    def reads(self, port: int) -> None:
        """Usage of one account, the month by hour; and its quota, at the end of the month."""
        chance = random.Random(1)
        weights = [1 / (number + 1) for number in range(ACCOUNTS)]
        names = [account_name(number) for number in chance.choices(range(ACCOUNTS), weights, k=READS)]
        store, then = self.service.store, replace(self.service, now=lambda: MONTH.end - 1)
        by_hour = p99_ms(lambda name: store.usage(name, MONTH.start, MONTH.end, by="hour"), names)
        self.add("usage_p99_ms", by_hour)
        self.add("quota_p99_ms", p99_ms(lambda name: quota_now(then, name), names))
        query = "from=2026-10-01T00:00:00Z&to=2026-11-01T00:00:00Z&by=hour"
        requests = [get(f"/v1/accounts/{name}/usage?{query}", self.key) for name in names]
        self.add("usage_http_p99_ms", send(requests, port, 1).p99_ms())

    @staticmethod
    def expect_totals(name: str, totals: dict[str, Any], load: Load, accepted: int) -> None:
        expect(name, totals["received"], load.received)
        expect(name, totals["accepted"], accepted)
        expect(name, totals["duplicate"], load.received - accepted)


def p99_ms(ask: Callable[[str], object], names: Sequence[str]) -> float:
    """What 99 of 100 questions take at most."""
    took = []
    for name in names:
        start = time.perf_counter()
        ask(name)
        took.append(time.perf_counter() - start)
    return sorted(took)[int(len(took) * 0.99)] * 1000


def expect(name: str, got: int, wanted: int) -> None:
    if got != wanted:
        raise SystemExit(f"WRONG: {name}: {got} where {wanted} was generated")


def run(options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    with database(options.database_url, folder, "bench") as url:
        bench = Bench(options, url, folder)
        enrol(bench.service.engine, [account_name(number) for number in range(ACCOUNTS)])
        with serving(url) as (port, process, started):
            bench.add("start_s", started)
            bench.add("idle_mib", resident_mib(process))
            for _ in range(ROUNDS):
                bench.floors()
                bench.store()
                bench.http(port)
                bench.alone(port)
                bench.file()
                bench.reads(port)
            bench.add("busy_mib", resident_mib(process))
        bench.add("bytes", bytes_held(url) / int(bench.held.sum()))
        bench.service.store.close()
        return bench.figures


# Title, figure, unit, and the floor that it is compared with.
_ROWS = (
    ("HTTP, batches of 1,000", "http", "events/s", "insert"),
    ("the same again, all held", "http_replay", "events/s", "http"),
    ("HTTP, one event a request, 64 connections", "alone", "events/s", "fsync"),
    ("the store alone, 10,000 a commit", "store", "events/s", "insert"),
    ("the same again, all held", "store_replay", "events/s", "store"),
    ("billing ingest of a file", "file", "events/s", "insert"),
    ("floor: decoding alone, one core", "decode", "events/s", ""),
    ("floor: inserting the rows, nothing else", "insert", "events/s", ""),
    ("floor: 4 KiB and fsync", "fsync", "a second", ""),
    ("a batch at half load, 99 of 100 within", "http_half_p99_ms", "ms", ""),
    (f"the same at {HALF:,} events a second", "http_goal_p99_ms", "ms", ""),
    ("one event of 64 at once, 99 of 100 within", "alone_p99_ms", "ms", ""),
    ("an account's month by hour, 99 of 100 within", "usage_p99_ms", "ms", ""),
    ("the same over HTTP", "usage_http_p99_ms", "ms", ""),
    ("an account's quota, 99 of 100 within", "quota_p99_ms", "ms", ""),
    ("on the disk, counters and names included", "bytes", "bytes a run", ""),
    ("the service: ready after", "start_s", "s", ""),
    ("the service: memory when idle", "idle_mib", "MiB", ""),
    ("the service: memory at the end", "busy_mib", "MiB", ""),
)


def report(figures: dict[str, list[float]], options: argparse.Namespace) -> None:
    medians = {name: statistics.median(values) for name, values in figures.items()}
    engine = "PostgreSQL" if options.database_url else "SQLite"
    print(f"{engine}, {options.held:,} runs held, {options.events:,} a measurement, median of {ROUNDS}")
    for title, name, unit, floor in _ROWS:
        ratio = f"{medians[name] / medians[floor]:6.2f} of {floor}" if floor else ""
        figure = f"{medians[name]:,.0f}" if medians[name] >= 1000 else f"{medians[name]:,.1f}"
        print(f"  {title:46}{figure:>10} {unit:12}{ratio}")
    if options.json:
        settings = {"engine": engine, "held": options.held, "events": options.events, "seed": options.seed}
        options.json.write_text(json.dumps(settings | {"median": medians, "rounds": figures}, indent=1))


def main() -> None:
    # Ended from outside, it still ends its service.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=200_000, help="task runs a measurement")
    parser.add_argument("--held", type=int, default=0, help="task runs that are there before")
    parser.add_argument("--connections", type=int, default=8, help="of the batches over HTTP")
    parser.add_argument("--seed", type=int, default=1, help="other events")
    parser.add_argument("--json", type=Path, help="write the figures of all rounds there")
    parser.add_argument("--database-url", help="a server, for example of PostgreSQL; default: SQLite")
    parser.add_argument("--close", type=int, metavar="ACCOUNTS", help="closing months of so many accounts")
    parser.add_argument("--runs", type=int, default=500, help="of an account and month to close")
    parser.add_argument("--months", type=int, default=1, help="to close, one after the other")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of closing")
    parser.add_argument("--clickhouse", nargs="?", const="", metavar="URL", help="the store on ClickHouse")
    parser.add_argument("--backtest", type=int, metavar="ACCOUNTS", help="pricing --months of so many again")
    parser.add_argument("--pages", action="store_true", help="the customer's pages, with a year of --events")
    parser.add_argument("--file", type=int, metavar="RUNS", help="`billing ingest` of a file of so many")
    options = parser.parse_args()
    if options.clickhouse is not None:
        import bench_clickhouse

        figures = bench_clickhouse.measure(options)
        medians = bench_clickhouse.report(figures, options)
        if options.json:
            options.json.write_text(json.dumps({"median": medians, "rounds": figures}, indent=1))
        return
    with tempfile.TemporaryDirectory(prefix="billing-bench-") as name:
        if options.close:
            import bench_close

            found = bench_close.rounds(options, Path(name))
            medians = bench_close.report_close(found)
            if options.json:
                options.json.write_text(json.dumps({"median": medians, "rounds": found}, indent=1))
            return
        if options.pages or options.backtest or options.file:
            import bench_backtest
            import bench_file
            import bench_pages

            measured: Any = bench_pages if options.pages else bench_file if options.file else bench_backtest
            figures = measured.measure(options, Path(name))
            measured.report(figures)
            if options.json:
                options.json.write_text(json.dumps(figures, indent=1))
            return
        report(run(options, Path(name)), options)


if __name__ == "__main__":
    main()
