"""The scripts that set the project up: what they install, when, and what they say. The registry is not asked:
a stand-in for Python records what it was told to install."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"
LOCKS = [
    "requirements.lock",
    "requirements-test.lock",
    "requirements-prefect.lock",
    "requirements-focus.lock",
]
TOOLS = ("bash", "cat", "dirname", "env", "flock", "mkdir", "rm")

# `-m venv DIR` makes an environment of this same stand-in; `-m pip …` is recorded; all else is real.
PYTHON = f"""#!/bin/bash
case "$1 $2" in
"-m venv")
    mkdir -p "$3/bin"
    cat "$0" > "$3/bin/python"; chmod +x "$3/bin/python"
    echo '#!/bin/bash
echo "billing $*"' > "$3/bin/billing"; chmod +x "$3/bin/billing"
    echo venv >> "$LOG" ;;
"-m pip")
    printf '%s %s\\n' "${{@: -2}}" >> "$LOG"
    [[ "$*" != *prefect.lock* ]] || [ ! -e "$LOG.offline" ] ;;
"-m pytest")
    echo "pytest ${{*:3}} in $PWD, profile ${{BILLING_TEST_PROFILE:-default}}"
    echo "prefect ${{BILLING_TEST_PREFECT_PYTHON-none}}" >> "$LOG.prefect"
    echo "focus ${{BILLING_TEST_FOCUS_PYTHON-none}}" >> "$LOG.focus" ;;
*) exec {sys.executable} "$@" ;;
esac
"""


class Clone:
    """A copy of the scripts in a folder of their own, on a machine with one Python."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone"
        self.log = folder / "log"
        self.bin = folder / "bin"
        self.away = folder / "away"
        for made in (self.root, self.bin, self.away):
            made.mkdir()
        shutil.copytree(SCRIPTS, self.root / "scripts")
        for name in ("pyproject.toml", *LOCKS):
            (self.root / name).write_text(name)
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        # The stand-in needs it, whatever the path of the machine is.
        chmod = shutil.which("chmod")
        assert chmod is not None
        (self.bin / "chmod").symlink_to(chmod)
        self.python(PYTHON)

    def python(self, text: str) -> None:
        (self.bin / "python3").write_text(text)
        (self.bin / "python3").chmod(0o755)

    def start(self, name: str, *args: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "scripts" / name, *args],
            cwd=self.away,
            env={"PATH": str(self.bin), "LOG": str(self.log), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str, *args: str) -> str:
        process = self.start(name, *args)
        out, err = process.communicate()
        assert process.returncode == 0, err
        return out

    @property
    def installed(self) -> list[str]:
        """What was done since last asked."""
        done = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return done

    @property
    def prefect(self) -> str:
        """What the tests were told of Prefect, the last time."""
        return (self.root.parent / "log.prefect").read_text().splitlines()[-1]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def steps(clone: Clone, lock: str) -> list[str]:
    return [f"-r {clone.root}/{lock}", f"-e {clone.root}"]


def test_the_scripts_can_be_started() -> None:
    for name in ("demo", "test", "soak", "lock"):
        assert os.access(SCRIPTS / name, os.X_OK)
        subprocess.run(["bash", "-n", SCRIPTS / name], check=True)


def test_the_demo_installs_once(clone: Clone) -> None:
    assert clone.run("demo", "--folder", "my demo") == "billing demo --folder my demo\n"
    assert clone.installed == ["venv", *steps(clone, "requirements.lock")]
    clone.run("demo")
    assert clone.installed == []


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_what_changed_is_installed_again(clone: Clone, changed: str) -> None:
    clone.run("demo")
    assert clone.installed
    (clone.root / changed).write_text("changed")
    clone.run("demo")
    assert clone.installed == steps(clone, "requirements.lock")


def test_the_tests_run_in_the_clone_with_their_arguments(clone: Clone) -> None:
    out = clone.run("test", "-k", "money")
    assert out == f"pytest -k money in {clone.root}, profile default\n"
    prefect = ["venv", f"-r {clone.root}/requirements-prefect.lock"]
    assert clone.installed == ["venv", *steps(clone, "requirements-test.lock"), *prefect]
    assert clone.run("soak").endswith("profile nightly\n")
    clone.run("demo")
    assert clone.installed == []  # what the tests need includes what the demo needs


