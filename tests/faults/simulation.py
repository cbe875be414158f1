"""Time that passes only by waiting: several threads, one at a time, whoever waits least goes on first."""

from __future__ import annotations

import threading


class Simulation:
    """`now` and `wait` in microseconds. Every thread that waits takes part; `leave` when it is done."""

    def __init__(self, now: int, threads: int = 1) -> None:
        self._now = now
        self._expected = threads
        self._turns = threading.Condition()
        self._waiting: dict[int, int] = {}
        self._next: int | None = None

    def now(self) -> int:
        return self._now

    def wait(self, microseconds: int) -> None:
        me = threading.get_ident()
        with self._turns:
            self._waiting[me] = self._now + microseconds
            self._pass_on()
            self._turns.wait_for(lambda: self._next == me)
            self._next = None

    def leave(self) -> None:
        with self._turns:
            self._expected -= 1
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting and len(self._waiting) == self._expected:
            first = min(self._waiting, key=lambda each: self._waiting[each])
            self._now = max(self._now, self._waiting.pop(first))
            self._next = first
            self._turns.notify_all()
