"""`scripts/verify_invoice.py` as a customer runs it: a process of its own with the standard library alone, on
the invoices of the demo and on one with every term there is; and on copies of which something was changed."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from billing.app import make_service
from billing.credits import add_credit
from billing.demo.story import tell
from billing.explaining.explanation import Explanation
from billing.grandfathering import protect
from billing.invoices import invoice_data, list_invoices
from billing.programs import apply_program
from billing.reporting.proof import checkable, invoice_run_list
from metering.period import DAY_US, Month
from metering.settings import Settings
from tests.billing.months import NOVEMBER
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.tampered_invoice import TAMPERED
from tests.world import OCTOBER, World

SCRIPT = Path(__file__).parents[1] / "scripts" / "verify_invoice.py"


# Kinds of lines that rest on other documents: neither the invoice nor its run list says how much they are.
ELSEWHERE = ("adjustment", "instalment", "service")


class Files(NamedTuple):
    invoice: dict[str, Any]
    runs: bytes


def verify(folder: Path, invoice: dict[str, Any], runs: bytes) -> subprocess.CompletedProcess[str]:
    """Alone in a folder, without site packages, and with nothing of this machine's environment."""
    shutil.copy(SCRIPT, folder)
    (folder / "invoice.json").write_text(json.dumps(invoice))
    (folder / "runs.csv").write_bytes(runs)
    command = [sys.executable, "-I", "-S", SCRIPT.name, "invoice.json", "runs.csv"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={})


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Files]]:
    folder = tmp_path_factory.mktemp("demo")
    tell(folder / "billing-demo", quiet=True)
    url = f"sqlite:///{folder}/billing-demo/billing.db"
    service = make_service(Settings(_env_file=None, database_url=url))
    found = []
    for invoice in list_invoices(service.engine):
        listed = b""
        if invoice.kind == "usage":
            listed = b"".join(invoice_run_list(service.engine, service.store, invoice.id))
        found.append(Files(json.loads(json.dumps(invoice_data(service.engine, invoice, 0))), listed))
    yield found
    service.store.close()


@pytest.fixture(scope="module")
def everything(sqlite_databases: NewDatabase) -> Files:
    """November with brackets, a program, protection, an adjustment and credit; ids of every kind."""
    world = World(sqlite_databases())
    world.account("acme", since="2026-10")
    engine = world.engine
    world.send(runs(10_400))
    world.service.run_month(OCTOBER)
    apply_program(
        engine,
        "acme",
        "academia",
        percent="12.5",
        until=date(2027, 6, 1),
        starts_on=date(2026, 11, 1),
        by="test",
        now=world.instant,
    )
    protect(engine, "acme", "1.00", date(2027, 1, 1), from_month=NOVEMBER, now=world.instant, by="test")
    add_credit(engine, "acme", "0.30", "an outage", by="test", now=world.instant)
    world.send(runs(200, prefix="late"), runs(10_600, day="2026-11-05", prefix="november"))
    world.send([event('odd,"id"', end="2026-11-06T10:00:00.25Z", duration_us=1_000_001)])
    world.send(runs(7, day="2026-11-07", prefix="failed", state="FAILED"))
    world.instant = Month.parse("2026-12").start + 2 * DAY_US
    world.service.run_month(NOVEMBER)
    (invoice,) = list_invoices(engine, month=NOVEMBER)
    data = checkable(invoice_data(engine, invoice, world.instant))
    kinds = [line.kind.value for line in invoice.lines]
    assert kinds == ["usage", "usage", "program_discount", "price_protection", "adjustment", "credit"]
    return Files(json.loads(json.dumps(data)), b"".join(invoice_run_list(engine, world.store, invoice.id)))


def test_the_invoices_of_the_demo_hold(demo: list[Files], tmp_path: Path) -> None:
    assert {each.invoice["kind"] for each in demo} == {"usage", "contract"}
    assert any(each.invoice["contract"] for each in demo if each.invoice["kind"] == "usage")
    for each in demo:
        done = verify(tmp_path, *each)
        elsewhere = [line for line in each.invoice["lines"] if line["kind"] in ELSEWHERE]
        assert (done.returncode, done.stderr) == (3 if elsewhere else 0, ""), done.stdout
        last = done.stdout.splitlines()[-1]
        assert last.startswith(f"{each.invoice['number']} ({each.invoice['status']}): ")
        assert last.endswith(f" hold, 0 do not, {len(elsewhere)} not checked.")
        assert "DOES NOT" not in done.stdout
        assert done.stdout.count("NOT CHECKED: ") == len(elsewhere)


def test_it_is_short_enough_to_be_read() -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 100


