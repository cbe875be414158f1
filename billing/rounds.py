"""Progress of work that is done in rounds, until nothing is left."""

from __future__ import annotations

from billing.billing_run import Progress


class Onwards:
    """The progress of several rounds as one that only goes up."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._before = 0
        self._total = 0

    def begin_round(self) -> None:
        self._before = self._total

    def __call__(self, done: int, total: int) -> None:
        self._total = self._before + total
        self._progress(self._before + done, self._total)
