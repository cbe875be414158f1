"""A disk that is full, a small one in memory: refused in clear words, nothing acknowledged that is not kept,
and the service goes on by itself once there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.app import make_service
from metering.settings import Settings
from tests.faults.conftest import Serve
from tests.faults.served import Load, assert_kept


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "none", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"NO SMALL DISK: only root may mount one ({done.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_refuses_and_room_is_enough_to_go_on(small_disk: Path, serve: Serve) -> None:
    url = f"sqlite:///{small_disk / 'billing.db'}"
    service = make_service(Settings(_env_file=None, database_url=url))
    first = service.init()
    assert first is not None
    served = serve(url, first.secret)
    load = Load(served)
    with load.running():
        load.wait_for(refused=20)
        assert served.ask("GET", "/healthz").status == 200
        ready = served.ask("GET", "/readyz")
        assert (ready.status, "its disk is full" in ready.detail) == (503, True)
        subprocess.run(["mount", "-o", "remount,size=200m", small_disk], check=True)
        assert served.ask("GET", "/readyz").status == 200, "it tries by itself"
        load.wait_for(acknowledged=20)
    assert {answer.status for answer in load.refused} == {503}
    assert any("the disk of the database is full" in answer.detail for answer in load.refused)
    assert load.acknowledged
    assert_kept(service.store, load.acknowledged)
    served.kill()
    # Sent again, each counts once.
    again = serve(url, first.secret)
    assert all(again.send(number) for number in range(load.sent))
    again.kill()
    assert_kept(service.store, set(range(load.sent)))
    service.store.close()
