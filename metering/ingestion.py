"""How a batch travels from a door to the store: decoded, checked, kept, counted (docs/rules.md §2).

Batches that arrive while a commit is under way share the next one: the cost of reaching the disk is paid once
for all of them, and every batch is answered only when it is durable and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from metering.event import TaskRunEvent
from metering.sources import Decoded, Rejection
from metering.store import EventStore

_log = logging.getLogger("metering")

# A second commit is prepared beside one that is under way once this part of a commit is waiting for it.
PART_BESIDE = 10
# What commits put off is done beside them once it is much, or when nothing came for so long.
SETTLED_AFTER_S = 0.25
# Events that may wait for a commit before new batches are turned away.
EVENTS_WAITING = 400_000
# An answer names at most so many rejections; it counts them all.
ERRORS_SHOWN = 100


class Overloaded(RuntimeError):  # noqa: N818 - reads as what happened
    """Too much is waiting for the disk, or the service is stopping; send the batch again later."""


@dataclass(slots=True)
class IngestReport:
    """Every event handed in, counted as exactly one of four. `errors` are the first rejections."""

    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    ignored: int = 0
    rejected: int = 0
    errors: list[Rejection] = field(default_factory=list)

    def add(self, decoded: Decoded, accepted: Sequence[bool]) -> None:
        """Count one batch: what decoding made of it, and which of its events, and then of its
        halves, the store accepted."""
        taken = sum(accepted)
        self.received += decoded.received
        self.accepted += taken
        self.duplicate += len(accepted) - taken
        self.ignored += decoded.ignored
        self.rejected += decoded.refused
        self.errors += decoded.rejected[: ERRORS_SHOWN - len(self.errors)]
        assert self.received == self.accepted + self.duplicate + self.ignored + self.rejected

    def to_data(self) -> dict[str, object]:
        """The report in the shape of JSON answers."""
        return {
            "received": self.received,
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "ignored": self.ignored,
            "rejected": self.rejected,
            "errors": [
                {"index": each.index, "field": each.field, "message": each.message} for each in self.errors
            ],
        }


class _Batch(NamedTuple):
    """Events, or what `EventStore.prepare` made of so many."""

    events: Sequence[TaskRunEvent]
    prepared: Any
    quantity: int
    done: Future[list[bool]]


class GroupCommit:
    """The writers of a process: as many threads as the store can use. Another one starts a commit beside one
    that is under way only where much is waiting; it prepares its events while the other waits for the
    database and the disk. One more thread does what commits put off, so that no batch waits for it. `clock`
    answers the current instant."""

    def __init__(self, store: EventStore, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._full = store.events_a_commit
        held = threading.Lock()
        self._changed = threading.Condition(held)
        self._ended = threading.Condition(held)
        # What follows is read and written with `held`.
        self._queue: deque[_Batch] = deque()
        self._queued = 0
        self._waiting = 0
        self._committing = 0
        self._commits = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._write, name=f"meter-writer-{number}", daemon=True)
            for number in range(store.writers)
        ]
        self._threads.append(threading.Thread(target=self._keep_settled, name="meter-settler", daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether batches are being written."""
        return all(thread.is_alive() for thread in self._threads) and not self._closed

    @property
    def waiting(self) -> int:
        """Events that wait to be durable."""
        return self._waiting

    def submit(self, events: Sequence[TaskRunEvent]) -> Future[list[bool]]:
        """Ask for a batch to be kept. The future answers, for each event, whether it was accepted, once all
        of them are durable; or it raises what the store raised, and nothing of the batch was kept. Raises
        Overloaded."""
        return self._submit(_Batch(events, None, len(events), Future()))

    def submit_prepared(self, prepared: Any, quantity: int) -> Future[list[bool]]:
        """The same with what `EventStore.prepare` made of so many events."""
        return self._submit(_Batch((), prepared, quantity, Future()))

    def _submit(self, batch: _Batch) -> Future[list[bool]]:
        done, quantity = batch.done, batch.quantity
        # From here on it cannot be cancelled: who stops waiting must not stop the writer.
        done.set_running_or_notify_cancel()
        if not quantity:
            done.set_result([])
            return done
        with self._changed:
            if self._closed:
                raise Overloaded("the service is stopping; send the batch again")
            if self._waiting and self._waiting + quantity > EVENTS_WAITING:
                raise Overloaded("too many events are waiting for the disk; send the batch again in a moment")
            self._waiting += quantity
            self._queued += quantity
            self._queue.append(batch)
            if self._may_start():
                self._changed.notify()
        return done

    def close(self) -> None:
        """Write what is waiting, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._ended.notify_all()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        while batches := self._take():
            self._commit(batches)

    def _take(self) -> list[_Batch]:
        """The batches of the next commit; none when nothing more will come."""
        with self._changed:
            while not self._may_start():
                if self._closed and not self._queue:
                    return []
                self._changed.wait()
            batches: list[_Batch] = []
            size = 0
            while self._queue and size < self._full:
                batches.append(self._queue.popleft())
                size += batches[-1].quantity
            self._queued -= size
            self._committing += 1
            return batches

    def _may_start(self) -> bool:
        return bool(self._queue) and (not self._committing or self._queued * PART_BESIDE >= self._full)

    def _commit(self, batches: list[_Batch]) -> None:
        quantity = sum(batch.quantity for batch in batches)
        try:
            accepted = self._store.append_prepared(list(self._prepared(batches)), self._clock())
        except Exception as error:  # the thread must live; who waits for the batch gets the error
            self._finished(quantity)
            for batch in batches:
                batch.done.set_exception(error)
            return
        self._finished(quantity)
        start = 0
        for batch in batches:
            batch.done.set_result(accepted[start : start + batch.quantity])
            start += batch.quantity

    def _prepared(self, batches: Sequence[_Batch]) -> Iterator[Any]:
        """What is to be kept, in the order of the batches; small ones that follow one another are prepared
        together."""
        for are_events, some in groupby(batches, lambda batch: batch.prepared is None):
            if are_events:
                yield self._store.prepare([event for batch in some for event in batch.events])
            else:
                yield from (batch.prepared for batch in some)

    def _keep_settled(self) -> None:
        """After each commit what is much, and all of it when nothing came for a moment, or all is written."""
        seen, settled = 0, False  # perhaps: a process may have ended before it was
        while True:
            with self._changed:
                came = self._ended.wait_for(
                    lambda seen=seen: self._commits != seen or self._over(),  # type: ignore[misc]
                    None if settled else SETTLED_AFTER_S,
                )
                seen, over = self._commits, self._over()
                settled = (over or not came) and not self._committing
            self._settle(if_much=not settled)
            if over:
                return

    def _over(self) -> bool:
        return self._closed and not self._queue and not self._committing

    def _settle(self, *, if_much: bool) -> None:
        try:
            self._store.settle(if_much=if_much)
        except Exception:  # the thread must live; it is done with the next, and nobody is told less meanwhile
            _log.exception("what commits put off could not be done; it is done later")

    def _finished(self, quantity: int) -> None:
        with self._changed:
            self._waiting -= quantity
            self._committing -= 1
            self._commits += 1
            self._changed.notify_all()
            self._ended.notify()
