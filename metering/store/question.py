"""Which task runs somebody asks for."""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """Which runs: those of which one event is known, as of a cutoff, that end in `[start, end)`."""

    start: int
    end: int
    cutoff: int


# All time: the start and the end of a period that holds every run.
EVER = (-(1 << 62), 1 << 62)
# A cutoff above every position.
EVERY_COMMIT = (1 << 63) - 1
