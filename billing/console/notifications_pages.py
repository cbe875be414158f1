"""Alerts that were told, the endpoints of webhooks, and the log of deliveries with its resend button."""

from __future__ import annotations

from starlette.responses import Response

from billing.alerts.checking import list_alerts
from billing.console.visit import Visit, paged
from billing.notifications.endpoints import list_endpoints, show_endpoint
from billing.notifications.log import STATUSES, delivery_shown, list_deliveries
from billing.notifications.sending import resend, resend_failed, show_delivery
from billing.notifications.setting_up import sender_of
from billing.repository.lists import Page
from billing.repository.notifications import Wanted

PAGE = 50
_FEW = 20


def show(visit: Visit) -> Response:
    engine = visit.service.engine
    after = visit.query("after", 80)
    found = list_endpoints(engine, after=after, limit=PAGE + 1)
    endpoints, more = paged(found, PAGE, lambda last: {"after": last.id})
    return visit.page(
        "notifications.html",
        alerts=list_alerts(engine, page=Page(None, _FEW, newest=True)),
        endpoints=endpoints,
        more=more,
        failed=list_deliveries(engine, Wanted(status="failed"), Page(None, _FEW, newest=True)),
    )


def alerts(visit: Visit) -> Response:
    after = visit.query("after", 80)
    found = list_alerts(visit.service.engine, page=Page(after, PAGE + 1, newest=True))
    shown, more = paged(found, PAGE, lambda last: {"after": last.id})
    return visit.page("alerts.html", alerts=shown, more=more, is_first=not after)


def deliveries(visit: Visit) -> Response:
    engine = visit.service.engine
    status, endpoint, after = visit.query("status"), visit.query("endpoint", 80), visit.query("after", 80)
    wanted = Wanted(endpoint or None, status=status or None)
    found = list_deliveries(engine, wanted, Page(after, PAGE + 1, newest=True))
    asked = {"status": status, "endpoint": endpoint}
    shown, more = paged(found, PAGE, lambda last: asked | {"after": last.id})
    return visit.page(
        "deliveries.html",
        deliveries=shown,
        chosen=status,
        endpoint=show_endpoint(engine, endpoint) if endpoint else None,
        statuses=STATUSES,
        more=more,
        is_first=not after,
    )


def delivery(visit: Visit) -> Response:
    engine = visit.service.engine
    held = show_delivery(engine, visit.param("delivery"))
    return visit.page("delivery.html", delivery=held, body=delivery_shown(engine, held.id)["body"])


def send_again(visit: Visit) -> Response:
    """At once, with the same id; the page then says what came of it."""
    sender = sender_of(visit.service)
    again = resend(visit.service.engine, visit.param("delivery"), visit.now)
    sender.send_one(again.id)
    return visit.go(f"deliveries/{again.id}")


def send_failed_again(visit: Visit) -> Response:
    """All that an endpoint was not told: due now, and sent behind the page."""
    service = visit.service
    endpoint = show_endpoint(service.engine, visit.param("endpoint"))
    sender = sender_of(service)
    again = resend_failed(service.engine, endpoint.id, visit.now)
    return visit.begin("resend", endpoint.id, lambda _stages: {"again": again, **sender.send_due()})
