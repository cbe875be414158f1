"""A SQLite file that is removed, moved or replaced while a service has it open: nothing is acknowledged that
is kept where nobody reads, and the service says what is wrong."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing.app import Service, make_service
from billing.backup import back_up
from metering.database import make_engine, reading, writing
from metering.database_file import DatabaseReplaced, LogReplaced
from metering.settings import Settings
from tests.faults.conftest import Serve
from tests.faults.served import Load, Served, assert_kept

SAYS = "the file of the database was removed or replaced while it was in use"


def service_at(path: Path) -> Service:
    return make_service(Settings(_env_file=None, database_url=f"sqlite:///{path}"))


def set_up(path: Path) -> str:
    """A database with its first key."""
    service = service_at(path)
    first = service.init()
    assert first is not None
    service.store.close()
    return first.secret


def assert_refuses(served: Served, number: int) -> None:
    refused = served.post(number)
    assert refused.status == 503 and SAYS in refused.detail, refused
    ready = served.ask("GET", "/readyz")
    assert ready.status == 503 and json.loads(ready.detail)["checks"]["database"].startswith(SAYS)
    assert served.ask("GET", "/healthz").status == 200


def assert_there(path: Path, acknowledged: set[int]) -> None:
    service = service_at(path)
    assert_kept(service.store, acknowledged)
    service.store.close()


def test_a_file_that_is_moved_away_and_put_back(tmp_path: Path, serve: Serve) -> None:
    path, away = tmp_path / "billing.db", tmp_path / "away"
    secret = set_up(path)
    served = serve(f"sqlite:///{path}", secret)
    away.mkdir()
    load = Load(served)
    with load.running():
        load.wait_for(acknowledged=20)
        held = [each.name for each in tmp_path.glob("billing.db*")]
        for name in sorted(held, reverse=True):  # the file itself last
            (tmp_path / name).rename(away / name)
        load.wait_for(refused=20)
        assert_refuses(served, 1_000_000)
        assert not path.exists()
        for name in sorted(held, reverse=True):
            (away / name).rename(tmp_path / name)
        load.wait_for(acknowledged=20)
    assert {answer.status for answer in load.refused} == {503}
    assert served.ask("GET", "/readyz").status == 200
    served.kill()
    assert_there(path, load.acknowledged)


def test_a_file_that_is_replaced_is_served_by_the_next_start(tmp_path: Path, serve: Serve) -> None:
    path, copy = tmp_path / "billing.db", tmp_path / "copy.db"
    secret = set_up(path)
    served = serve(f"sqlite:///{path}", secret)
    assert served.send(1)
    service = service_at(path)
    back_up(service.engine, copy)
    service.store.close()
    assert served.send(2)
    copy.replace(path)
    assert_refuses(served, 3)
    headers = {"Authorization": f"Bearer {secret}"}
    answer = served.ask("GET", "/v1/accounts", None, headers)
    assert answer.status == 503 and SAYS in answer.detail
    served.kill()
    for beside in ("billing.db-wal", "billing.db-shm"):
        (tmp_path / beside).unlink(missing_ok=True)
    again = serve(f"sqlite:///{path}", secret)
    assert again.ask("GET", "/readyz").status == 200
    assert again.send(3)
    again.kill()
    assert_there(path, {1, 3})


def test_a_commit_to_a_file_that_is_gone_is_not_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    engine = make_engine(f"sqlite:///{path}")
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE things (name TEXT)")
    with pytest.raises(DatabaseReplaced), writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO things VALUES ('lost')")
        path.unlink()
    with pytest.raises(DatabaseReplaced), reading(engine) as connection:
        connection.execute(sa.text("SELECT 1"))
    with pytest.raises(DatabaseReplaced), engine.connect(), engine.connect(), engine.connect():
        raise AssertionError("SQLite makes a file where there is none")
    assert not path.exists()
    engine.dispose()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_log_that_is_removed_or_replaced(tmp_path: Path, serve: Serve, replaced: bool) -> None:
    """What the service has written is in a log that nobody else can open. Stopped in good order it saves it;
    until then nothing is acknowledged."""
    path, log = tmp_path / "billing.db", tmp_path / "billing.db-wal"
    secret = set_up(path)
    served = serve(f"sqlite:///{path}", secret)
    load = Load(served)
    with load.running():
        load.wait_for(acknowledged=20)
        if replaced:
            (tmp_path / "other").write_bytes(b"")
            (tmp_path / "other").replace(log)
        else:
            log.unlink()
        load.wait_for(refused=20)
    assert {answer.status for answer in load.refused} == {503}
    says = "the log (-wal) of the database was removed or replaced while it was in use"
    refused = served.post(1_000_000)
    assert refused.status == 503 and says in refused.detail
    ready = served.ask("GET", "/readyz")
    assert ready.status == 503 and says in ready.detail
    served.kill(signal.SIGTERM)
    assert_there(path, load.acknowledged)
    again = serve(f"sqlite:///{path}", secret)
    assert again.send(1_000_001)
    again.kill()
    assert_there(path, {*load.acknowledged, 1_000_001})


def test_a_log_that_sqlite_removes_by_itself_is_no_finding(tmp_path: Path) -> None:
    """It does when the last connection is closed; the next one makes another."""
    path = tmp_path / "one.db"
    (tmp_path / "link.db").symlink_to(path)
    engine = make_engine(f"sqlite:///{tmp_path / 'link.db'}")
    for statement in ("CREATE TABLE things (name TEXT)", *["INSERT INTO things VALUES ('x')"] * 3):
        with writing(engine) as connection:
            connection.exec_driver_sql(statement)
        assert (tmp_path / "one.db-wal").exists()
        with reading(engine) as first, reading(engine) as second:
            assert first.execute(sa.text("SELECT 1")).scalar() == second.execute(sa.text("SELECT 1")).scalar()
        engine.dispose()
        assert not (tmp_path / "one.db-wal").exists()
    with pytest.raises(LogReplaced), writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO things VALUES ('x')")
        (tmp_path / "one.db-wal").unlink()
        with pytest.raises(LogReplaced), reading(engine):  # another connection would make a log of its own
            raise AssertionError
    engine.dispose()
    with reading(engine) as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM things")).scalar() == 4
    engine.dispose()
