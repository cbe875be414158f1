"""The engine of both houses: SQLite by default, PostgreSQL for production.

SQLite runs with a write-ahead log and `synchronous=FULL`: a commit is on disk when it returns, readers
never wait, and a second process waits for the lock instead of failing. Each transaction begins, and is
acknowledged, only while its file is where it was opened.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metering.database_file import DatabaseFile, DatabaseReplaced
from metering.room import Room, room_of

# How long a writer waits for another process's transaction before it gives up.
BUSY_TIMEOUT_MS = 60_000


class DatabaseUrlError(ValueError):
    """The database URL is not one of those this service can use."""


def make_engine(url: str) -> sa.Engine:
    """An engine for `sqlite:///file.db` or `postgresql+psycopg://…`. Raises DatabaseUrlError."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise DatabaseUrlError(
            "BILLING_DATABASE_URL is not a database URL; "
            "write sqlite:///billing.db or postgresql+psycopg://user@host/name"
        ) from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "postgresql+psycopg":
        return sa.create_engine(
            parsed,
            pool_size=10,
            max_overflow=20,
            pool_pre_ping=True,
            hide_parameters=True,
            execution_options={"room": Room()},
        )
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite") or not parsed.database or ":memory:" in url:
        raise DatabaseUrlError(
            f"BILLING_DATABASE_URL starts with {parsed.drivername!r}, which is not supported; "
            "write sqlite:///billing.db (a file) or postgresql+psycopg://user@host/name"
        )
    # What a statement that failed was about is nothing for the log: it may be a secret, or a customer's.
    timeout = {"timeout": BUSY_TIMEOUT_MS / 1000}
    file = DatabaseFile(parsed.database)
    engine = sa.create_engine(
        parsed, connect_args=timeout, hide_parameters=True, execution_options={"file": file, "room": Room()}
    )
    # Before it connects, or SQLite would make an empty file where one was removed.
    sa.event.listen(engine, "do_connect", lambda *_: file.connecting())
    sa.event.listen(engine, "connect", functools.partial(_prepare_sqlite, file))
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(file: DatabaseFile, connection: Any, record: Any) -> None:
    try:
        file.opened()
    except DatabaseReplaced:
        connection.close()
        raise
    # The driver's own transaction handling would begin late and commit early; we say BEGIN ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        # The log is copied into the file every 8 MiB: a page that many commits touch is copied once, and the
        # commit that copies takes a few milliseconds more, not 20, from those who wait for it.
        "wal_autocheckpoint=2048",
        "cache_size=-65536",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    file.check_log(connection, record.info)


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock at once: a transaction that reads first and writes later cannot wait for
    # another writer, it can only fail.
    _check_file(connection)
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _anew_if_read_only(engine: sa.Engine) -> Iterator[None]:
    """A connection that was made while the database could only be read never writes, whatever becomes of the
    database; and on SQLite others of the process do not while it is open. So all are made anew. A write that
    found no room is noted (`metering.room`)."""
    try:
        yield
    except Exception as error:
        if may_not_write(error):
            engine.dispose()
        if says_full(error) and (room := room_of(engine)) is not None:
            room.wanting = True
        raise


def may_write(engine: sa.Engine) -> bool:
    """Whether a transaction that writes could begin, if not at once: not in a file or on a mount that can
    only be read, nor on a standby. Raises what the database raises where it cannot be asked."""
    try:
        return _may_write(engine)
    except sa.exc.DBAPIError as error:
        if may_not_write(error):
            return False
        raise


def _may_write(engine: sa.Engine) -> bool:
    with _anew_if_read_only(engine), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            said = connection.scalar(sa.text("SELECT current_setting('transaction_read_only')"))
            return bool(said == "off")
        file: DatabaseFile = connection.get_execution_options()["file"]
        if not file.may_be_written:
            return False
        connection.execution_options(write=True)
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA busy_timeout=0")
        try:
            with connection.begin() as transaction:
                # Of what can only be read, SQLite says so at the first statement that writes, and not before.
                connection.exec_driver_sql("PRAGMA user_version=1")
                transaction.rollback()
        except sa.exc.OperationalError as error:
            if _code(error) != "SQLITE_BUSY":  # somebody writes
                raise
        finally:
            driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        return True