def test_prefect_has_an_environment_of_its_own(clone: Clone) -> None:
    clone.run("test")
    assert clone.prefect == f"prefect {clone.root}/.venv-prefect/bin/python"
    (clone.root / "requirements-prefect.lock").write_text("changed")
    assert clone.installed
    clone.run("test")
    assert clone.installed == [f"-r {clone.root}/requirements-prefect.lock"]


def test_without_prefect_the_tests_run_all_the_same(clone: Clone) -> None:
    (clone.root.parent / "log.offline").touch()
    process = clone.start("test")
    _, err = process.communicate()
    assert process.returncode == 0
    assert "the tests with a real Prefect are skipped. They need the packages of requirements-" in err
    assert clone.prefect == "prefect none"
    # It is not tried at all where somebody says so.
    assert clone.installed
    process = clone.start("test", BILLING_TEST_PREFECT_PYTHON="")
    process.communicate()
    assert (process.returncode, clone.installed, clone.prefect) == (0, [], "prefect ")


def test_the_validator_of_focus_is_installed_where_there_is_its_python(clone: Clone) -> None:
    told = clone.root.parent / "log.focus"
    clone.run("test")
    assert told.read_text() == "focus none\n"
    assert clone.installed
    shutil.copy(clone.bin / "python3", clone.bin / "python3.12")
    clone.run("test")
    assert told.read_text().splitlines()[-1] == f"focus {clone.root}/.venv-focus/bin/python"
    assert f"-r {clone.root}/requirements-focus.lock" in clone.installed
    clone.run("test")
    assert clone.installed == []


def test_an_environment_that_is_broken_is_made_again(clone: Clone) -> None:
    clone.run("demo")
    assert clone.installed
    (clone.root / ".venv" / "bin" / "python").unlink()
    clone.run("demo")
    assert clone.installed == ["venv", *steps(clone, "requirements.lock")]


@pytest.mark.skipif(shutil.which("flock") is None, reason="the system has no flock")
def test_two_that_start_together_install_once(clone: Clone) -> None:
    both = [clone.start("demo"), clone.start("demo")]
    for process in both:
        out, err = process.communicate()
        assert (process.returncode, out) == (0, "billing demo\n"), err
    assert clone.installed == ["venv", *steps(clone, "requirements.lock")]


@pytest.mark.parametrize("python", ["#!/bin/bash\nexit 1\n", None])
def test_without_a_python_one_sentence_says_so(clone: Clone, python: str | None) -> None:
    if python is None:
        (clone.bin / "python3").unlink()
    else:
        clone.python(python)
    process = clone.start("demo")
    _, err = process.communicate()
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert line.startswith("Python 3.11 or newer, with pip and venv, is needed")


class TestLockFiles:
    LINE = re.compile(r"[a-z0-9-]+==[\w.]+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")

    @staticmethod
    def pinned(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))

    @pytest.mark.parametrize("name", LOCKS)
    def test_they_name_packages_and_hashes_only(self, name: str) -> None:
        for line in (ROOT / name).read_text().splitlines():
            assert self.LINE.fullmatch(line), line

    def test_the_tests_use_the_same_versions(self) -> None:
        runtime = self.pinned("requirements.lock")
        assert runtime.items() <= self.pinned("requirements-test.lock").items()

    def test_every_dependency_is_pinned(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        runtime, test = self.pinned("requirements.lock"), self.pinned("requirements-test.lock")
        for wanted in project["dependencies"]:
            assert re.split(r"[\[<>=; ]", wanted)[0] in runtime, "start scripts/lock"
        for wanted in project["optional-dependencies"]["test"]:
            assert re.split(r"[\[<>=; ]", wanted)[0] in test, "start scripts/lock"
        assert {"hatchling", "editables"} <= runtime.keys()
