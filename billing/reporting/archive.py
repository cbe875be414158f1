"""Runs of invoices that were issued, as Parquet files: what proves a quantity, kept apart from the database.

One file an invoice, `month=2026-10/account=acme/2026-10-000001.parquet`: every task run of its account and
month as of its cutoff, billed or not, ascending by id. A file is written beside its place, read again,
compared with the invoice (counts by day and outcome, and the run list's SHA-256), and only then put there: so
whatever has its name is whole. Nothing is removed from the store (docs/decisions/0013).

Needs the extra `archive` (pyarrow).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from billing.billing_month import counts_data
from billing.errors import Invalid, NotFound
from billing.invoices import list_invoices
from billing.repository.invoices import Invoice
from metering.outcome import Outcome
from metering.period import Month
from metering.run_list import MonthUsage, month_usage, run_list
from metering.store import EventStore
from metering.usage import Run

_PIECE = 50_000
_PAGE = 200
# Run lists of drafts are not final.
_ISSUED = ("finalized", "open", "paid", "void", "uncollectible")

Progress = Callable[[int, int | None], None]


@dataclass(slots=True)
class Archived:
    """What a call did. `kept` were there and right already; `differing` are invoices whose runs are not, or
    no longer, what the invoice says."""

    written: int = 0
    kept: int = 0
    runs: int = 0
    bytes: int = 0
    differing: list[str] = field(default_factory=list)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "written": self.written,
            "kept": self.kept,
            "runs": self.runs,
            "bytes": self.bytes,
            "differing": self.differing,
        }


def archive(
    engine: sa.Engine,
    store: EventStore,
    before: Month,
    folder: Path,
    *,
    progress: Progress = lambda done, total: None,
) -> Archived:
    """The runs of every issued usage invoice for a month before `before`. Stopped or killed, it goes on where
    it was when it is repeated."""
    _require_pyarrow()
    done = Archived()
    for number, invoice in enumerate(_issued(engine, before), start=1):
        _archive_one(store, invoice, place_of(invoice, folder), done)
        progress(number, None)
    return done


def _issued(engine: sa.Engine, before: Month) -> Iterator[Invoice]:
    """A page at a time: there may be many."""
    last: str | None = None
    while page := list_invoices(engine, after=last, limit=_PAGE):
        last = page[-1].id
        for each in page:
            if each.cutoff is not None and each.status in _ISSUED and each.month < before:
                yield each


def _require_pyarrow() -> None:
    if find_spec("pyarrow") is None:
        raise Invalid("an archive needs pyarrow; install it: pip install 'success-billing[archive]'")


def place_of(invoice: Invoice, folder: Path) -> Path:
    name = f"{invoice.number or invoice.id}.parquet"
    return folder / f"month={invoice.month}" / f"account={invoice.account}" / name


def archived_run_list(invoice: Invoice, folder: Path) -> Iterator[bytes]:
    """The CSV of the runs that an invoice bills, from its file: the same bytes as from the store. Raises
    NotFound, and Invalid where the file is not what the invoice says."""
    _require_pyarrow()
    place = place_of(invoice, folder)
    if not place.exists():
        raise NotFound(f"there is no {place}; archive it, or name the folder of the archive")
    if not _is_right(invoice, place):
        raise Invalid(f"{place} is not what invoice {invoice.number} says; restore it", field="archive")
    return run_list(_read(place))


def _archive_one(store: EventStore, invoice: Invoice, place: Path, done: Archived) -> None:
    if place.exists() and _is_right(invoice, place):
        done.kept += 1
        return
    assert invoice.cutoff is not None
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_suffix(f".{os.getpid()}.part")
    try:
        runs = store.runs(invoice.account, invoice.month.start, invoice.month.end, invoice.cutoff)
        written = _write(invoice, runs, beside)
        if not _is_right(invoice, beside):
            done.differing.append(invoice.number or invoice.id)
            return
        beside.replace(place)
        _to_disk(place.parent)
    finally:
        beside.unlink(missing_ok=True)
    done.written += 1
    done.runs += written
    done.bytes += place.stat().st_size


def _write(invoice: Invoice, runs: Iterator[Run], file: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("task_run_id", pa.string()),
            ("outcome", pa.dictionary(pa.int8(), pa.string())),
            ("ended_at", pa.timestamp("us", tz="UTC")),
            ("duration_us", pa.int64()),
            ("workspace", pa.dictionary(pa.int32(), pa.string())),
            ("flow", pa.dictionary(pa.int32(), pa.string())),
            ("source", pa.dictionary(pa.int32(), pa.string())),
        ],
        metadata={
            "invoice": invoice.id,
            "cutoff": str(invoice.cutoff),
            "run_list_sha256": str(invoice.run_list_sha256),
        },
    )
    written = 0
    with file.open("wb") as sink:
        with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
            while piece := list(islice(runs, _PIECE)):
                columns: list[Any] = [list(column) for column in zip(*map(_row, piece), strict=True)]
                arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                written += len(piece)
        sink.flush()
        os.fsync(sink.fileno())
    return written


def _row(run: Run) -> tuple[str, str, int, int, str, str, str]:
    return (
        run.task_run_id,
        run.outcome.reason,
        run.ended_at,
        run.duration_us,
        run.workspace,
        run.flow,
        run.source,
    )


def _read(file: Path) -> Iterator[Run]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    outcomes = {outcome.reason: outcome for outcome in Outcome}
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(_PIECE):
            ends = batch.column("ended_at").cast(pa.int64()).to_pylist()
            names = ("task_run_id", "outcome", "duration_us", "workspace", "flow", "source")
            columns = (batch.column(name).to_pylist() for name in names)
            for end, run, outcome, duration_us, *labels in zip(ends, *columns, strict=True):
                yield Run(run, outcomes[outcome], end, duration_us, *labels)


def _is_right(invoice: Invoice, file: Path) -> bool:
    """Whether a file comes to what the invoice says."""
    import pyarrow as pa

    try:
        usage: MonthUsage = month_usage(_read(file))
    except (pa.ArrowException, KeyError, OSError):
        return False
    by_day = {day: counts_data(counts) for day, counts in usage.by_day.items()}
    said = {day: dict(counts) for day, counts in invoice.usage_by_day.items()}
    return usage.run_list_sha256 == invoice.run_list_sha256 and by_day == said


def _to_disk(folder: Path) -> None:
    """The name of a file is on disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
