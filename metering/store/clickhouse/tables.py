"""What the SQL database knows of events that are kept in ClickHouse: positions under way, and where they are.

`meter_commits` stays the list of all commits of events, whichever store keeps them.
"""

from __future__ import annotations

import sqlalchemy as sa

from metering.store.tables import metadata

# One row an insert that is under way, or that came to nothing: rows in ClickHouse that have its position do
# not count, now or ever. It goes when the position becomes a commit.
inserts = sa.Table(
    "meter_inserts",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("withdrawn", sa.Boolean, nullable=False),
)

# At most one row: where events are kept if not in this database. `complete` once all of them are there;
# until then `copied_to` says up to which commit they were copied, and `under_way` how far the copying of
# later ones has come (`copying.Step`).
homes = sa.Table(
    "meter_homes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("copied_to", sa.BigInteger, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("under_way", sa.Text, nullable=False),
)
