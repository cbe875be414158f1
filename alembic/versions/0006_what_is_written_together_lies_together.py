"""Runs lie by bucket and counters by hour, each before the account; months have counters of their own."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATED = ("ended_at", "duration_us", "position")
_NAMED = ("label_id", "outcome")
_KEY = ("account_id", "run_key")

# The month of an instant, counted since January 1970.
_MONTH = {
    "sqlite": (
        "(strftime('%Y', ended_at / 1000000, 'unixepoch') - 1970) * 12"
        " + strftime('%m', ended_at / 1000000, 'unixepoch') - 1"
    ),
    "postgresql": (
        "(date_part('year', to_timestamp(ended_at / 1000000) AT TIME ZONE 'UTC')::int - 1970) * 12"
        " + date_part('month', to_timestamp(ended_at / 1000000) AT TIME ZONE 'UTC')::int - 1"
    ),
}
# The first 28 bits of a UUIDv7, which are of its time; 0 for any other id.
_BUCKET = {
    "sqlite": "bucket_of(run_key)",
    "postgresql": (
        "CASE WHEN length(run_key) = 16 AND get_byte(run_key, 6) >> 4 = 7 AND get_byte(run_key, 8) >> 6 = 2"
        " THEN (get_byte(run_key, 0) << 20) + (get_byte(run_key, 1) << 12) + (get_byte(run_key, 2) << 4)"
        " + (get_byte(run_key, 3) >> 4) ELSE 0 END"
    ),
}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    if dialect == "sqlite":
        raw: Any = op.get_bind().connection.driver_connection
        raw.create_function("bucket_of", 1, _bucket_of, deterministic=True)
    bucket, month = _BUCKET[dialect], _MONTH[dialect]
    for table in ("task_runs", "task_run_revisions", "usage_hours"):
        _set_aside(table)
    _create_new()
    stated, key = ", ".join(_STATED + _NAMED), ", ".join(_KEY)
    op.execute(
        f"INSERT INTO task_runs SELECT fingerprint, {stated}, revised, {bucket} AS bucket, {key}"  # noqa: S608
        " FROM old_task_runs ORDER BY bucket, account_id, run_key"
    )
    op.execute(
        f"INSERT INTO task_run_revisions SELECT fingerprint, {stated}, {bucket}, {key}"  # noqa: S608
        " FROM old_task_run_revisions"
    )
    op.execute(
        "INSERT INTO usage_hours SELECT sum(quantity), hour, account_id, outcome"
        " FROM old_usage_hours GROUP BY hour, account_id, outcome"
    )
    op.execute(
        "INSERT INTO usage_days SELECT sum(quantity), hour / 24 AS day, account_id, label_id, outcome"
        " FROM old_usage_hours GROUP BY hour / 24, account_id, label_id, outcome"
    )
    op.execute(f"INSERT INTO run_buckets SELECT DISTINCT {month} AS month, bucket FROM task_runs")  # noqa: S608
    # When a month last changed is not known: as if by the last commit.
    of_hour = month.replace("ended_at / 1000000", "hour * 3600")
    op.execute(
        "INSERT INTO usage_months SELECT sum(quantity),"  # noqa: S608
        " (SELECT coalesce(max(position), 0) FROM meter_commits), month, account_id, outcome"
        f" FROM (SELECT {of_hour} AS month, account_id, outcome, quantity FROM usage_hours) hours"
        " GROUP BY month, account_id, outcome"
    )
    for table in ("task_runs", "task_run_revisions", "usage_hours"):
        op.drop_table(f"old_{table}")


def downgrade() -> None:
    for table in ("task_runs", "task_run_revisions", "usage_hours"):
        _set_aside(table)
    _create_old()
    stated, key = ", ".join(("position", "outcome", "ended_at", "duration_us", "label_id")), ", ".join(_KEY)
    op.execute(f"INSERT INTO task_runs SELECT {key}, {stated}, fingerprint, revised FROM old_task_runs")  # noqa: S608
    op.execute(
        f"INSERT INTO task_run_revisions SELECT {key}, fingerprint, {stated} FROM old_task_run_revisions"  # noqa: S608
    )
    # By hour and label nothing is counted any more: it is, of the runs.
    op.execute(
        "INSERT INTO usage_hours SELECT account_id, ended_at / 3600000000, label_id, outcome, count(*)"
        " FROM task_runs WHERE revised = 0 GROUP BY 1, 2, 3, 4"
    )
    add = sa.text(
        "INSERT INTO usage_hours VALUES (:account, :hour, :label, :outcome, 1)"
        " ON CONFLICT (account_id, hour, label_id, outcome) DO UPDATE SET quantity = usage_hours.quantity + 1"
    )
    for counter in _of_revised():
        op.get_bind().execute(add, counter)
    for table in ("task_runs", "task_run_revisions", "usage_hours"):
        op.drop_table(f"old_{table}")
    op.drop_table("usage_days")
    op.drop_table("usage_months")
    op.drop_table("run_buckets")


def _of_revised() -> list[dict[str, int]]:
    """The counters of runs of which several events are known: of each the one that wins (docs/rules.md §2)."""
    rows = op.get_bind().execute(
        sa.text(
            "SELECT e.account_id, e.run_key, e.outcome, e.ended_at, e.duration_us, e.label_id, l.source, l.flow,"
            " l.workspace FROM (SELECT account_id, run_key, outcome, ended_at, duration_us, label_id FROM task_runs"
            " WHERE revised = 1 UNION ALL SELECT account_id, run_key, outcome, ended_at, duration_us, label_id"
            " FROM task_run_revisions) e JOIN meter_labels l ON l.id = e.label_id"
        )
    )
    best: dict[tuple[int, bytes], tuple[Any, ...]] = {}
    for account, key, outcome, ended_at, duration, label, *names in rows:
        said = (-outcome, ended_at, duration, *names, label)
        run = (account, bytes(key))
        best[run] = min(best.get(run, said), said)
    return [
        {"account": account, "hour": said[1] // 3_600_000_000, "label": said[-1], "outcome": -said[0]}
        for (account, _), said in best.items()
    ]


def _bucket_of(key: bytes) -> int:
    if len(key) == 16 and key[6] >> 4 == 7 and key[8] >> 6 == 2:
        return int.from_bytes(key[:4], "big") >> 4
    return 0


def _set_aside(table: str) -> None:
    op.rename_table(table, f"old_{table}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX {table}_pkey RENAME TO old_{table}_pkey")


def _columns(*names: str) -> list[sa.Column[Any]]:
    small, wide = {"outcome", "revised"}, {"fingerprint", "ended_at", "duration_us", "position", "quantity"}

    def kind(name: str) -> sa.types.TypeEngine[Any]:
        if name == "run_key":
            return sa.LargeBinary()
        return sa.BigInteger() if name in wide else sa.SmallInteger() if name in small else sa.Integer()

    return [sa.Column(name, kind(name), nullable=False) for name in names]


def _create(table: str, columns: tuple[str, ...], key: tuple[str, ...]) -> None:
    op.create_table(table, *_columns(*columns), sa.PrimaryKeyConstraint(*key), sqlite_with_rowid=False)


def _create_new() -> None:
    said = ("fingerprint", *_STATED, *_NAMED)
    _create("task_runs", (*said, "revised", "bucket", *_KEY), ("bucket", *_KEY))
    _create("task_run_revisions", (*said, "bucket", *_KEY), (*_KEY, "fingerprint"))
    hours = ("hour", "account_id", "outcome")
    _create("usage_hours", ("quantity", *hours), hours)
    days = ("day", "account_id", "label_id", "outcome")
    _create("usage_days", ("quantity", *days), days)
    months = ("month", "account_id", "outcome")
    _create("usage_months", ("quantity", "position", *months), months)
    _create("run_buckets", ("month", "bucket"), ("month", "bucket"))


def _create_old() -> None:
    said = ("position", "outcome", "ended_at", "duration_us", "label_id")
    _create("task_runs", (*_KEY, *said, "fingerprint", "revised"), _KEY)
    _create("task_run_revisions", (*_KEY, "fingerprint", *said), (*_KEY, "fingerprint"))
    hours = ("account_id", "hour", "label_id", "outcome")
    _create("usage_hours", (*hours, "quantity"), hours)
