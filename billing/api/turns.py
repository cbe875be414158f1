"""Large bodies take turns: so many bytes of them are read and worked on at a time, and the others wait unread
at their senders. Without it as much memory was taken as anybody sent at once."""

from __future__ import annotations

import asyncio
from collections import deque

# What is in work at a time; about so many events as wait for the disk at most.
BYTES_IN_WORK = 32 << 20
# A body beyond this waits for its turn before the rest of it is read. Most end before.
LARGE_BYTES = 1 << 20
# So long a large body may take to come, while others wait for its place.
SECONDS_TO_COME = 60.0


class Turns:
    """Room for bytes, given in the order in which it was asked for. Used by one event loop."""

    def __init__(self, room: int = BYTES_IN_WORK, seconds: float = SECONDS_TO_COME) -> None:
        self.seconds = seconds
        self._most = self._room = room
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Wait for room; answers how much was taken, to be given back. Who asks for more than there is gets
        all of it."""
        size = min(size, self._most)
        if size <= self._room and not self._waiting:
            self._room -= size
            return size
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give_back(size)  # it came when nobody waited for it any more
            else:
                self._let_in()  # those behind it
            raise
        return size

    def give_back(self, size: int) -> None:
        """Somebody else's turn."""
        self._room += size
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and (self._waiting[0][1].cancelled() or self._waiting[0][0] <= self._room):
            size, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._room -= size
                turn.set_result(None)


class Turn:
    """One body's. `weight`: how many bytes of memory a byte of it stands for."""

    def __init__(self, turns: Turns, weight: int = 1) -> None:
        self._turns = turns
        self._weight = weight
        self._taken = 0

    def is_needed(self, size: int) -> bool:
        """Whether a body of which so much has come waits for its turn before more of it is read."""
        return not self._taken and size * self._weight > LARGE_BYTES

    async def wait(self, size: int) -> float:
        """For room for a body of this size; answers how many seconds the rest of it may take."""
        self._taken = await self._turns.take(size * self._weight)
        return self._turns.seconds

    def end(self) -> None:
        taken, self._taken = self._taken, 0
        self._turns.give_back(taken)
