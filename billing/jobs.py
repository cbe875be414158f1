"""What the service does by itself: the month's billing run after its grace period, the outbox's retries, and
daily housekeeping. APScheduler keeps the times; of several services one acts.

A job works through everything that is due and not done since it last finished, so a service that slept
through its time does the work when it wakes, in order, once. What is due is a function of the time alone;
what was done is in the database, in the row that also holds the lease.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from billing.app import Service
from billing.repository import idempotency, jobs
from metering.database import reading, writing
from metering.period import DAY_US, HOUR_US, MINUTE_US, Month, format_instant, to_datetime, to_instant

log = structlog.get_logger()

MONTHLY = "billing-run"
OUTBOX = "outbox"
DAILY = "daily"

# All times UTC. The billing run asks every hour: what is due is decided by the grace period and by what was
# done, not by the hour.
TRIGGERS = {
    MONTHLY: CronTrigger(minute=0, second=30, timezone="UTC"),
    OUTBOX: CronTrigger(second=0, timezone="UTC"),
    DAILY: CronTrigger(hour=0, minute=10, timezone="UTC"),
}

# A job that works longer than this loses its lease to another service; both are then safe, only slower.
LEASE_US = 15 * MINUTE_US
# Answers kept for repeated requests are forgotten after this long.
REQUESTS_KEPT_US = 2 * DAY_US


def due_month(now: int, grace_hours: int) -> Month:
    """The last month that may be billed at an instant.

    >>> from metering.period import parse_instant
    >>> str(due_month(parse_instant("2024-03-01T23:59:59Z"), 24))
    '2024-01'
    >>> str(due_month(parse_instant("2024-03-02T00:00:00Z"), 24))
    '2024-02'
    """
    return Month.of(now - grace_hours * HOUR_US).previous()


def months_to_run(done_through: Month | None, first: Month | None, due: Month) -> Iterator[Month]:
    """The months that are due and were not run by the schedule: those after the last one it did; at first
    those since the first that any account is billed from."""
    month = done_through.next() if done_through is not None else (first or due)
    while month <= due:
        yield month
        month = month.next()


@dataclass
class Jobs:
    """The work of each job, to be done at any time and by any number of services."""

    service: Service
    holder: str

    def billing_run(self) -> list[Month]:
        """Run every month that is due. Answers those that were run to their end."""
        done: list[Month] = []
        with self._lease(MONTHLY) as lease:
            if lease is None:
                return done
            due = due_month(self.service.now(), self.service.settings.grace_hours)
            with reading(self.service.engine) as connection:
                first = jobs.first_billed_month(connection)
            through = Month.parse(lease.done_through) if lease.done_through else None
            for month in months_to_run(through, first, due):
                report = self.service.run_month(month)
                log.info(
                    "billing run", month=str(month), finalized=report.finalized, failed=len(report.failed),
                    unassigned=len(report.unassigned),
                )  # fmt: skip
                with writing(self.service.engine) as connection:
                    jobs.finish(connection, MONTHLY, str(month), self.service.now())
                done.append(month)
        return done

    def outbox(self) -> int:
        """Send what waits for its next attempt. Answers how many invoices were sent."""
        with self._lease(OUTBOX) as lease:
            if lease is None:
                return 0
            delivery = self.service.send_due()
            for invoice_id, error in (delivery.waiting | delivery.failed).items():
                log.warning("invoice not sent", invoice=invoice_id, error=error)
            return len(delivery.sent)

    def daily(self) -> int:
        """Expiry: forget answers to requests that can no longer be repeated. Answers how many."""
        with self._lease(DAILY) as lease:
            if lease is None:
                return 0
            now = self.service.now()
            with writing(self.service.engine) as connection:
                forgotten = idempotency.forget_before(connection, now - REQUESTS_KEPT_US)
                jobs.finish(connection, DAILY, format_instant(now)[:10], now)
            return forgotten

    def _lease(self, name: str) -> _Lease:
        return _Lease(self.service, name, self.holder)


class _Lease:
    """The right of one service to do a job: None where another has it."""

    def __init__(self, service: Service, name: str, holder: str) -> None:
        self._service = service
        self._name = name
        self._holder = holder
        self._held = False

    def __enter__(self) -> jobs.Lease | None:
        now = self._service.now()
        with writing(self._service.engine) as connection:
            lease = jobs.take(connection, self._name, self._holder, now, now + LEASE_US)
        self._held = lease is not None
        return lease

    def __exit__(self, *_: object) -> None:
        if self._held:
            with writing(self._service.engine) as connection:
                jobs.release(connection, self._name, self._holder)


class Schedule:
    """The jobs on their times, in a thread of `serve`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        work = Jobs(service, secrets.token_hex(8))
        for name, do in ((MONTHLY, work.billing_run), (OUTBOX, work.outbox), (DAILY, work.daily)):
            self._scheduler.add_job(do, TRIGGERS[name], id=name, name=name)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=True)

    def next_times(self) -> dict[str, str]:
        """When each job acts next, RFC 3339."""
        return {name: format_instant(instant) for name, instant in next_times(self._service).items()}


def next_times(service: Service) -> dict[str, int]:
    """When each job has something to do next, as instants: the billing run when its next month becomes due,
    or now, if one is due and was not run. The same whether a schedule runs in this process or not."""
    now = service.now()
    times = {
        name: to_instant(trigger.get_next_fire_time(None, to_datetime(now)))
        for name, trigger in TRIGGERS.items()
    }
    return times | {MONTHLY: next_billing_run(service)}


def next_billing_run(service: Service) -> int:
    """The instant from which on the next month may be billed; now, if one is due and was not run."""
    now = service.now()
    grace = service.settings.grace_hours
    due = due_month(now, grace)
    with reading(service.engine) as connection:
        through = jobs.done_through(connection, MONTHLY)
        first = jobs.first_billed_month(connection)
    waiting = any(months_to_run(Month.parse(through) if through else None, first, due))
    return now if waiting and first is not None else due.next().end + grace * HOUR_US


def schedule_data(service: Service) -> list[dict[str, object]]:
    """The jobs in the shape of JSON answers: what each last finished, and when it acts next."""
    with reading(service.engine) as connection:
        held = jobs.every(connection)
    return [
        {
            "job": name,
            "next": format_instant(instant),
            "done_through": held[name].done_through if name in held else None,
            "finished_at": _format(held[name].finished_at) if name in held else None,
        }
        for name, instant in next_times(service).items()
    ]


def _format(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)
