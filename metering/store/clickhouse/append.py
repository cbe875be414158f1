"""One append to ClickHouse: what of a batch is new, the insert of it, and its place among the commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
from numpy.typing import NDArray

from metering.store.clickhouse import queries
from metering.store.clickhouse.block import (
    COLUMNS,
    MARK_COLUMNS,
    MARK_STRUCTURE,
    Positions,
    insert_block,
    mark_block,
    marks_asked,
)
from metering.store.clickhouse.connection import GIVEN, Connection
from metering.store.clickhouse.journal import Journal, Publication, Seen, Withdrawn
from metering.store.clickhouse.schema import MARKS, STATEMENTS
from metering.store.clickhouse.statements import Mark, Statements

Mask = NDArray[np.bool_]


class Append:
    """`run` answers for each event whether it was accepted."""

    def __init__(self, connection: Connection, journal: Journal) -> None:
        self._connection = connection
        self._journal = journal

    def run(self, batch: Statements, now: int) -> list[bool]:
        seen = self._journal.seen()
        accepted = ~batch.repeat()
        if seen.high:
            accepted &= ~self._held(batch, seen)
        while accepted.any():
            try:
                accepted[accepted] = self._commit(batch.where(accepted), seen, now)
                break
            except Withdrawn:
                continue
        answers: list[bool] = accepted.tolist()
        return answers

    def _commit(self, new: Statements, seen: Seen, now: int) -> Mask:
        """Insert and publish what was new when it was compared with what is `seen`; answers what of it still
        is. Raises Withdrawn."""
        position = self._journal.begin()
        try:
            self._insert(new, position)
            with self._journal.publishing(position, seen) as publication:
                accepted = ~self._brought_by(publication, new)
                if accepted.any():
                    publication.commit(now)
                else:
                    publication.withdraw()
                return accepted
        except Withdrawn:
            raise
        except BaseException:
            self._journal.withdraw(position)
            raise

    def _insert(self, statements: Statements, position: int) -> None:
        with self._journal.one_insert() if self._connection.address.cluster else nullcontext():
            insert(self._connection, statements, np.full(statements.rows, position), token=str(position))

    def _held(self, batch: Statements, seen: Seen) -> Mask:
        return batch.are_among(self._marks(queries.marks(seen, GIVEN), batch))

    def _brought_by(self, publication: Publication, new: Statements) -> Mask:
        """Which were published by others since the batch was compared."""
        if not publication.since:
            return np.zeros(new.rows, dtype=np.bool_)
        return new.are_among(self._marks(queries.marks_at(publication.since, GIVEN), new))

    def _marks(self, query: str, asked: Statements) -> Iterator[Mark]:
        for block in self._connection.columns(query, given=(MARK_STRUCTURE, marks_asked(asked))):
            columns = (block.by_name["fingerprint"].tolist(), block.by_name["key_tail"].tolist())
            yield from zip(*columns, strict=True)


def insert(connection: Connection, statements: Statements, positions: Positions, token: str) -> None:
    """Statements and their marks, on disk when this returns. What has no published position does not count,
    so it does not matter what there is if it fails between the two."""
    connection.insert(MARKS, MARK_COLUMNS, mark_block(statements, positions), token)
    connection.insert(STATEMENTS, COLUMNS, insert_block(statements, positions), token)
