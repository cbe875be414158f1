"""Who reads the accounts of a month in batches, and computes their invoices, ahead of those that are stored:
a thread; or, for a month of many accounts, processes of their own, since that is most of the work, and a
process computes on one processor at a time.

The books of a batch are read in as many queries as those of one account.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa
import structlog

from billing.billing_month import Computed, compute_invoice
from billing.month_facts import month_facts, standings
from billing.pricing.catalogue import Catalogue
from billing.repository.runs import BillingRun
from metering.processes import helpers, interrupts_held_back
from metering.settings import Settings
from metering.store import EventStore

log = structlog.get_logger()

# Accounts in a transaction. Others who write wait for it, for about a tenth of a second.
BATCH = 500
# From so many batches on, processes are worth the second that it takes them to start.
BATCHES_FOR_PROCESSES = 8
PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """What is computed: the month of a run, with a catalogue, as of now."""

    run: BillingRun
    catalogue: Catalogue
    now: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Accounts: the invoices of those that have one, `ready` to be stored, and those that have to be billed
    `alone`. The others have nothing to bill."""

    ids: Sequence[str]
    ready: Sequence[Computed]
    alone: Sequence[str]


@dataclass(frozen=True, slots=True)
class MonthReaders:
    """`settings` let other processes open the same databases; without them, a thread reads. Those processes
    begin with the program's own module: one that bills large months needs `if __name__ == "__main__":`."""

    engine: sa.Engine
    store: EventStore
    settings: Settings | None = None
    batch: int = BATCH
    batches_for_processes: int = BATCHES_FOR_PROCESSES

    def batches(self, asked: Asked, ids: Sequence[str]) -> Iterator[Batch]:
        """The accounts in their order. The next batches are read while one is worked on."""
        parts = [ids[start : start + self.batch] for start in range(0, len(ids), self.batch)]
        if len(parts) <= 1:
            yield from (self._read(asked, part) for part in parts)
        elif self.settings is None or len(parts) < self.batches_for_processes or os.cpu_count() == 1:
            with ThreadPoolExecutor(1, thread_name_prefix="billing-reads-ahead") as thread:
                yield from self._ahead(asked, parts, lambda part: thread.submit(self._read, asked, part), 1)
        else:
            with helpers(PROCESSES, _open, self.settings) as pool:
                yield from self._ahead(
                    asked, parts, lambda part: pool.submit(_read_there, asked, part), PROCESSES + 1
                )

    def _ahead(
        self,
        asked: Asked,
        parts: Sequence[Sequence[str]],
        submit: Callable[[Sequence[str]], Future[Batch]],
        quantity: int,
    ) -> Iterator[Batch]:
        upcoming = iter(parts)
        with interrupts_held_back():
            waiting = deque((part, self._submitted(part, submit)) for part in islice(upcoming, quantity))
        while waiting:
            part, reading = waiting.popleft()
            batch = self._result(asked, part, reading)
            waiting.extend((part, self._submitted(part, submit)) for part in islice(upcoming, 1))
            yield batch

    @staticmethod
    def _submitted(
        part: Sequence[str], submit: Callable[[Sequence[str]], Future[Batch]]
    ) -> Future[Batch] | None:
        try:
            return submit(part)
        except BrokenProcessPool:
            return None

    def _result(self, asked: Asked, part: Sequence[str], reading: Future[Batch] | None) -> Batch:
        if reading is not None:
            try:
                return reading.result()
            except BrokenProcessPool as error:  # killed, for example for its memory: we read ourselves
                log.warning(
                    "a process that reads accounts died", month=str(asked.run.month), error=repr(error)
                )
        return self._read(asked, part)

    def _read(self, asked: Asked, ids: Sequence[str]) -> Batch:
        return read_batch(self.engine, self.store, asked, ids)


def read_batch(engine: sa.Engine, store: EventStore, asked: Asked, ids: Sequence[str]) -> Batch:
    month = asked.run.month
    try:
        every = standings(engine, ids, month)
        facts = month_facts(store, asked.run, [each for each in every if not each.is_settled(month)])
    except sa.exc.DBAPIError:
        raise  # without the database no account can be billed
    except Exception as error:  # one account's books never keep the others from being billed
        log.warning("accounts are read one by one", month=str(month), error=repr(error))
        return Batch(ids, (), ids)
    alone, ready = [], []
    for each in facts:
        try:
            computed = compute_invoice(each, asked.run, asked.catalogue, asked.now)
        except Exception:  # alone, it will be said what is wrong
            alone.append(each.standing.account.id)
            continue
        if computed.invoice is not None:
            ready.append(computed)
        elif computed.draft is not None:
            alone.append(each.standing.account.id)
    return Batch(ids, ready, alone)


class _Here:
    """What a process that reads has opened."""

    engine: sa.Engine
    store: EventStore


def _open(settings: Settings) -> None:
    """In a process that reads, once."""
    from billing import logs
    from billing.app import make_service

    logs.configure(as_json=settings.log_format == "json")
    service = make_service(settings)
    _Here.engine, _Here.store = service.engine, service.store


def _read_there(asked: Asked, ids: Sequence[str]) -> Batch:
    return read_batch(_Here.engine, _Here.store, asked, ids)