def test_an_invoice_with_every_term_holds(everything: Files, tmp_path: Path) -> None:
    done = verify(tmp_path, *everything)
    assert (done.returncode, done.stderr) == (3, ""), done.stdout
    assert done.stdout.splitlines() == [
        "holds: The period is a calendar month.",
        "holds: The number begins with it.",
        "holds: The run list has the SHA-256 of the invoice.",
        "holds: The run list begins with its header.",
        "holds: Every line is a task run, a time and a duration.",
        "holds: The task runs are in order, and none is there twice.",
        "holds: Every task run ended in the month.",
        "holds: Every task run took longer than a second.",
        "holds: 10,601 task runs are billed.",
        "holds: Each day has as many task runs as the invoice says.",
        "holds: 0 were too_short, day by day and all.",
        "holds: 0 were cached, day by day and all.",
        "holds: 7 were failed, day by day and all.",
        "holds: 0 were crashed, day by day and all.",
        "holds: 0 were cancelled, day by day and all.",
        "holds: 0 were reversed, day by day and all.",
        "holds: 10,601 were billable, day by day and all.",
        "holds: 0 were drawn from committed runs.",
        "holds: Brackets, of usage alone, ascend; only the last is open; no price is negative.",
        "holds: 10,601 task runs by 'starter@2021-02', USD each: 10,000 at 0, 601 at 0.0025.",
        "holds: The kinds of lines are in their order.",
        "holds: Rounded once, half up: 'Task runs 1 to 10,000 (free)'.",
        "holds: After 0, 0 for: 'Task runs 1 to 10,000 (free)'.",
        "holds: Rounded once, half up: 'Task runs 10,001 to 10,601 at 0.0025 USD each'.",
        "holds: After 0, 150 for: 'Task runs 10,001 to 10,601 at 0.0025 USD each'.",
        "holds: Rounded once, half up: 'Program academia: 12.5% off 1.50 USD'.",
        "holds: After 150, -19 for: 'Program academia: 12.5% off 1.50 USD'.",
        "holds: Rounded once, half up: 'Price protection: at most 1.00 USD a month, ends on 2027-01-01'.",
        "holds: After 131, -31 for: 'Price protection: at most 1.00 USD a month, ends on 2027-01-01'.",
        "holds: Rounded once, half up: 'Adjustment for 2026-10: 200 task runs more'.",
        "NOT CHECKED: After 100, 50 for: 'Adjustment for 2026-10: 200 task runs more'.",
        "holds: Rounded once, half up: 'Account credit: an outage'.",
        "holds: After 150, -30 for: 'Account credit: an outage'.",
        "holds: The lines sum to the total, 120.",
        "2026-11-000001 (finalized): 33 hold, 0 do not, 1 not checked.",
    ]


def test_an_invoice_without_lines_of_other_documents_holds_whole(tmp_path: Path, everything: Files) -> None:
    """The adjustment taken off, and the credit that it paid for."""
    invoice = copy.deepcopy(everything.invoice)
    del invoice["lines"][4]
    invoice["total"] -= 50
    done = verify(tmp_path, invoice, everything.runs)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "2026-11-000001 (finalized): 32 hold, 0 do not, 0 not checked.",
    )


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_changed_is_found(everything: Files, tmp_path: Path, name: str) -> None:
    change, says = TAMPERED[name]
    invoice, lines = copy.deepcopy(everything.invoice), everything.runs.splitlines(keepends=True)
    change(invoice, lines)
    assert (invoice, b"".join(lines)) != everything, "nothing was changed"
    done = verify(tmp_path, invoice, b"".join(lines))
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    found = [line for line in done.stdout.splitlines() if line.startswith("DOES NOT HOLD (")]
    assert any(says in line for line in found), found
    assert f" hold, {len(found)} do not, " in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "RUNS.csv; these are not: IndexError"),
        (["invoice.json"], "IndexError"),
        (["nothing.json", "runs.csv"], "FileNotFoundError"),
        (["runs.csv", "runs.csv"], "JSONDecodeError"),
        (["list.json", "runs.csv"], "TypeError"),
        (["empty.json", "runs.csv"], "KeyError('kind')"),
        (["deep.json", "runs.csv"], "RecursionError"),
        (["invoice.json", "never.csv"], "day is out of range"),
    ],
)
def test_wrong_usage_is_told_in_a_line(
    everything: Files, tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "invoice.json").write_text(json.dumps(everything.invoice))
    (tmp_path / "runs.csv").write_bytes(everything.runs)
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    (tmp_path / "never.csv").write_bytes(everything.runs.replace(b"2026-11-05T", b"2026-11-31T", 1))
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "Checks an invoice and its run list, with Python 3.8 alone: "
        "python3 verify_invoice.py INVOICE.json RUNS.csv; these are not: "
    )
    assert says in line


def test_a_name_forges_no_sentence(everything: Files, tmp_path: Path) -> None:
    """Whatever is written in it, and whatever the terminal can show."""
    invoice = copy.deepcopy(everything.invoice)
    invoice["lines"][4]["description"] = "\ud800 late\nholds: everything."
    done = verify(tmp_path, invoice, everything.runs)
    assert (done.returncode, done.stderr) == (3, "")
    assert "holds: everything." not in done.stdout.splitlines()
    assert len(done.stdout.splitlines()) == len(verify(tmp_path, *everything).stdout.splitlines())


def test_it_agrees_with_coreutils(everything: Files, tmp_path: Path) -> None:
    """What docs/proof.md and the page tell a customer to type."""
    (tmp_path / "runs.csv").write_bytes(everything.runs)

    def told(command: str) -> str:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert told("sha256sum runs.csv").split()[0] == everything.invoice["run_list_sha256"]
    assert int(told("wc -l < runs.csv")) == everything.invoice["billable"] + 1
    rest = "tail -n +2 runs.csv | awk -F,"
    assert told(f"{rest} '$NF <= 1000000' | wc -l") == "0"
    by_day = told(f"{rest} '{{ print substr($(NF-1), 1, 10) }}' | sort | uniq -c").split()
    days = {
        day: held["billable"]
        for day, held in everything.invoice["usage_by_day"].items()
        if "billable" in held
    }
    assert dict(zip(by_day[1::2], map(int, by_day[::2]), strict=True)) == days


def test_the_document_says_what_the_explanation_says() -> None:
    """docs/proof.md has the commands of the page, and its example in the words of the command line."""
    document = (Path(__file__).parents[1] / "docs" / "proof.md").read_text()
    held = Explanation(
        {}, OCTOBER, "USD", (), run_list_sha256="0", file="2026-10-000001-runs.csv", billable=1
    )
    commands: Any = held.to_data()["proof"]
    assert len(commands["commands"]) == 4
    for each in commands["commands"]:
        assert each["command"] in document
    assert "2,345 runs × 0.0025 USD = 5.8625 USD" in document
