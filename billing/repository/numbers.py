"""Numbers of documents: without gaps within a prefix."""

from __future__ import annotations

import sqlalchemy as sa

from billing.tables import invoice_numbers
from metering.database import insert_into


def next_number(connection: sa.Connection, prefix: str, quantity: int = 1) -> int:
    """Take the next number of a prefix, or the first of so many. Within the transaction that issues the
    documents: if that rolls back, no number was taken."""
    statement = (
        insert_into(connection, invoice_numbers)
        .values(prefix=prefix, last=quantity)
        .on_conflict_do_update(
            index_elements=[invoice_numbers.c.prefix], set_={"last": invoice_numbers.c.last + quantity}
        )
        .returning(invoice_numbers.c.last)
    )
    last: int | None = connection.scalar(statement)
    assert last is not None
    return last - quantity + 1
