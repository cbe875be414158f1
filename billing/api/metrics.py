"""/metrics: what a monitoring system watches, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterator
from typing import get_args

import sqlalchemy as sa
from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from billing.api.door import TheDoor
from billing.repository import jobs, notifications, outbox
from billing.sources import list_sources
from metering.collecting.source import State, state_of
from metering.database import reading
from metering.ingestion import IngestReport
from metering.pairing.state import waiting
from metering.period import SECOND_US

router = APIRouter(tags=["health"])

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WEBHOOK_RESULTS = ("applied", "repeated", "not ours", "forged", "stale", "unreadable", "failed")
EVENT_RESULTS = ("accepted", "duplicate", "ignored", "rejected")
# Seconds: an event by itself takes three milliseconds, a page a tenth.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counters of one application since it started, and what its database says when it is asked."""

    def __init__(self, engine: sa.Engine) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Outbox(engine))
        self.registry.register(_Sources(engine))
        self.registry.register(_Halves(engine))
        self._webhooks = Counter(
            "billing_stripe_webhooks",
            "Webhooks of Stripe, by what came of them",
            ["result"],
            registry=self.registry,
        )
        for result in WEBHOOK_RESULTS:
            self._webhooks.labels(result)  # zero is said, too
        self.registry.register(_Jobs(engine))
        self.registry.register(_Deliveries(engine))
        events = Counter(
            "billing_events",
            "Events that were handed in, by what came of them",
            ["result"],
            registry=self.registry,
        )
        self._events = {result: events.labels(result) for result in EVENT_RESULTS}
        self._requests = Histogram(
            "billing_request_seconds",
            "Requests, by their route and the status of their answer",
            ["route", "method", "status"],
            buckets=SECONDS,
            registry=self.registry,
        )

    def webhook(self, result: str) -> None:
        self._webhooks.labels(result).inc()

    def ingested(self, report: IngestReport) -> None:
        for result, counter in self._events.items():
            counter.inc(getattr(report, result))

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status)).observe(seconds)

    def watch(self, waiting: Callable[[], int]) -> None:
        """`waiting` answers how many events wait to be durable."""
        gauge = Gauge("billing_events_waiting", "Events that wait to be on the disk", registry=self.registry)
        gauge.set_function(waiting)


class _Jobs(Collector):
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(
            "billing_job_finished_seconds", "When a job last finished, as a Unix time", labels=["job"]
        )
        with reading(self._engine) as connection:
            held = jobs.every(connection)
        for name, job in held.items():
            if job.finished_at is not None:
                gauge.add_metric([name], job.finished_at / SECOND_US)
        yield gauge


class _Deliveries(Collector):
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(
            "billing_deliveries", "Webhooks and mail: failed were given up", labels=["status"]
        )
        with reading(self._engine) as connection:
            counts = notifications.count_by_status(connection)
        for status in ("pending", "failed"):
            gauge.add_metric([status], counts.get(status, 0))
        yield gauge


class _Outbox(Collector):
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(
            "billing_outbox_intents", "What is to be done at Stripe: failed needs a person", labels=["status"]
        )
        with reading(self._engine) as connection:
            counts = outbox.count_by_status(connection)
        for status in ("pending", "failed"):
            gauge.add_metric([status], counts.get(status, 0))
        yield gauge


class _Sources(Collector):
    """In numbers alone: this page needs no key, and names nobody."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(
            "billing_sources", "Sources by their state: all but ok need a person", labels=["state"]
        )
        sources = list_sources(self._engine)
        states = Counts(state_of(each) for each in sources)
        for state in get_args(State):
            gauge.add_metric([state], states[state])
        yield gauge
        known = [each.complete_to for each in sources if each.complete_to is not None]
        oldest = min(known) / SECOND_US if known else float("nan")
        yield GaugeMetricFamily(
            "billing_sources_complete_to_seconds", "The earliest watermark, as a Unix time", value=oldest
        )


class _Halves(Collector):
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(
            "billing_run_halves", "Halves of runs that wait for their other half", labels=["half"]
        )
        with reading(self._engine) as connection:
            found = waiting(connection)
        gauge.add_metric(["start"], sum(each.starts for each in found))
        gauge.add_metric(["end"], sum(each.ends for each in found))
        yield gauge


@router.get(
    "/metrics",
    summary="Figures for a monitoring system",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(door: TheDoor) -> Response:
    """Needs no key and tells no secret: counts only."""
    return Response(generate_latest(door.metrics.registry), media_type=MEDIA_TYPE)
