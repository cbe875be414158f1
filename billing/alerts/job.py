"""The job that tells: thresholds every few minutes, deliveries whenever they are due."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from billing.alerts.checking import check_alerts
from billing.app import Service
from billing.errors import BillingError
from billing.notifications.sending import KEPT_US
from billing.notifications.setting_up import sender_of
from billing.repository import jobs, notifications
from billing.repository.jobs import Lease
from metering.database import writing
from metering.period import MINUTE_US, format_instant, parse_instant

log = structlog.get_logger()

CHECK_EVERY_US = 5 * MINUTE_US


def notify(service: Service, lease: Lease, stopping: Callable[[], bool]) -> int:
    """Tell of what has reached a threshold, if it is time to look again, and deliver what is due. Answers how
    much was delivered."""
    now = service.now()
    if lease.done_through is None or now - parse_instant(lease.done_through) >= CHECK_EVERY_US:
        for each in check_alerts(
            service.engine, service.store, now, grace_hours=service.settings.grace_hours
        ):
            log.info("threshold reached", account=each.account, alert=each.id, says=each.message)
        with writing(service.engine) as connection:
            notifications.forget_before(connection, now - KEPT_US)
            jobs.finish(connection, lease.name, format_instant(now), now)
    try:
        sent = sender_of(service).send_due(stopping)
    except BillingError as error:
        log.error("nothing is delivered", error=str(error))
        return 0
    if sent["pending"] or sent["failed"]:
        log.warning("not delivered", again_later=sent["pending"], given_up=sent["failed"])
    return sent["delivered"]
