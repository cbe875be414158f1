"""Numbers of documents: without gaps within a prefix."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from billing.tables import invoice_numbers


def next_number(connection: sa.Connection, prefix: str) -> int:
    """Take the next number of a prefix. Within the transaction that issues the document: if that rolls back,
    the number was never taken."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = (
        insert(invoice_numbers)
        .values(prefix=prefix, last=1)
        .on_conflict_do_update(
            index_elements=[invoice_numbers.c.prefix], set_={"last": invoice_numbers.c.last + 1}
        )
        .returning(invoice_numbers.c.last)
    )
    number: int | None = connection.scalar(statement)
    assert number is not None
    return number
