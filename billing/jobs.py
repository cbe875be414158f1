"""What the service does by itself: the month's billing run after its grace period, the outbox's retries,
reconciliation with Stripe, collecting from sources, and daily housekeeping. APScheduler keeps the times; of
several services one acts.

A job works through everything that is due and not done, so a service that slept through its time does the
work when it wakes, in order, once. What may be billed is a function of the time; what is missing is read from
the books themselves, so that an account that was added late, or failed, is not forgotten.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from billing.alerts.job import notify
from billing.anomalies import warn_of_signs
from billing.app import Service
from billing.clock_watch import ClockWatch
from billing.collecting import collect_due
from billing.contract_invoices import invoice_contracts
from billing.grandfathering import protections_ending
from billing.job_lease import JobLease
from billing.payments.errors import PaymentError
from billing.reconciliation.operation import reconcile
from billing.repository import audit, idempotency, jobs, reconciling, stripe_events
from billing.run_balance import record_runs
from billing.unrun_months import unrun_months
from metering import clock
from metering.database import reading, writing
from metering.period import (
    DAY_US,
    HOUR_US,
    Month,
    day_of,
    format_instant,
    format_optional,
    hour_of,
    parse_instant,
    to_datetime,
    to_instant,
)

log = structlog.get_logger()

MONTHLY = "billing-run"
OUTBOX = "outbox"
DAILY = "daily"
EVENTS = "stripe-events"
RECONCILE = "reconcile"
COLLECT = "collect"
NOTIFY = "notify"

# All times UTC. The billing run asks every hour: what is due is decided by the grace period and by what was
# done, not by the hour.
TRIGGERS = {
    MONTHLY: CronTrigger(minute=0, second=30, timezone="UTC"),
    OUTBOX: CronTrigger(second=0, timezone="UTC"),
    DAILY: CronTrigger(hour=0, minute=10, timezone="UTC"),
    EVENTS: CronTrigger(minute=40, timezone="UTC"),
    RECONCILE: CronTrigger(hour=3, minute=40, timezone="UTC"),
    COLLECT: CronTrigger(second=15, timezone="UTC"),
    NOTIFY: CronTrigger(second=45, timezone="UTC"),
}

# How far back the schedule looks for months that were not run for an account that has task runs in them.
LOOK_BACK_MONTHS = 12
# Events of Stripe are asked for from before the time of the last question on: clocks differ.
OVERLAP_US = 2 * HOUR_US
# Answers kept for repeated requests are forgotten after this long.
REQUESTS_KEPT_US = 2 * DAY_US
SLEPT_US = 7 * DAY_US


def due_month(now: int, grace_hours: int) -> Month:
    """The last month that may be billed at an instant.

    >>> from metering.period import parse_instant
    >>> str(due_month(parse_instant("2024-03-01T23:59:59Z"), 24))
    '2024-01'
    >>> str(due_month(parse_instant("2024-03-02T00:00:00Z"), 24))
    '2024-02'
    """
    return Month.of(now - grace_hours * HOUR_US).previous()


@dataclass
class Jobs:
    """The work of each job, to be done at any time and by any number of services."""

    service: Service
    holder: str
    stopping: threading.Event = field(default_factory=threading.Event)

    def billing_run(self) -> list[Month]:
        """Run every month that is due and has accounts without an invoice. Answers the months that were run;
        one in which an account failed is run again at the next time, and says so again."""
        with self._lease(MONTHLY) as lease:
            if lease is None:
                return []
            months = due_months(self.service)
            for month in months:
                report = self.service.run_month(month)
                log.info("billing run", month=str(month), finalized=report.finalized, sent=report.sent)
                for account, message in report.failed:
                    log.error("account not billed", month=str(month), account=account, message=message)
                for each in report.incomplete:
                    log.warning("left as a draft: its source is not complete", **each.to_data())
                for account, billable in report.unassigned:
                    log.warning("unassigned account", month=str(month), account=account, billable=billable)
                with writing(self.service.engine) as connection:
                    jobs.finish(connection, MONTHLY, str(month), self.service.now())
            return months

    def outbox(self) -> int:
        """Send what waits for its next attempt. Answers how many invoices were sent."""
        with self._lease(OUTBOX) as lease:
            if lease is None:
                return 0
            delivery = self.service.send_due()
            for intent_id, error in delivery.problems.items():
                log.warning("not done at Stripe", intent=intent_id, error=error)
            return len(delivery.sent)

    def daily(self) -> int:
        """Write down yesterday's drawing and today's expiry of committed runs, invoice what is due of
        contracts, reward referrals, say which price protections end soon and how many accounts show signs of
        misuse, and forget what can no longer be of use: answers to requests, halves of runs. Answers how many
        of the former."""
        with self._lease(DAILY) as lease:
            if lease is None:
                return 0
            now = self.service.now()
            recorded = record_runs(self.service.engine, self.service.store, now)
            self.service.record_seller()
            for invoice in invoice_contracts(self.service.engine, day_of(now), now=now):
                log.info("contract invoiced", contract=invoice.contract, invoice=invoice.number)
            log.info("run ledgers", recorded=recorded, rewarded=len(self.service.reward_referrals()))
            # After a long sleep the clock may be wrong, and what is forgotten would be missed.
            last = lease.done_through or format_instant(now)
            forgets = last[:10] >= format_instant(now - SLEPT_US)[:10]
            if forgets:
                self.service.store.forget_halves(now)
            for ending in protections_ending(self.service.engine, now):
                log.info("price protection ends soon", **ending)
            with writing(self.service.engine) as connection:
                forgotten = idempotency.forget_before(connection, now - REQUESTS_KEPT_US if forgets else 0)
                jobs.finish(connection, DAILY, format_instant(now)[:10], now)
            with reading(self.service.engine) as connection:
                trail = audit.end(connection)  # in a log that is kept elsewhere it proves what came before
            log.info("audit trail", seal=None if trail is None else f"{trail.number}:{trail.seal}")
            warn_of_signs(self.service, Month.of(now))  # the last: it looks, and nothing waits for it
            return forgotten

    def stripe_events(self) -> int:
        """Take in what Stripe says happened and no webhook told. Answers how many events concerned us."""
        service = self.service
        with self._lease(EVENTS) as lease:
            if lease is None or service.gateway is None:
                return 0
            from billing.payments.webhooks import REMEMBERED_US, catch_up

            now = service.now()
            # What was read to may lie ahead, if the clock did.
            read_to = OVERLAP_US if lease.done_through is None else parse_instant(lease.done_through)
            since = min(read_to, now) - OVERLAP_US
            try:
                found = catch_up(service.engine, service.gateway, since, now)
            except PaymentError as error:  # the next time takes it up where this one began
                log.warning("events of Stripe not read", error=str(error))
                return 0
            if found:
                log.warning("webhooks of Stripe were missing; check the endpoint", events=found)
                service.reward_referrals()
            with writing(service.engine) as connection:
                stripe_events.forget_before(connection, now - REMEMBERED_US)
                jobs.finish(connection, EVENTS, format_instant(now), now)
            return found

    def reconcile(self) -> list[Month]:
        """Compare with Stripe each month that is not settled, take over what webhooks did not bring, and warn
        of what differs. Answers these months; none where Stripe is not configured."""
        with self._lease(RECONCILE) as lease:
            if lease is None or self.service.gateway is None:
                return []
            now = self.service.now()
            months = unsettled(self.service, now)
            for month in months:
                try:
                    report = reconcile(self.service, month, fix=True)
                except PaymentError as error:  # tomorrow is another day
                    log.warning("not reconciled", month=str(month), error=str(error))
                    continue
                for each in report.fixed:
                    log.info("difference fixed", month=str(month), **each.to_data())
                for each in report.differences:
                    log.warning("difference", month=str(month), **each.to_data())
            with writing(self.service.engine) as connection:
                jobs.finish(connection, RECONCILE, format_instant(now)[:10], self.service.now())
            return months

    def collect(self) -> int:
        """Collect from every source that is due. Answers how many were asked."""
        with self._lease(COLLECT) as lease:
            if lease is None:
                return 0
            visits = collect_due(self.service, stop=self.stopping.is_set, wait=self._wait)
            for each in visits:
                if each.collected.ingested.accepted:
                    log.info("collected", source=each.source.id, events=each.collected.ingested.accepted)
            with writing(self.service.engine) as connection:
                now = self.service.now()
                jobs.finish(connection, COLLECT, format_instant(now), now)
            return len(visits)

    def notify(self) -> int:
        """Tell of thresholds that are reached, and deliver what is due. Answers how much was delivered."""
        with self._lease(NOTIFY) as lease:
            return 0 if lease is None else notify(self.service, lease, self.stopping.is_set)

    def _wait(self, seconds: float) -> None:
        self.stopping.wait(seconds)

    def _lease(self, name: str) -> JobLease:
        return JobLease(self.service, name, self.holder)


class Schedule:
    """The jobs on their times, in a thread of `serve`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._billing_run: tuple[int, int] | None = None
        self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._stopping = threading.Event()
        work = Jobs(service, secrets.token_hex(8), self._stopping)
        for name, do in (
            (MONTHLY, work.billing_run),
            (OUTBOX, work.outbox),
            (DAILY, work.daily),
            (EVENTS, work.stripe_events),
            (RECONCILE, work.reconcile),
            (COLLECT, work.collect),
            (NOTIFY, work.notify),
        ):
            # At once as well: a service that slept through its time has work to do when it wakes.
            self._scheduler.add_job(do, TRIGGERS[name], id=name, name=name, next_run_time=clock.now())

        self.watch = ClockWatch(self._scheduler, TRIGGERS, self._stopping)

    def start(self) -> None:
        self._scheduler.start()
        self.watch.start()

    def stop(self) -> None:
        self._stopping.set()
        self._scheduler.shutdown(wait=True)

    def next_times(self) -> dict[str, str]:
        """When each job acts next, RFC 3339. Asked by every probe of readiness: which months are missing is
        looked up once an hour, which is how often it can matter."""
        hour = hour_of(self._service.now())
        if self._billing_run is None or self._billing_run[0] != hour:
            self._billing_run = hour, next_billing_run(self._service)
        times = trigger_times(self._service.now()) | {MONTHLY: self._billing_run[1]}
        return {name: format_instant(instant) for name, instant in times.items()}


