"""examples/close_a_month.ipynb, its cells one after the other in a process of its own, on real exports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from billing.exports.operation import Format, What, export, file_name, write_file
from billing.invoices import each_invoice
from billing.reporting.proof import invoice_run_list
from metering.period import DAY_US, Month
from tests.billing.exports.world import busy_month
from tests.billing.months import bill_all
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import OCTOBER, World

NOTEBOOK = Path(__file__).parents[1] / "examples" / "close_a_month.ipynb"
# What Jupyter does with it: cells in order, in one namespace.
_RUN = """
import json, sys
held = {}
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), cell["id"], "exec"), held)
print(len(held["picture"].style.to_html()) > 500)
"""


@pytest.fixture(scope="module")
def exports(sqlite_databases: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """October's exports, and the journals from September on, as the commands of its first cell write them."""
    world = busy_month(sqlite_databases())
    world.instant = max(world.instant, Month(2026, 12).start + DAY_US)
    folder = tmp_path_factory.mktemp("exports")
    for what in ("usage", "invoices", "revenue"):
        _write(world, what, OCTOBER, "csv", folder)
    for month in (OCTOBER.previous(), OCTOBER, OCTOBER.next()):
        _write(world, "journal", month, "parquet", folder)
    _write_run_lists(world, folder)
    return folder


def _write_run_lists(world: World, folder: Path) -> None:
    (folder / "runs").mkdir()
    for invoice in each_invoice(world.engine, month=OCTOBER):
        if invoice.kind == "usage" and invoice.number:
            with (folder / "runs" / f"{invoice.number}.csv").open("wb") as file:
                file.writelines(invoice_run_list(world.engine, world.store, invoice.id))


def _write(world: World, what: What, month: Month, form: Format, folder: Path) -> None:
    write_file(export(world.service, what, month), form, folder / file_name(what, month, form))


def run(exports: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _RUN, str(NOTEBOOK)],
        env={**os.environ, "EXPORTS": str(exports)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_month_is_closed(exports: Path) -> None:
    done = run(exports)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("checked: ")]
    assert told == [
        "checked: the lines of 5 invoices come to their totals",
        "checked: 4 run lists have the digests and the counts of their invoices",
        "checked: 11 entries balance",
        "checked: the trial balance comes to nothing in each currency",
        "checked: 5 invoices are on Accounts receivable with their totals, and what was paid",
        "checked: 5 lines of revenue are those of the journal",
        "checked: 30 figures of the report tie to the journal",
    ]
    assert done.stdout.splitlines()[-1] == "True"


def test_what_was_changed_stops_it(exports: Path) -> None:
    """An invoice's amount, by a cent."""
    place = exports / "invoices-2026-10.csv"
    held = place.read_text("utf-8")
    assert ",2.51," in held
    place.write_text(held.replace(",2.51,", ",2.52,", 1), "utf-8")
    done = run(exports)
    place.write_text(held, "utf-8")
    assert done.returncode != 0 and "AssertionError" in done.stderr


def test_an_invoice_that_is_not_in_the_journal_is_named(exports: Path) -> None:
    """All of its entry is gone, so what is left still balances."""
    number = pd.read_csv(exports / "invoices-2026-10.csv", dtype=str)["number"].dropna().iloc[0]
    place = next(
        each
        for each in sorted(exports.glob("journal-*.parquet"))
        if ((held := pd.read_parquet(each))["document"] == number).any()
    )
    before = place.read_bytes()
    gone = held[(held["document"] == number) & (held["kind"] == "invoice")]["entry"]
    assert len(gone)
    held[~held["entry"].isin(gone)].to_parquet(place)
    done = run(exports)
    place.write_bytes(before)
    assert done.returncode != 0 and "not in the journal with their totals" in done.stderr
    assert number in done.stderr


def test_a_month_without_receivables(sqlite_databases: NewDatabase, tmp_path: Path) -> None:
    """Nobody had anything to pay: nothing is outstanding, and nothing is wrong."""
    folder = tmp_path
    world = World(sqlite_databases())
    world.account("quiet", since="2026-10")
    world.send(runs(2, account="quiet"))
    bill_all(world, OCTOBER)
    _write_run_lists(world, folder)
    for what in ("usage", "invoices", "revenue"):
        _write(world, what, OCTOBER, "csv", folder)
    _write(world, "journal", OCTOBER, "parquet", folder)
    done = run(folder)
    assert done.returncode == 0, done.stderr
    assert "nothing is outstanding" in done.stdout


def test_it_holds_no_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code")
