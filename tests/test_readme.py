"""The commands of the README, run one by one as a reader would copy them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BASH = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def _commands() -> list[str]:
    """Those of the blocks marked `bash`. The server, which does not end, and the path are the test's work."""
    lines = [line for block in _BASH.findall((ROOT / "README.md").read_text()) for line in block.splitlines()]
    return [line for line in lines if not line.startswith(("export PATH", "billing serve"))]


def test_the_commands_of_the_readme(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    programs = tmp_path / "bin"
    programs.mkdir()
    billing = programs / "billing"
    billing.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m billing.cli "$@"\n')
    billing.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    environment = {**inherited, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    commands = _commands()
    assert len(commands) >= 11
    output = {}
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        output[command] = done.stdout + done.stderr
    digest = output["billing invoices runs 2026-10-000001 | sha256sum"].split()[0]
    assert digest in output["billing invoices show 2026-10-000001"].replace("\n", "")


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in _LINK.findall(document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
