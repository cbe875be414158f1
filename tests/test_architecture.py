"""The rules of the house, as docs/design.md draws them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import billing.customer_tables
import billing.notification_tables
import billing.operator_tables
import billing.stripe_tables
import billing.tables
import metering.collecting.tables
import metering.pairing.tables
import metering.store.changes
import metering.store.tables

ROOT = Path(__file__).parent.parent


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_houses_and_pure_cores() -> None:
    """Metering knows no price; the cores import nothing that touches the world."""
    _run(sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")


def test_style_and_the_one_clock() -> None:
    """Ruff, with its ban of reading the clock outside metering/clock.py."""
    _run(sys.executable, "-m", "ruff", "check", "--no-cache", ".")
    _run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".")


def test_types(tmp_path: Path) -> None:
    _run(sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path))


def test_the_folder_of_migrations_does_not_shadow_the_library() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_only_the_gateway_knows_the_sdk_of_stripe() -> None:
    using = [
        path.relative_to(ROOT).as_posix()
        for house in ("billing", "metering")
        for path in (ROOT / house).rglob("*.py")
        if any(
            line.startswith(("import stripe", "from stripe ", "from stripe."))
            for line in path.read_text().splitlines()
        )
    ]
    assert using and all(path.startswith("billing/payments/stripe_gateway/") for path in using)


def test_a_command_does_not_wait_for_what_only_reports_need() -> None:
    """Pandas takes longer to import than everything else together."""
    modules = (
        "billing.cli",
        "billing.app",
        "billing.reporting.contract_report",
        "billing.reporting.contract_page",
        "billing.reporting.invoice_pdf",
    )
    found = "{'pandas', 'numpy', 'jinja2', 'typst', 'xlsxwriter', 'pyarrow'} & set(sys.modules)"
    _run(sys.executable, "-c", f"import sys, {', '.join(modules)}; assert not {found}, {found}")


def test_the_migrations_make_the_tables_of_the_code(engine: sa.Engine) -> None:
    both = [metering.store.tables.metadata, billing.tables.metadata]
    if engine.dialect.name == "postgresql":
        both.append(metering.store.changes.metadata)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, both)  # type: ignore[arg-type]
    assert differences == []


def test_every_file_is_short_enough_to_be_read_at_once() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for folder in ("metering", "billing", "alembic", "scripts")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 330
    }
    assert long == {}
