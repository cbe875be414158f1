"""Processes of our own that compute beside this one: Python computes on one processor at a time.

They are begun anew, not forked: a copy of a process with threads may wait for a lock that nobody holds. So a
program of one's own that uses them needs `if __name__ == "__main__":`.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from metering.garbage import seek_garbage_seldom


@contextmanager
def helpers(quantity: int, prepare: Callable[..., object], *given: Any) -> Iterator[ProcessPoolExecutor]:
    """So many processes, each prepared by a function of a module. They start with the first task, which is
    submitted within `interrupts_held_back`, and end with this process, however it ends."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(quantity, fresh, _begin, (prepare, *given)) as pool:
        yield pool


def _begin(prepare: Callable[..., object], *given: Any) -> None:
    seek_garbage_seldom()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare(*given)


def _end_with_parent() -> None:
    """Who was killed needs no help any more."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a process that helps"
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Processes that are started meanwhile never see Ctrl-C: this one does, and ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