def next_times(service: Service) -> dict[str, int]:
    """When each job acts next, as instants; the same whether a schedule runs in this process or not."""
    return trigger_times(service.now()) | {MONTHLY: next_billing_run(service)}


def trigger_times(now: int) -> dict[str, int]:
    """When each job is started next, whether it will find work or not."""
    return {
        name: to_instant(trigger.get_next_fire_time(None, to_datetime(now)))
        for name, trigger in TRIGGERS.items()
    }


def due_months(service: Service) -> list[Month]:
    """The months that may be billed and were not, for some account that has task runs in them."""
    due = due_month(service.now(), service.settings.grace_hours)
    return unrun_months(service.engine, service.store, due, look_back=LOOK_BACK_MONTHS)


def unsettled(service: Service, now: int) -> list[Month]:
    """The months of which an invoice may still change at Stripe, or is not done there."""
    since = Month.of(now)
    for _ in range(LOOK_BACK_MONTHS):
        since = since.previous()
    with reading(service.engine) as connection:
        return reconciling.unsettled_months(connection, since)


def next_billing_run(service: Service) -> int:
    """The instant of the next billing run: at once after a month's grace period, or at the next full hour if
    one is due and was not run."""
    now = service.now()
    grace = service.settings.grace_hours
    waits = now if due_months(service) else due_month(now, grace).next().end + grace * HOUR_US
    return to_instant(TRIGGERS[MONTHLY].get_next_fire_time(None, to_datetime(waits)))


def schedule_data(service: Service) -> list[dict[str, object]]:
    """The jobs in the shape of JSON answers: what each last finished, and when it acts next."""
    with reading(service.engine) as connection:
        held = jobs.every(connection)
    return [
        {
            "job": name,
            "next": format_instant(instant),
            "done_through": held[name].done_through if name in held else None,
            "finished_at": format_optional(held[name].finished_at) if name in held else None,
        }
        for name, instant in next_times(service).items()
    ]
