"""The command line `billing`: a door. It parses, calls what the other doors call, and prints.

One file a noun. What a command needs is imported when it runs, so that `billing --help` is there at once.
Exit codes: 0 done, 1 something to look at, 2 wrong usage; errors are one line on stderr (errors.py).
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

from metering.garbage import seek_garbage_seldom


def main() -> None:
    """The entry point."""
    seek_garbage_seldom()
    from billing.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows "?", never a traceback
    app()
