"""Where scripts/bench measures: a database of its own, and a service in a process of its own."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from metering.database import make_engine


@contextmanager
def database(server: str | None, folder: Path, name: str) -> Iterator[str]:
    """The URL of a new database, which is dropped afterwards."""
    if server is None:
        file = folder / f"{name}.db"
        yield f"sqlite:///{file}"
        for each in folder.glob(f"{name}.db*"):
            each.unlink()
        return
    unique = f"bench_{os.getpid()}_{name}"
    with sa.create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {unique}")
        yield sa.make_url(server).set(database=unique).render_as_string(hide_password=False)
        connection.exec_driver_sql(f"DROP DATABASE {unique} WITH (FORCE)")


@contextmanager
def serving(url: str) -> Iterator[tuple[int, int, float]]:
    """The service on a free port: the port, the process, and the seconds it took to be ready."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "billing.cli", "serve", "--port", "0"],
        env={**os.environ, "BILLING_DATABASE_URL": url, "BILLING_SCHEDULE": "off"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        address = re.search(r"http://127.0.0.1:(\d+)", said)
        if address is None:
            raise SystemExit(f"the service did not start: {said}{process.stderr.read()}")
        port = int(address[1])
        _wait_until_ready(port)
        yield port, process.pid, time.perf_counter() - start
    finally:
        process.terminate()
        process.wait(60)


def _wait_until_ready(port: int) -> None:
    for _ in range(1000):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise SystemExit("the service did not become ready")


def resident_mib(process: int) -> float:
    """Memory that a process holds."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def bytes_held(url: str) -> int:
    """What the meter's tables take on the disk, indices and names included."""
    engine = make_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            size: Any = Path(engine.url.database or "").stat().st_size
        else:
            size = connection.scalar(
                sa.text(
                    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN ('task_runs',"
                    " 'task_run_revisions', 'usage_hours', 'usage_days', 'usage_months', 'usage_changes',"
                    " 'run_buckets', 'meter_labels', 'meter_accounts', 'meter_commits')"
                )
            )
    engine.dispose()
    return int(size)
