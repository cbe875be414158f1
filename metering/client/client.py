"""`Client`, and the same for programs that use asyncio."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from metering.client.answers import LONGEST_WAIT_S
from metering.client.courier import Courier, Tally
from metering.client.errors import SpoolFull
from metering.client.events import encode
from metering.client.post import HttpPost
from metering.client.spool import Spool
from metering.clock import now as the_time

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger("metering.client")

LIMIT_BYTES = 256 << 20
CLOSE_SECONDS = 5.0


class Client:
    """Sends events of task runs to the service at `url`; `key` is one of scope `ingest`. Safe for threads,
    and for programs that fork.

    `spool`: a folder on a disk that outlives the program, which any number of programs may share.
    `account`: that of events which name none.
    `limit_bytes`: how much may wait there.
    `wait` lets seconds pass, and answers True if the client is to give up; `now` tells the time.

    Raises ValueError for an address or a key that is none, SpoolError for a folder that cannot be used.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        spool: str | os.PathLike[str],
        account: str | None = None,
        limit_bytes: int = LIMIT_BYTES,
        http: httpx.Client | None = None,
        wait: Callable[[float], bool] | None = None,
        now: Callable[[], datetime] = the_time,
    ) -> None:
        self._url, self._key, self._http = url, key, http
        self._folder = Path(spool)
        self._account = account
        self._limit = limit_bytes
        self._given_wait = wait
        self._now = now
        self._closed = False
        self._begin()
        atexit.register(self.close)
        self._ask()  # for what an earlier program left

    def _begin(self) -> None:
        """All that a process has of its own; a forked one gets it anew, and leaves its parent's alone."""
        self._process = os.getpid()
        self._stop = threading.Event()
        self._post = HttpPost(self._url, self._key, self._http)
        self._spool = Spool(self._folder, self._limit)
        self._courier = Courier(
            self._spool,
            self._post,
            wait=self._wait,
            now=self._now,
            chance=random.random,
        )
        self._changed = threading.Condition()
        # What follows is read and written with `_changed` held: how often a delivery was asked for, and up to
        # which of these nothing waits any more.
        self._asked = 0
        self._done = 0
        self._gone = False
        self._is_full = False
        self._thread = threading.Thread(target=self._run, name="metering-client", daemon=True)
        self._thread.start()

    @property
    def tally(self) -> Tally:
        """What the service said so far, and why it takes nothing now."""
        return self._courier.tally

    @property
    def waiting_bytes(self) -> int:
        """How much waits in the spool."""
        return self._spool.size

    def send(self, *events: Mapping[str, object]) -> None:
        """Keep events for the service. When this returns they are on disk, and nothing but the loss of the
        disk can lose them. Raises EventError and SpoolFull, where none was kept, and SpoolError, where some
        may have been: sent again, they count once."""
        if self._closed:
            raise RuntimeError("the client is closed; make another one")
        lines = [encode(event, self._account) for event in events]
        if self._process != os.getpid():
            self._spool.disown()
            self._begin()
        try:
            self._spool.append(lines)
        except SpoolFull as error:
            if not self._is_full:
                _log.error("%s", error)
            self._is_full = True
            raise
        self._is_full = False
        self._ask()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the service has all that was sent before; False if that takes longer than so many
        seconds."""
        if self._process != os.getpid():
            return True
        goal = self._ask()
        with self._changed:
            self._changed.wait_for(lambda: self._done >= goal or self._gone, timeout)
            return self._done >= goal

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Send what waits, for at most so many seconds. What is left is sent by the next client of the
        folder."""
        atexit.unregister(self.close)
        if self._closed or self._process != os.getpid():
            return
        self._closed = True
        if not self.flush(timeout):
            _log.warning("%d bytes of events wait in %s for the next start", self._spool.size, self._folder)
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout)

    def _ask(self) -> int:
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def _wait(self, seconds: float) -> bool:
        return (self._given_wait or self._stop.wait)(seconds) or self._stop.is_set()

    def _run(self) -> None:
        try:
            self._deliver_until_stopped()
        finally:
            self._post.close()
            self._spool.close()
            with self._changed:
                self._gone = True
                self._changed.notify_all()

    def _deliver_until_stopped(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._done or self._stop.is_set())
                if self._stop.is_set():
                    return
                goal = self._asked
            try:
                if not self._courier.deliver():
                    return
            except Exception:  # the thread must live: what waits is sent once this has passed
                _log.exception("events could not be sent; they wait in the spool")
                if self._wait(LONGEST_WAIT_S):
                    return
                continue
            with self._changed:
                self._done = goal
                self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """The same for asyncio: the loop never waits for the disk or the network. Takes `Client`'s arguments."""

    def __init__(self, url: str, key: str, *, spool: str | os.PathLike[str], **more: object) -> None:
        self._client = Client(url, key, spool=spool, **more)  # type: ignore[arg-type]

    @property
    def tally(self) -> Tally:
        return self._client.tally

    @property
    def waiting_bytes(self) -> int:
        return self._client.waiting_bytes

    async def send(self, *events: Mapping[str, object]) -> None:
        await asyncio.to_thread(self._client.send, *events)

    async def flush(self, timeout: float | None = None) -> bool:
        return await asyncio.to_thread(self._client.flush, timeout)

    async def close(self, timeout: float = CLOSE_SECONDS) -> None:
        await asyncio.to_thread(self._client.close, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
