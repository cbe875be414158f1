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
MIGRATIONS = "meter_migrations"
# One row: which installation's events these are (`home`).
HOMES = "meter_homes"

# The month (as 202610) in which a run was created, where its id is a UUID of version 7 of a sane year; else
# 0. It never changes for a run, so all that is said of one lies in one partition, however late it comes.
_CREATED_MS = "reinterpretAsUInt64(reverse(substring(run_key, 1, 6)))"
RUN_MONTH = f"""if(length(run_key) = 16 AND bitShiftRight(reinterpretAsUInt8(substring(run_key, 7, 1)), 4) = 7
        AND {_CREATED_MS} BETWEEN 1577836800000 AND 2524607999999,
        toUInt32(toYYYYMM(fromUnixTimestamp64Milli(toInt64({_CREATED_MS}), 'UTC'))), toUInt32(0))"""
RUN_HOUR = f"if({RUN_MONTH} = 0, toUInt32(0), toUInt32(intDiv({_CREATED_MS}, 3600000)))"

# One row an event that was accepted. Ordered for what is asked of one account; the projection is the same
# rows' fingerprints in the order of the runs' creation, so that a batch of new runs, whose duplicates are
# looked for among all that is held, touches only the newest of them.
_COLUMNS = f"""
    account String CODEC(ZSTD(1)),
    run_key String CODEC(ZSTD(1)),
    fingerprint Int64 CODEC(NONE),
    position UInt64 CODEC(Delta, ZSTD(1)),
    outcome UInt8 CODEC(ZSTD(1)),
    ended_at Int64 CODEC(Delta, ZSTD(1)),
    duration_us Int64 CODEC(ZSTD(1)),
    workspace LowCardinality(String) CODEC(ZSTD(1)),
    flow LowCardinality(String) CODEC(ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1)),
    run_month UInt32 MATERIALIZED {RUN_MONTH} CODEC(ZSTD(1)),
    run_hour UInt32 MATERIALIZED {RUN_HOUR} CODEC(Delta, ZSTD(1))"""
_INDEXES = """,
    INDEX by_end ended_at TYPE minmax GRANULARITY 1,
    INDEX by_position position TYPE minmax GRANULARITY 1,
    PROJECTION by_creation (SELECT run_hour, fingerprint ORDER BY run_hour, fingerprint)"""
_LAYOUT = "PARTITION BY run_month ORDER BY (account, run_key, fingerprint, position)"
# An insert is answered once its files are on disk, not when the system has promised to write them. Rows may
# be deleted, though the projection has them too.
_DURABLE = (
    "index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1,"
    " lightweight_mutation_projection_mode = 'rebuild'"
)

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
            f"CREATE TABLE IF NOT EXISTS {HOMES} (id String) ENGINE = MergeTree ORDER BY id",
        ),
        cluster=(
            f"CREATE TABLE IF NOT EXISTS {STATEMENTS}_shard ON CLUSTER `{{cluster}}` ({_COLUMNS}{_INDEXES}\n)"
            f" ENGINE = ReplicatedMergeTree {_LAYOUT}"
            f" SETTINGS {_DURABLE}, replicated_deduplication_window = {_REMEMBERED}",
            f"CREATE TABLE IF NOT EXISTS {STATEMENTS} ON CLUSTER `{{cluster}}` ({_COLUMNS}\n)"
            f" ENGINE = Distributed(`{{cluster}}`, `{{database}}`, {STATEMENTS}_shard, cityHash64(account))",
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
