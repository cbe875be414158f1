"""Counts that are put off: what a commit changes in the counters is one row, which is added to them together
with others'. On PostgreSQL alone, where several write at once."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_ARRAYS = {
    "quantity": "int",
    "hour": "int",
    "month": "int",
    "account_id": "int",
    "label_id": "int",
    "outcome": "smallint",
}
_EACH = (
    f"SELECT c.position, e.* FROM usage_changes c, unnest({', '.join(_ARRAYS)}) AS e({', '.join(_ARRAYS)})"
)


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    columns = "".join(f", {name} {kind}[] NOT NULL" for name, kind in _ARRAYS.items())
    # Rows live for a moment: there is no use in packing them, and what they leave is to be swept up soon.
    op.execute(
        f"CREATE TABLE usage_changes (position bigint PRIMARY KEY{columns})"
        " WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,"
        " toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000)"
    )
    for name in _ARRAYS:
        op.execute(f"ALTER TABLE usage_changes ALTER {name} SET STORAGE EXTERNAL")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for counter, time, position in (
        ("hours", "hour", ""),
        ("days", "hour / 24", ""),
        ("months", "month", "max(position), "),
    ):
        label = "label_id, " if counter == "days" else ""
        key = f"{time}, account_id, {label}outcome"
        names = f"{'day' if counter == 'days' else counter[:-1]}, account_id, {label}outcome"
        later = f", position = greatest(usage_{counter}.position, excluded.position)" if position else ""
        op.execute(
            f"INSERT INTO usage_{counter} SELECT sum(quantity), {position}{key} FROM ({_EACH}) each GROUP BY {key}"
            f" ON CONFLICT ({names}) DO UPDATE SET quantity = usage_{counter}.quantity + excluded.quantity{later}"
        )
    op.execute("DROP TABLE usage_changes")
