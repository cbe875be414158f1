"""Writers of one process, each at a batch of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from metering.store.batch import Integers


class Apart:
    """Keeps apart what may not be written beside one another: batches that share a run. What is sent twice
    comes shortly after, so it happens often; the later one would meet rows that are not committed yet."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way: list[Integers] = []

    @contextmanager
    def from_others(self, marks: Integers) -> Iterator[None]:
        """Waits until nobody writes what shares a mark with this."""
        with self._changed:
            self._changed.wait_for(lambda: not any(np.isin(marks, each).any() for each in self._under_way))
            self._under_way.append(marks)
        try:
            yield
        finally:
            with self._changed:
                self._under_way = [each for each in self._under_way if each is not marks]
                self._changed.notify_all()
