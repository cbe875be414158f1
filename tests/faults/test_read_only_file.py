"""A SQLite file that may only be read, and then be written again: refused and told meanwhile, and over at
once, without a restart."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.app import make_service
from metering.settings import Settings
from tests.faults.served import Served, assert_kept

SAYS = "may only be read"
FEW_SECONDS = 5.0


def bound_by_permissions() -> tuple[str, ...]:
    """What starts a process that a file's permissions hold for, also as root."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("NO READ-ONLY FILE: root writes every file, and there is no setpriv")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.folder.mkdir()
        self.url = f"sqlite:///{self.folder / 'billing.db'}"
        service = make_service(Settings(_env_file=None, database_url=self.url))
        first = service.init()
        assert first is not None
        self.key = first.secret
        service.store.close()

    def may_be_written(self, may: bool) -> None:
        """Its files, and whether there may be others."""
        self.folder.chmod(0o755 if may else 0o555)
        for each in self.folder.iterdir():
            each.chmod(0o644 if may else 0o444)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.may_be_written(True)


def readiness(served: Served) -> tuple[int | None, str]:
    answer = served.ask("GET", "/readyz")
    return answer.status, json.loads(answer.detail)["checks"]["database"]


def test_a_service_that_starts_on_a_file_that_may_only_be_read(place: Place, tmp_path: Path) -> None:
    under = bound_by_permissions()
    before = Served(place.url, place.key, tmp_path, under=under)
    assert before.send(1)
    before.kill()  # its log stays, so that the file can be read
    place.may_be_written(False)
    served = Served(place.url, place.key, tmp_path, under=under)
    try:
        for number in (2, 3, 4):
            refused = served.post(number)
            assert refused.status == 503 and SAYS in refused.detail
            status, said = readiness(served)
            assert status == 503 and SAYS in said
        headers = {"Authorization": f"Bearer {place.key}"}
        assert served.ask("GET", "/v1/accounts", None, headers).status == 200
        place.may_be_written(True)
        until = time.monotonic() + FEW_SECONDS
        while not served.send(2):
            assert time.monotonic() < until, "it is not written, though it may be"
        assert readiness(served) == (200, "ok")
        assert served.send(3)
    finally:
        served.kill()
    service = make_service(Settings(_env_file=None, database_url=place.url))
    assert_kept(service.store, {1, 2, 3})
    service.store.close()


def test_a_file_that_is_closed_under_a_service(place: Place, tmp_path: Path) -> None:
    served = Served(place.url, place.key, tmp_path, under=bound_by_permissions())
    try:
        assert served.send(1)
        assert readiness(served) == (200, "ok")
        place.may_be_written(False)
        # What it opened before, it may still write; not what it opens from now on.
        acknowledged = {number for number in (2, 3, 4) if served.send(number)}
        status, said = readiness(served)
        assert status == 503 and SAYS in said
        place.may_be_written(True)
        until = time.monotonic() + FEW_SECONDS
        while not served.send(5):
            assert time.monotonic() < until, "it is not written, though it may be"
        assert readiness(served) == (200, "ok")
    finally:
        served.kill()
    service = make_service(Settings(_env_file=None, database_url=place.url))
    assert_kept(service.store, acknowledged | {1, 5})
    service.store.close()
