"""A wheel built from the tree works outside it, and brings nothing that is not ours."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_the_two_houses_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"billing", "metering"}
    for needed in (
        "billing/migrations/env.py",
        "billing/data/catalogue.json",
        "billing/reporting/templates/contract_report.html",
        "billing/reporting/templates/invoice.typ",
        "metering/sources/samples/prefect-events.ndjson",
    ):
        assert needed in names


def test_it_works_outside_the_tree(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}

    def billing(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "billing.cli", *arguments],
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "bk_admin_" in billing("init")
    assert "starter@2021-02" in billing("plans", "list")
    assert "2026-10-000001" in billing("demo")
    where = subprocess.run(
        [sys.executable, "-c", "import billing; print(billing.__file__)"],
        cwd=tmp_path, env={**inherited, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(site))
