"""The command line `billing`: a door. It parses, calls what the other doors call, and prints.

One file a noun. What a command needs is imported when it runs, so that `billing --help` is there at once.
Exit codes: 0 done, 1 something to look at, 2 wrong usage; errors are one line on stderr (errors.py).
"""

from __future__ import annotations

import gc
import sys
from io import TextIOWrapper


def main() -> None:
    """The entry point."""
    # What is imported, and events by the hundred thousand, are never in cycles: looking for cycles at the
    # usual pace took a fifth of a start, and a tenth of a writer's time.
    gc.set_threshold(100_000, 20, 20)  # as in metering.processes
    from billing.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows "?", never a traceback
    app()
