"""An invoice is checked as its customer does: by its figures in JSON and its run list, with the script of
`docs/proof.md`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from billing.invoices import invoice_data
from billing.reporting.proof import checkable, invoice_run_list
from billing.repository.invoices import Invoice
from metering.store import EventStore
from scripts import verify_invoice


def check(engine: sa.Engine, store: EventStore, invoice: Invoice, *, with_runs: bool) -> None:
    """`with_runs`: the store keeps the events themselves, so there is a run list."""
    data: dict[str, Any] = json.loads(json.dumps(checkable(invoice_data(engine, invoice, 0))))
    said = list(verify_invoice.check_lines(data))
    if with_runs and invoice.kind == "usage":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "runs.csv"
            path.write_bytes(b"".join(invoice_run_list(engine, store, invoice.id)))
            said += verify_invoice.check_run_list(data, str(path))
    wrong = [(sentence, found) for holds, sentence, found in said if holds is False]
    assert not wrong, f"{invoice.number}: {wrong}"
