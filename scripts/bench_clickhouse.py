"""What `scripts/bench --clickhouse` measures: the store on ClickHouse, beside a floor of the same rounds.

The floor is an insert of the same rows as columns, on the disk when it returns: no duplicate looked for, no
marks, no position. Counts are compared, by account and outcome, with what was generated.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from bench_floors import events_of
from bench_load import ACCOUNTS, MONTH, Ints, Load, account_name, generate

from billing.app import Service, make_service
from metering.event import TaskRunEvent
from metering.ingestion import GroupCommit
from metering.period import parse_instant
from metering.settings import Settings
from metering.store.clickhouse.append import Append
from metering.store.clickhouse.block import COLUMNS, insert_block
from metering.store.clickhouse.journal import Journal
from metering.store.clickhouse.schema import MARKS, STATEMENTS
from metering.store.clickhouse.statements import Statements
from metering.store.clickhouse.store import ClickHouseEventStore
from tests.clickhouse.running import running_clickhouse

NOW = parse_instant("2026-11-02T00:00:00Z")
BATCH = 10_000
# Batches that wait for a commit, as from so many senders.
SENDERS = 30
READS = 200
ROUNDS = 2


class ClickHouseBench:
    """One database; loads go in one after the other, and all that went in is known."""

    def __init__(self, options: argparse.Namespace, service: Service) -> None:
        assert isinstance(service.store, ClickHouseEventStore)
        service.init()
        self.options = options
        self.store = service.store
        self.journal = Journal(service.engine)
        self.store.connection.tell(f"CREATE TABLE IF NOT EXISTS bench_floor AS {STATEMENTS}")
        self.held: Ints = np.zeros((ACCOUNTS, 7), dtype=np.int64)
        self.sent = 0
        self.figures: dict[str, list[float]] = defaultdict(list)

    def load(self) -> tuple[Load, list[Sequence[TaskRunEvent]]]:
        load = generate(self.options.events, first=self.sent, seed=self.options.seed)
        self.sent += self.options.events
        self.held = self.held + load.counts
        events = events_of(load, NOW)
        return load, [events[at : at + BATCH] for at in range(0, len(events), BATCH)]

    @contextmanager
    def measured(self, name: str, quantity: int) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.figures[name].append(quantity / (time.perf_counter() - start))

    def round(self) -> None:
        self.one_writer()
        self.many_senders()
        self.columns()
        self.check()
        self.reads()

    def one_writer(self) -> None:
        """10,000 a commit, one after the other; then all of them again."""
        load, batches = self.load()
        for name, wanted in (("one", load.accepted), ("replay", 0)):
            with self.measured(name, load.received):
                accepted = sum(sum(self.store.append(batch, NOW)) for batch in batches)
            expect(name, accepted, wanted)

    def many_senders(self) -> None:
        """Batches of 10,000 that wait share a commit, as those of a service do."""
        load, batches = self.load()
        writer = GroupCommit(self.store, lambda: NOW)
        with self.measured("many", load.received):
            waiting = [writer.submit(batch) for batch in batches[:SENDERS]]
            accepted = 0
            for number in range(len(batches)):
                accepted += sum(waiting[number].result())
                if len(waiting) < len(batches):
                    waiting.append(writer.submit(batches[len(waiting)]))
        writer.close()
        expect("many", accepted, load.accepted)

    def columns(self) -> None:
        """Events that are columns already: what is left is duplicates, the insert and its position. And the
        floor: the insert alone."""
        load, batches = self.load()
        events = [event for batch in batches for event in batch]
        commit = self.store.events_a_commit
        said = [Statements.of(events[at : at + commit]) for at in range(0, len(events), commit)]
        with self.measured("columns", load.received):
            accepted = sum(sum(Append(self.store.connection, self.journal).run(each, NOW)) for each in said)
        expect("columns", accepted, load.accepted)
        with self.measured("floor", load.received):
            for each in said:
                block = insert_block(each, np.zeros(each.rows))
                self.store.connection.insert("bench_floor", COLUMNS, block, token="")

    def check(self) -> None:
        """Everything that is held, by account and outcome."""
        counted = np.zeros_like(self.held)
        start = time.perf_counter()
        for account, counts in self.store.counts_by_account(0, MONTH.next().end).items():
            for outcome, quantity in counts.by_outcome.items():
                counted[int(account.removeprefix("account-")), int(outcome)] = quantity
        self.figures["all_s"].append(time.perf_counter() - start)
        if not np.array_equal(counted, self.held):
            raise SystemExit("WRONG: counts by account and outcome differ from what was generated")

    def reads(self) -> None:
        chance = random.Random(1)
        weights = [1 / (number + 1) for number in range(ACCOUNTS)]
        took = []
        for number in chance.choices(range(ACCOUNTS), weights, k=READS):
            start = time.perf_counter()
            self.store.usage(account_name(number), MONTH.start, MONTH.end, by="hour")
            took.append((time.perf_counter() - start) * 1000)
        took.sort()
        self.figures["usage_ms"].append(took[READS // 2])
        self.figures["usage_p99_ms"].append(took[int(READS * 0.99)])
        names = [account_name(number) for number in range(ACCOUNTS)]
        start = time.perf_counter()
        cutoff = self.store.cutoff().position
        months = dict(self.store.month_usages(names, MONTH.start, MONTH.end, cutoff))
        runs = sum(usage.counts.total for usage in months.values())
        self.figures["months"].append(runs / (time.perf_counter() - start))

    def bytes_held(self) -> float:
        (row,) = self.store.connection.rows(
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()"
            f" AND table IN ('{STATEMENTS}', '{MARKS}')"
        )
        return float(row[0]) / int(self.held.sum())


def expect(name: str, got: int, wanted: int) -> None:
    if got != wanted:
        raise SystemExit(f"WRONG: {name}: {got} accepted where {wanted} were generated")


_ROWS = (
    ("batches of 10,000 that share commits", "many", "events/s", "floor"),
    ("10,000 a commit, one writer", "one", "events/s", "floor"),
    ("the same again, all held", "replay", "events/s", "one"),
    ("columns already, duplicates looked for", "columns", "events/s", "floor"),
    ("floor: inserting the same columns alone", "floor", "events/s", ""),
    ("an account's month by hour, median", "usage_ms", "ms", ""),
    ("the same, 99 of 100 within", "usage_p99_ms", "ms", ""),
    ("the month of all accounts, to digests", "months", "runs/s", ""),
    ("counts of all accounts", "all_s", "s", ""),
    ("on the disk, marks included", "bytes", "bytes a run", ""),
)


def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    """`options.clickhouse` is a server's URL, or empty: the tests' engine is started."""
    with (
        tempfile.TemporaryDirectory(prefix="billing-bench-") as name,
        running_clickhouse(Path(name) / "engine", options.clickhouse) as server,
    ):
        url = f"{server.rstrip('/')}/bench_{time.time_ns()}"
        database = options.database_url or f"sqlite:///{name}/journal.db"
        settings = Settings(_env_file=None, database_url=database, events_url=url)
        bench = ClickHouseBench(options, make_service(settings, lambda: NOW))
        for _ in range(ROUNDS):
            bench.round()
        bench.figures["bytes"].append(bench.bytes_held())
        bench.store.connection.tell(f"DROP DATABASE {url.rpartition('/')[2]}")
        bench.store.close()
        return bench.figures


def report(figures: dict[str, list[float]], options: argparse.Namespace) -> dict[str, float]:
    medians = {name: statistics.median(values) for name, values in figures.items()}
    engine = "a ClickHouse server" if options.clickhouse else "ClickHouse's engine behind the tests' endpoint"
    print(f"{engine}, {options.events:,} runs a measurement, median of {ROUNDS}, counts checked")
    for title, name, unit, floor in _ROWS:
        ratio = f"{medians[name] / medians[floor]:6.2f} of {floor}" if floor else ""
        figure = f"{medians[name]:,.0f}" if medians[name] >= 1000 else f"{medians[name]:,.1f}"
        print(f"  {title:46}{figure:>10} {unit:12}{ratio}")
    return medians
