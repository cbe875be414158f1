"""Searches for bytes that make a reader of events fail (tests/fuzzing/targets.py): each reader in a process
of its own, with Atheris. What is found is kept in tests/data/fuzz, where the tests read it."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOUND = ROOT / "tests" / "data" / "fuzz"
# Longer bodies hold the same things more often.
LONGEST = 4096
# Of one input, in seconds and MB.
SLOWEST = 10
MOST_MB = 2048


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=10, help="in sum; by default 10")
    parser.add_argument("--target", action="append", help="one of the readers; may be given again")
    parser.add_argument("--seed", type=int, default=1, help="of chance")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run is not None:
        fuzz(asked.run, asked.rest)
        return
    from tests.fuzzing.targets import TARGETS

    wanted = asked.target or list(TARGETS)
    seconds = max(1, round(asked.minutes * 60 / len(wanted)))
    failed = [each for each in wanted if not search(each, seconds, asked.seed)]
    if failed:
        print(f"failed: {', '.join(failed)}; see {FOUND.relative_to(ROOT)}", file=sys.stderr)
        sys.exit(1)


def search(target: str, seconds: int, seed: int) -> bool:
    """Whether nothing was found in this time."""
    from tests.fuzzing.seeds import seeds

    with tempfile.TemporaryDirectory() as corpus:
        for number, each in enumerate(seeds(target)):
            (Path(corpus) / f"seed-{number}").write_bytes(each)
        (FOUND / target).mkdir(parents=True, exist_ok=True)
        flags = [
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST}",
            f"-timeout={SLOWEST}",
            f"-rss_limit_mb={MOST_MB}",
            f"-seed={seed}",
            f"-artifact_prefix={FOUND / target}/",
            "-print_final_stats=1",
        ]
        command = [sys.executable, "-m", "scripts.fuzz", "--run", target, "0", "--", *flags, corpus]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not any((FOUND / target).iterdir()):
        (FOUND / target).rmdir()
    said = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    units = said[0].rpartition(":")[2].strip() if said else "?"
    found = f"ended by {done.returncode}" if done.returncode else "none found"
    print(f"{target}: {units} inputs in {seconds} seconds, {found}", flush=True)
    if done.returncode:
        print("\n".join(done.stderr.splitlines()[-60:]), file=sys.stderr)
    return not done.returncode


def fuzz(target: str, flags: list[str]) -> None:
    """In this process, until its time is over or something is found. What is watched is imported here."""
    import atheris

    with atheris.instrument_imports(include=["metering", "billing", "json", "csv", "tests.fuzzing"]):
        from tests.fuzzing.targets import TARGETS
    atheris.Setup([sys.argv[0], *flags], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