def _check_file(connection: sa.Connection) -> None:
    file: DatabaseFile | None = connection.get_execution_options().get("file")
    if file is not None:
        file.check()
        file.check_log(_driver_connection(connection), connection.info)


def _driver_connection(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that writes; commits at the end, rolls back on any error. Raises DatabaseReplaced, also
    where it was committed to a file that nobody will read."""
    last: list[Callable[[sa.Connection], None]] = []
    with _anew_if_read_only(engine), engine.connect() as connection:
        connection.execution_options(write=True, last=last)
        with connection.begin():
            yield connection
            for each in last:
                each(connection)
            last.clear()  # what it holds is not to wait for the connection to be forgotten
        _check_file(connection)


@contextmanager
def erasing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """The same, for what is not to be found in the file either: SQLite overwrites what is removed, and takes
    over its log, unless somebody is reading then. PostgreSQL does it by VACUUM."""
    is_sqlite = engine.dialect.name == "sqlite"
    with writing(engine) as connection:
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
        yield connection
    if is_sqlite:
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def at_the_end(connection: sa.Connection, do: Callable[[sa.Connection], None]) -> None:
    """Have something done right before a transaction of `writing` commits, in the order of asking: what all
    writers wait for is locked last, and held shortest."""
    connection.get_execution_options()["last"].append(do)


@contextmanager
def migrating(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that changes the schema. SQLite cannot alter a table in every way, so some are built
    anew under their name: its foreign keys are off meanwhile, and checked before the commit."""
    if engine.dialect.name != "sqlite":
        with writing(engine) as connection:
            yield connection
        return
    last: list[Callable[[sa.Connection], None]] = []
    with engine.connect() as connection:
        connection.execution_options(write=True, last=last)
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys=OFF")  # does nothing inside a transaction
        try:
            with connection.begin():
                yield connection
                for each in last:
                    each(connection)
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                assert not broken, f"the migration left rows without what they refer to: {broken[:3]}"
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


def says_full(error: BaseException) -> bool:
    """Whether the database had no room to write, as SQLite or PostgreSQL says it."""
    return _code(error) in ("SQLITE_FULL", "53100")


def may_not_write(error: BaseException) -> bool:
    """Whether the database can be read and not written: a standby, or one that somebody closed."""
    return _code(error) == "25006" or _code(error).startswith("SQLITE_READONLY")


def _code(error: BaseException) -> str:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that reads one consistent snapshot."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def asking(engine: sa.Engine) -> Iterator[sa.Connection]:
    """The same for statements each of which is enough by itself: on PostgreSQL it has a snapshot of its own,
    without being told where a transaction begins and ends."""
    if engine.dialect.name != "postgresql":
        with reading(engine) as connection:
            yield connection
        return
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def reading_anything(engine: sa.Engine) -> Iterator[sa.Connection]:
    """The same, also where somebody wrote texts into an SQLite file that are none: what is not UTF-8 is kept
    as surrogates."""
    with reading(engine) as connection:
        if engine.dialect.name != "sqlite":
            yield connection
            return
        driver: Any = connection.connection.driver_connection
        driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        try:
            yield connection
        finally:
            driver.text_factory = str


# What it comes to where something that is stored is not what this service writes. A database that does not
# answer is none of them.
UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def is_no_text(error: BaseException) -> bool:
    """Whether what was to be read is no text, though it is stored as one (SQLite)."""
    return isinstance(error, sa.exc.DBAPIError) and "Could not decode to UTF-8" in str(error.orig)


def insert_into(connection: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that may meet a row that is there: with `on_conflict_do_nothing` and `on_conflict_do_update`,
    which both engines say alike, and SQLAlchemy keeps with each."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
