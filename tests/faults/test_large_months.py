"""A month of many invoices goes to Stripe below its limits: from one process, from four at once, killed and
started again, and in as much memory as a small one. Under the nightly profile, ten thousand invoices."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import tracemalloc
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import settings

from billing.billing_run import run_month
from billing.month_readers import MonthReaders
from billing.payments.desk import CLAIM_US, Desk
from billing.repository.invoices import Invoice
from metering.period import SECOND_US
from tests.conftest import NewDatabase
from tests.faults.killing import KillAt, Killed, MortalGateway
from tests.faults.month_at_stripe import Month
from tests.settled import assert_at_rest
from tests.world import OCTOBER

FULL = settings().max_examples > 200
# By one process from task runs to Stripe; by four at once, to Stripe; and by processes that are killed.
ONE, FOUR, KILLED = (10_000, 10_000, 2_000) if FULL else (400, 300, 60)
# Bytes that a billing run may hold for each invoice: its account's id, not the invoice.
TINY = 1_000


class Upwards:
    """A progress that only goes up, and has ended once `done` is `total`."""

    def __init__(self) -> None:
        self.done = self.total = self.told = 0

    def __call__(self, done: int, total: int) -> None:
        assert 0 <= self.done <= done <= total, (self.done, done, total)
        assert self.total <= total
        self.done, self.total, self.told = done, total, self.told + 1

    def assert_ended(self) -> None:
        assert self.done == self.total


def test_from_task_runs_to_stripe_by_one_process(sqlite_databases: NewDatabase) -> None:
    """Six calls an invoice of a new customer, close to what is allowed, and few invoices in memory."""
    month = Month(sqlite_databases()).meter(ONE)
    billing, sending = Upwards(), Upwards()
    held: list[int] = []

    def sent(done: int, total: int) -> None:
        sending(done, total)
        if done % (ONE // 10) == 0:
            held.append(sum(isinstance(each, Invoice) for each in gc.get_objects()))

    report = month.service().run_month(OCTOBER, progress=billing, sending=sent)
    assert (report.finalized, report.sent, report.failed) == (ONE, ONE, [])
    for progress in (billing, sending):
        progress.assert_ended()
        assert (progress.total, progress.told) == (ONE, ONE + 1)
    assert max(held) <= 3
    month.arrivals.assert_below_limits()
    assert len(month.arrivals) == 6 * ONE
    assert_at_rest(month.engine, month.sandbox, done=True)
    # Eighty calls a second for one process, after a moment in which it learns that it needs them.
    assert month.seconds() < 6 * ONE / 80 + 5


def test_to_stripe_by_four_processes_at_once(sqlite_databases: NewDatabase) -> None:
    month = Month(sqlite_databases(), processes=4).finalize(FOUR)
    shares: list[int] = []

    def work() -> None:
        service = month.service()
        shares.append(len(service.send_due().sent))
        month.time.leave()
        service.engine.dispose()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    month.arrivals.assert_below_limits()
    assert len(month.arrivals) == 6 * FOUR
    assert_at_rest(month.engine, month.sandbox, done=True)
    assert sum(shares) == FOUR
    assert min(shares) > FOUR // 10


def test_killed_at_random_it_goes_on_where_it_was(sqlite_databases: NewDatabase) -> None:
    """Before and after any commit or call, while billing and while sending; an invoice at Stripe for each."""
    month = Month(sqlite_databases()).meter(KILLED)
    random = Random(2026)
    kills = 0
    while True:
        service = month.service()
        kill = KillAt(random.randrange(1, 12 * KILLED))
        kill.listen(service.engine)
        gateway: Any = MortalGateway(service.gateway, kill)  # type: ignore[arg-type]
        billing, sending = Upwards(), Upwards()
        with contextlib.suppress(Killed):
            replace(service, gateway=gateway).run_month(OCTOBER, progress=billing, sending=sending)
        service.engine.dispose()
        if not kill.reached:
            break
        kills += 1
        month.time.wait(CLAIM_US)
    billing.assert_ended()
    sending.assert_ended()
    assert kills >= 5
    month.arrivals.assert_below_limits()
    assert_at_rest(month.engine, month.sandbox, done=True)
    assert len(month.sandbox.state.invoices.rows) == KILLED


def test_progress_does_not_begin_again_for_what_another_process_left(sqlite_databases: NewDatabase) -> None:
    """A run waits until the other's claim lapses, and then sends what it had: a second round."""
    month = Month(sqlite_databases()).finalize(3)
    service = month.service()
    assert service.gateway is not None
    Desk(service.engine, service.gateway, service.now).claim("inv-account-00001")
    sending = Upwards()
    report = service.run_month(OCTOBER, sending=sending)
    assert (report.sent, sending.done, sending.total) == (3, 3, 3)
    assert month.seconds() > CLAIM_US / SECOND_US


def test_what_a_billing_run_holds_does_not_grow(sqlite_databases: NewDatabase) -> None:
    """The most that is allocated at any time, for each invoice that one month has more than another. A first
    month fills what is filled once."""
    few, many = (500, 2_000) if FULL else (120, 500)
    _, small, large = [_peak(Month(sqlite_databases()).meter(quantity)) for quantity in (1, few, many)]
    assert (large - small) / (many - few) < TINY, (small, large)


def _peak(month: Month) -> int:
    """Bytes. A batch is held at a time, so batches are small here. The report is gone through as well, as it
    is printed."""
    engine, store, now = month.world.engine, month.world.store, month.world.service.now()
    readers = MonthReaders(engine, store, batch=10)
    gc.collect()
    # Else the collector waits the longer, the more other tests have left behind.
    gc.freeze()
    gc.collect()
    rarely = gc.get_threshold()
    gc.set_threshold(700, 10, 10)  # what is garbage is not held: of what is, the test is
    tracemalloc.start()
    try:
        report = run_month(engine, store, OCTOBER, now=now, grace_hours=24, readers=readers)
        printed = sum(1 for _ in report.rows())
        assert report.failed == []
        assert printed == report.finalized + report.skipped
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.set_threshold(*rarely)


def test_what_sending_holds_does_not_grow(sqlite_databases: NewDatabase) -> None:
    """Blocks of memory after some invoices and after many. What the sandbox and the test keep is forgotten
    between them, so that what is left is ours: of each invoice its id."""
    quantity = 500 if FULL else 120
    month = Month(sqlite_databases()).finalize(quantity)
    blocks: dict[int, int] = {}

    def sent(done: int, total: int) -> None:
        month.sandbox.reset()
        month.arrivals.by_route.clear()
        if done in (quantity // 3, quantity):
            gc.collect()
            blocks[done] = sys.getallocatedblocks()

    assert month.service().run_month(OCTOBER, sending=sent).sent == quantity
    more = quantity - quantity // 3
    assert blocks[quantity] - blocks[quantity // 3] < 3 * more, blocks
