"""A PostgreSQL that is killed under load and comes back, one that drops every connection, and one that may
not be written: nothing acknowledged is lost, and the service finds it again by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from billing.app import Service, make_service
from metering.database import make_engine
from metering.settings import Settings
from tests.faults.conftest import Serve
from tests.faults.served import Load, assert_kept
from tests.postgres import Postgres, own_postgres


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server of its own, which keeps what it says it kept."""
    with own_postgres(durable=True) as postgres:
        yield postgres


@pytest.fixture
def service(server: Postgres) -> Iterator[Service]:
    made = make_service(Settings(_env_file=None, database_url=f"{server.url}/postgres"))
    yield made
    made.store.close()


def test_a_database_that_is_killed_and_comes_back(server: Postgres, service: Service, serve: Serve) -> None:
    first = service.init()
    assert first is not None
    served = serve(f"{server.url}/postgres", first.secret)
    load = Load(served)
    with load.running():
        load.wait_for(acknowledged=20)
        for _ in range(2):
            server.kill()
            load.wait_for(refused=5)
            assert served.ask("GET", "/readyz").status == 503
            assert served.ask("GET", "/healthz").status == 200
            server.start()
            load.wait_for(acknowledged=20)
    assert served.ask("GET", "/readyz").status == 200
    assert {answer.status for answer in load.refused} == {503}
    service.engine.dispose()
    assert_kept(service.store, load.acknowledged)


def test_connections_that_are_dropped(server: Postgres, service: Service, serve: Serve) -> None:
    first = service.init()
    assert first is not None
    served = serve(f"{server.url}/postgres", first.secret)
    load = Load(served)
    drop = sa.text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with load.running():
        for _ in range(10):
            load.wait_for(acknowledged=5)
            with service.engine.connect() as connection:
                connection.execute(drop)
        load.wait_for(acknowledged=5)
    assert {answer.status for answer in load.refused} <= {503}
    assert_kept(service.store, load.acknowledged)


def test_a_database_that_may_not_be_written(server: Postgres, service: Service, serve: Serve) -> None:
    first = service.init()
    assert first is not None
    served = serve(f"{server.url}/postgres", first.secret)
    admin = make_engine(f"{server.url}/template1")

    def read_only(state: str) -> None:
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(
                sa.text(f"ALTER DATABASE postgres SET default_transaction_read_only = {state}")
            )
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
                )
            )

    assert served.send(1)
    read_only("on")
    refused = served.post(2)
    assert refused.status == 503 and "could not be kept" in refused.detail
    ready = served.ask("GET", "/readyz")
    assert ready.status == 503 and "may only be read" in ready.detail
    headers = {"Authorization": f"Bearer {first.secret}", "Content-Type": "application/json"}
    assert served.ask("GET", "/v1/accounts", None, headers).status == 200
    added = served.ask("POST", "/v1/accounts", '{"id": "acme"}', headers)
    assert (added.status, "cannot be used right now" in added.detail) == (503, True)
    read_only("off")
    assert served.ask("GET", "/readyz").status == 200
    assert served.send(2)
    assert_kept(service.store, {1, 2})
    admin.dispose()
