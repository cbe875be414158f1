"""Takes the names of workspaces and flows from what an account ran. What counts keeps its number: runs, their
ids, times and outcomes, which invoices are proved by, stay as they are."""

from __future__ import annotations

import sqlalchemy as sa

from metering.pairing.tables import run_halves
from metering.store.tables import accounts, labels

ERASED = "erased"


def erase_names(connection: sa.Connection, account: str) -> int:
    """Give each label of an account a name that says nothing, in the caller's transaction; answers how many
    had another. Other processes may show those that they remember until they are started anew."""
    mine = labels.c.account_id.in_(sa.select(accounts.c.id).where(accounts.c.account == account))
    said = (labels.c.workspace + labels.c.flow != "") & ~labels.c.flow.startswith(f"{ERASED}-")
    without = {"workspace": "", "flow": sa.literal(f"{ERASED}-") + sa.cast(labels.c.id, sa.Text)}
    done = connection.execute(labels.update().where(mine, said).values(without))
    connection.execute(
        run_halves.update().where(run_halves.c.account == account).values(workspace="", flow="")
    )
    return done.rowcount
