"""ClickHouse's tables, as numbered migrations. A migration that was released is never edited.

On a cluster each table is replicated, split among the shards by account, and reached through a distributed
table of the same name.
"""

from __future__ import annotations

from typing import NamedTuple

from metering.store.clickhouse.address import Address
from metering.store.clickhouse.connection import Connection
from metering.store.clickhouse.errors import EventsUnavailable

STATEMENTS = "task_run_statements"
MARKS = "task_run_marks"
MIGRATIONS = "meter_migrations"
# One row: which installation's events these are (`home`).
HOMES = "meter_homes"

# The month (as 202610) in which a run was created, where its id is a UUID of version 7 of a sane year; else
# 0. It never changes for a run, so all that is said of one lies in one partition, however late it comes.
CREATED_MS = "reinterpretAsUInt64(reverse(substring(run_key, 1, 6)))"
IS_V7 = (
    "(length(run_key) = 16 AND bitShiftRight(reinterpretAsUInt8(substring(run_key, 7, 1)), 4) = 7"
    " AND bitShiftRight(reinterpretAsUInt8(substring(run_key, 9, 1)), 6) = 2)"
)
RUN_MONTH = f"""if(length(run_key) = 16 AND bitShiftRight(reinterpretAsUInt8(substring(run_key, 7, 1)), 4) = 7
        AND {CREATED_MS} BETWEEN 1577836800000 AND 2524607999999,
        toUInt32(toYYYYMM(fromUnixTimestamp64Milli(toInt64({CREATED_MS}), 'UTC'))), toUInt32(0))"""
# One row an event that was accepted. Ordered for what is asked of one account.
_COLUMNS = f"""
    account String CODEC(ZSTD(1)),
    run_key String CODEC(ZSTD(3)),
    position UInt64 CODEC(Delta, ZSTD(1)),
    outcome UInt8 CODEC(ZSTD(1)),
    ended_at Int64 CODEC(Delta, ZSTD(1)),
    duration_us Int64 CODEC(ZSTD(1)),
    workspace LowCardinality(String) CODEC(ZSTD(1)),
    flow LowCardinality(String) CODEC(ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1)),
    run_month UInt32 MATERIALIZED {RUN_MONTH} CODEC(ZSTD(1))"""
_INDEXES = ",\n    INDEX by_end ended_at TYPE minmax GRANULARITY 1"
_LAYOUT = "PARTITION BY run_month ORDER BY (account, run_key, position)"
# One row an event, too: what tells a duplicate, in the order of the runs' creation (0 where the id does not
# tell). A batch of new runs, whose duplicates are looked for among all that is held, touches only the newest.
_MARK_COLUMNS = """
    run_second UInt32 CODEC(Delta, ZSTD(1)),
    fingerprint Int64 CODEC(NONE),
    key_tail UInt32 CODEC(NONE),
    position UInt64 CODEC(Delta, ZSTD(1))"""
_MARK_LAYOUT = (
    "PARTITION BY if(run_second = 0, 0, toYYYYMM(toDateTime(run_second, 'UTC')))"
    " ORDER BY (run_second, fingerprint)"
)
# An insert is answered once its files are on disk, not when the system has promised to write them.
_DURABLE = "index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1"

# The answer to an insert may be lost; sent again, it is known by its token among so many later ones.
_REMEMBERED = 1000


# Of these tables every server of a cluster has all rows.
_EVERYWHERE = "ReplicatedMergeTree('/clickhouse/tables/{database}/{table}', '{shard}-{replica}')"


class Migration(NamedTuple):
    """What a single server is told, and a cluster, where {cluster} and {database} stand for their names."""

    number: int
    single: tuple[str, ...]
    cluster: tuple[str, ...]


