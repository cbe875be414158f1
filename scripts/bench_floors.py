"""What scripts/bench compares with: the least that the same work could take on this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

import sqlalchemy as sa
from bench_load import Load
from bench_places import database

from metering.database import make_engine, writing
from metering.event import TaskRunEvent
from metering.outcome import OUTCOMES, THRESHOLD_US
from metering.sources import Admission, decode
from metering.store import run_key
from metering.store.packed import accept_packed_arrays, pack_rows

_KINDS = ("text", "bytea", "smallint", "bigint", "bigint", "bigint")


def events_of(load: Load, now: int) -> list[TaskRunEvent]:
    admission = Admission(now)
    return [
        event
        for body in load.batches()
        for event in decode(body, format="task-run", framing="json", admission=admission).events
    ]


def decoding(load: Load, now: int) -> float:
    """Events a second, JSON to events, one core."""
    bodies = load.batches()
    start = time.perf_counter()
    for body in bodies:
        decode(body, format="task-run", framing="json", admission=Admission(now))
    return load.received / (time.perf_counter() - start)


def inserting(load: Load, server: str | None, folder: Path, now: int) -> float:
    """Events a second into a table without a key, 10,000 a commit: no duplicate found, nothing counted."""
    rows = [
        (
            event.account,
            run_key.encode(event.task_run_id),
            int(OUTCOMES[event.state, event.duration_us > THRESHOLD_US]),
            event.ended_at,
            event.duration_us,
            event.fingerprint,
        )
        for event in events_of(load, now)
    ]
    with database(server, folder, "floor") as url:
        engine = make_engine(url)
        with writing(engine) as connection:
            connection.exec_driver_sql(
                "CREATE TABLE plain (account text, run_key "
                + ("bytea" if server else "blob")
                + ", outcome smallint, ended_at bigint, duration_us bigint, fingerprint bigint)"
            )
        start = time.perf_counter()
        for at in range(0, len(rows), 10_000):
            with writing(engine) as connection:
                _insert(connection, rows[at : at + 10_000])
        seconds = time.perf_counter() - start
        engine.dispose()
    return load.received / seconds


def _insert(connection: sa.Connection, rows: list[tuple[str, bytes, int, int, int, int]]) -> None:
    raw = connection.connection.driver_connection
    assert raw is not None
    cursor = raw.cursor()
    if connection.dialect.name == "sqlite":
        cursor.executemany("INSERT INTO plain VALUES (?,?,?,?,?,?)", rows)
        return
    accept_packed_arrays(cursor)
    given = ",".join(f"%b::{kind}[]" for kind in _KINDS)
    cursor.execute(f"INSERT INTO plain SELECT * FROM unnest({given})", pack_rows(_KINDS, rows), prepare=False)


def commits_a_second(folder: Path) -> float:
    """What the disk allows: 4 KiB and fsync."""
    with (folder / "fsync").open("wb") as file:
        start = time.perf_counter()
        for _ in range(200):
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
        return 200 / (time.perf_counter() - start)
