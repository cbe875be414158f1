"""Measures `billing ingest` of one large file, into an empty database: events a second from the start of the
program to its end, and the most memory that it and the processes it starts hold together. Then the same file
once more, of which everything is held. Afterwards the counts are compared with what was generated.

    scripts/bench --file 10000000 [--database-url URL]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bench_floors import inserting
from bench_load import ACCOUNTS, MONTH, Ints, Load, generate
from bench_places import bytes_held, database

from billing.app import make_service
from metering.outcome import Outcome
from metering.period import parse_instant
from metering.settings import Settings

NOW = parse_instant("2026-11-02T00:00:00Z")
PIECE = 250_000
EVERY_S = 0.1


class Truth(NamedTuple):
    """What the file has: lines, events that are new, and task runs by account number and outcome."""

    lines: int
    accepted: int
    counts: Ints


def measure(options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    file = folder / "events.ndjson"
    truth = _written(file, options.file, options.seed)
    sample = generate(PIECE, seed=options.seed + 1)
    figures = {"mib_of_file": [file.stat().st_size / 2**20]}
    with database(options.database_url, folder, "file") as url:
        service = make_service(Settings(database_url=url))
        service.init()
        for name, accepted in (("new", truth.accepted), ("held", 0)):
            figures["insert"] = [inserting(sample, options.database_url, folder, NOW)]
            seconds, figures[f"{name}_mib"] = _ingested(file, url, truth, accepted)
            figures[name] = [truth.lines / seconds]
        counted = np.zeros_like(truth.counts)
        for account, counts in service.store.counts_by_account(0, MONTH.next().end).items():
            for outcome, quantity in counts.by_outcome.items():
                counted[int(account.removeprefix("account-")), int(outcome)] = quantity
        if not np.array_equal(counted, truth.counts):
            raise SystemExit("WRONG: what is counted is not what was generated")
        service.store.settle()
        figures["bytes"] = [bytes_held(url) / int(truth.counts.sum())]
        service.store.close()
    return figures


def _written(file: Path, quantity: int, seed: int) -> Truth:
    """In pieces, since ten million events as objects would not fit."""
    lines, accepted = 0, 0
    counts = np.zeros((ACCOUNTS, len(Outcome)), dtype=np.int64)
    with file.open("wb") as out:
        for first in range(0, quantity, PIECE):
            load: Load = generate(min(PIECE, quantity - first), first=first, seed=seed)
            out.writelines(b"%b\n" % event for event in load.events)
            lines, accepted, counts = lines + load.received, accepted + load.accepted, counts + load.counts
    return Truth(lines, accepted, counts)


def _ingested(file: Path, url: str, truth: Truth, accepted: int) -> tuple[float, list[float]]:
    """The seconds it took, and the most MiB that were held."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "billing.cli", "ingest", str(file), "--json"],
        env={**os.environ, "BILLING_DATABASE_URL": url},
        stdout=subprocess.PIPE,
    )
    most, done = [0.0], threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, most, done))
    watch.start()
    said, _ = process.communicate()
    seconds = time.perf_counter() - start
    done.set()
    watch.join()
    totals = json.loads(said)
    found = (totals["received"], totals["accepted"], totals["duplicate"])
    if found != (wanted := (truth.lines, accepted, truth.lines - accepted)):
        raise SystemExit(f"WRONG: received, accepted, duplicate are {found}, and should be {wanted}")
    return seconds, most


def _watch(process: int, most: list[float], done: threading.Event) -> None:
    """Pages that processes share are counted once (PSS)."""
    while not done.wait(EVERY_S):
        held = 0.0
        for each in [process, *_children(process)]:
            try:
                held += _proportional_mib(each)
            except OSError:
                continue  # it has ended
        most[0] = max(most[0], held)


def _proportional_mib(process: int) -> float:
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 2**10
    return 0.0


def _children(process: int) -> list[int]:
    try:
        own = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, own) for each in (child, *_children(child))]


def report(figures: dict[str, list[float]]) -> None:
    one = {name: values[0] for name, values in figures.items()}
    for title, name in (("all new", "new"), ("the same again, all held", "held")):
        ratio = one[name] / one["insert"]
        print(
            f"  {title:26}{one[name]:>10,.0f} events/s {ratio:6.2f} of insert {one[f'{name}_mib']:5.0f} MiB"
        )
    print(f"  a file of {one['mib_of_file']:,.0f} MiB; {one['bytes']:,.0f} bytes a run on the disk")