ALL = (
    Migration(
        1,
        single=(
            f"CREATE TABLE IF NOT EXISTS {STATEMENTS} ({_COLUMNS}{_INDEXES}\n) ENGINE = MergeTree {_LAYOUT}"
            f" SETTINGS {_DURABLE}, non_replicated_deduplication_window = {_REMEMBERED}",
            f"CREATE TABLE IF NOT EXISTS {MARKS} ({_MARK_COLUMNS}\n) ENGINE = MergeTree {_MARK_LAYOUT}"
            f" SETTINGS {_DURABLE}, non_replicated_deduplication_window = {_REMEMBERED}",
            f"CREATE TABLE IF NOT EXISTS {HOMES} (id String) ENGINE = MergeTree ORDER BY id",
        ),
        cluster=(
            f"CREATE TABLE IF NOT EXISTS {STATEMENTS}_shard ON CLUSTER `{{cluster}}` ({_COLUMNS}{_INDEXES}\n)"
            f" ENGINE = ReplicatedMergeTree {_LAYOUT}"
            f" SETTINGS {_DURABLE}, replicated_deduplication_window = {_REMEMBERED}",
            f"CREATE TABLE IF NOT EXISTS {STATEMENTS} ON CLUSTER `{{cluster}}` ({_COLUMNS}\n)"
            f" ENGINE = Distributed(`{{cluster}}`, `{{database}}`, {STATEMENTS}_shard, cityHash64(account))",
            f"CREATE TABLE IF NOT EXISTS {MARKS}_shard ON CLUSTER `{{cluster}}` ({_MARK_COLUMNS}\n)"
            f" ENGINE = ReplicatedMergeTree {_MARK_LAYOUT}"
            f" SETTINGS {_DURABLE}, replicated_deduplication_window = {_REMEMBERED}",
            f"CREATE TABLE IF NOT EXISTS {MARKS} ON CLUSTER `{{cluster}}` ({_MARK_COLUMNS}\n)"
            f" ENGINE = Distributed(`{{cluster}}`, `{{database}}`, {MARKS}_shard, cityHash64(fingerprint))",
            f"CREATE TABLE IF NOT EXISTS {HOMES} ON CLUSTER `{{cluster}}` (id String)"
            f" ENGINE = {_EVERYWHERE} ORDER BY id",
        ),
    ),
)


def migrate(address: Address) -> None:
    """Bring ClickHouse to the newest schema; nothing happens if it is there already."""
    cluster = f" ON CLUSTER `{address.cluster}`" if address.cluster else ""
    server = Connection(address, database=False)
    server.tell(f"CREATE DATABASE IF NOT EXISTS `{address.database}`{cluster}")
    server.close()
    clickhouse = Connection(address)
    clickhouse.tell(
        f"CREATE TABLE IF NOT EXISTS {MIGRATIONS}{cluster}"
        " (number UInt32, applied_at DateTime DEFAULT now())"
        f" ENGINE = {_EVERYWHERE if cluster else 'MergeTree'} ORDER BY number"
    )
    held = applied(clickhouse)
    for migration in ALL:
        if migration.number not in held:
            for statement in statements(migration, address):
                clickhouse.tell(statement)
            clickhouse.tell(f"INSERT INTO {MIGRATIONS} (number) VALUES ({migration.number})")
    clickhouse.close()


def statements(migration: Migration, address: Address) -> list[str]:
    """What an address is told for a migration."""
    if not address.cluster:
        return list(migration.single)
    return [
        statement.replace("{cluster}", address.cluster).replace("`{database}`", f"`{address.database}`")
        for statement in migration.cluster
    ]


def applied(clickhouse: Connection) -> set[int]:
    """The numbers of the migrations that were applied."""
    return {int(row[0]) for row in clickhouse.rows(f"SELECT number FROM {MIGRATIONS}")}


def is_current(clickhouse: Connection) -> bool:
    """Whether the newest schema is there."""
    try:
        return {migration.number for migration in ALL} <= applied(clickhouse)
    except EventsUnavailable as error:
        if error.unknown_table:
            return False
        raise
