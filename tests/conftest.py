"""What the tests share: a real PostgreSQL and a real ClickHouse, fresh databases and event stores on each
engine, and Hypothesis' profiles."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from billing.audit.verification import verify
from billing.logs import configure
from billing.schema import upgrade
from metering.database import make_engine
from metering.store import EventStore
from tests.clickhouse.running import require_engine, running_clickhouse
from tests.postgres import running_postgres
from tests.stores import Stores

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
settings.register_profile("default", max_examples=200, deadline=None, suppress_health_check=_SLOW_IS_FINE)
settings.register_profile("nightly", max_examples=5000, deadline=None, suppress_health_check=_SLOW_IS_FINE)
# Thousands of times over, and the same each time (scripts/mutate).
settings.register_profile(
    "mutation", max_examples=60, deadline=None, suppress_health_check=_SLOW_IS_FINE, derandomize=True
)
settings.load_profile(os.environ.get("BILLING_TEST_PROFILE", "default"))

configure()

# Until all is collected, nothing is garbage. Then it is looked for every hundred megabytes or so.
gc.disable()
gc.set_threshold(10_000, 10, 10)

# A file system in memory; on a machine without it, or with less room, tests write where others do.
_MEMORY = Path("/dev/shm")
_ROOM = 3 * 2**30


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """By day nothing waits for a disk: files are in memory, and gone when the tests end. With `--basetemp`
    they are where it says, and stay. By night they are too many."""
    if config.option.basetemp or hasattr(config, "workerinput") or settings().max_examples > 200:
        return
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        made = tempfile.TemporaryDirectory(prefix="billing-tests-", dir=_MEMORY, ignore_cleanup_errors=True)
        config.add_cleanup(made.cleanup)
        config.option.basetemp = str(Path(made.name) / "pytest")


def pytest_collection_finish() -> None:
    """A million objects, of tests and of modules, live as long as all this: they are no garbage to look for
    again and again, which took a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.enable()


NewDatabase = Callable[[], sa.Engine]


def _given() -> str | None:
    return os.environ.get("BILLING_TEST_POSTGRES_URL")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: the one named by BILLING_TEST_POSTGRES_URL, else one of our own."""
    if given := _given():
        yield given
        return
    with running_postgres() as url:
        yield url + "/postgres"


class _Databases:
    """Makes empty databases with the current schema, from a template that is migrated once."""

    def __init__(self, server: str | None, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._numbers = itertools.count()
        self._engines: set[sa.Engine] = set()
        self._template: bytes | None = None
        self._made: list[str] = []

    def new(self) -> sa.Engine:
        engine = make_engine(self._new_postgres() if self._server else self._new_sqlite())
        self._engines.add(engine)
        # With all the statements that it has compiled.
        sa.event.listen(engine, "engine_disposed", self._engines.discard)
        return engine

    def _new_sqlite(self) -> str:
        path = self._folder / f"{next(self._numbers)}.db"
        if self._template is None:
            seed = self._folder / "template.db"
            engine = make_engine(f"sqlite:///{seed}")
            upgrade(engine)
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            engine.dispose()
            self._template = seed.read_bytes()
        path.write_bytes(self._template)
        return f"sqlite:///{path}"

    def _new_postgres(self) -> str:
        assert self._server is not None
        name = f"billing_test_{os.getpid()}_{next(self._numbers)}"
        template = f"billing_test_{os.getpid()}_template"
        admin = make_engine(self._server)
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not self._made:
                connection.exec_driver_sql(f"CREATE DATABASE {template}")
                self._made.append(template)
                engine = make_engine(self._at(template))
                upgrade(engine)
                engine.dispose()
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
            self._made.append(name)
        admin.dispose()
        return self._at(name)

    def _at(self, name: str) -> str:
        assert self._server is not None
        return sa.make_url(self._server).set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        for engine in tuple(self._engines):
            engine.dispose()
        # A server of our own goes with all that is in it, and each would take a third of a second.
        if self._server and _given():
            admin = make_engine(self._server)
            with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for name in self._made:
                    connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            admin.dispose()


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewDatabase]:
    databases = _Databases(None, tmp_path_factory.mktemp("sqlite"))
    with ExitStack() as stack:
        stack.callback(databases.close)
        yield databases.new


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewDatabase]:
    databases = _Databases(postgres_url, tmp_path_factory.mktemp("postgres"))
    with ExitStack() as stack:
        stack.callback(databases.close)
        yield databases.new


@pytest.fixture(params=["sqlite", "postgres"])
def new_database(request: pytest.FixtureRequest) -> Iterator[NewDatabase]:
    """Makes empty databases; the test runs once on each engine. Whatever a test does, afterwards the audit
    trail accounts for it: unless it is marked `behind_the_back`."""
    make: NewDatabase = request.getfixturevalue(f"{request.param}_databases")
    made: list[sa.Engine] = []
    # A server has so many connections, and there are more tests than that.
    with ExitStack() as stack:

        def new() -> sa.Engine:
            engine = make()
            stack.callback(_forget, engine)
            made.append(engine)
            return engine

        yield new
        if request.node.get_closest_marker("behind_the_back") is None:
            for each in made:
                assert verify(each).findings == ()


def _forget(engine: sa.Engine) -> None:
    """Nobody looks at it any more. Its file, if it has one, would take room until all tests have ended."""
    engine.dispose()
    if engine.dialect.name == "sqlite":
        for more in ("", "-wal", "-shm"):
            Path(f"{engine.url.database}{more}").unlink(missing_ok=True)


@pytest.fixture
def engine(new_database: NewDatabase) -> sa.Engine:
    """An empty database with the current schema; the test runs once on each engine."""
    return new_database()


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a ClickHouse, without a database: the one named by CLICKHOUSE_URL, else its engine behind an
    endpoint of our own."""
    require_engine()
    with running_clickhouse(tmp_path_factory.mktemp("clickhouse")) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_stores(sqlite_databases: NewDatabase) -> Stores:
    return Stores(sqlite_databases)


@pytest.fixture(scope="session")
def postgres_stores(postgres_databases: NewDatabase) -> Stores:
    return Stores(postgres_databases)


@pytest.fixture(scope="session")
def clickhouse_stores(sqlite_databases: NewDatabase, clickhouse_server: str) -> Stores:
    """Events in ClickHouse, the order of their commits in SQLite."""
    return Stores(sqlite_databases, clickhouse_server)


@pytest.fixture(scope="session")
def clickhouse_beside_postgres_stores(postgres_databases: NewDatabase, clickhouse_server: str) -> Stores:
    return Stores(postgres_databases, clickhouse_server)


STORES = ["sqlite", "postgres", "clickhouse", "clickhouse_beside_postgres"]


@pytest.fixture(params=STORES)
def stores(request: pytest.FixtureRequest) -> Stores:
    """Makes empty event stores; the test runs once on each engine."""
    found: Stores = request.getfixturevalue(f"{request.param}_stores")
    return found


@pytest.fixture
def store(stores: Stores) -> Iterator[EventStore]:
    """An empty event store; the test runs once on each engine."""
    made = stores.new()
    yield made
    made.close()
