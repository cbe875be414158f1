"""/metrics: what a monitoring system watches, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator
from typing import get_args

import sqlalchemy as sa
from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from billing.api.door import TheDoor
from billing.repository import outbox
from billing.sources import list_sources
from metering.collecting.source import State, state_of
from metering.database import reading
from metering.pairing.state import waiting
from metering.period import SECOND_US

router = APIRouter(tags=["health"])

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WEBHOOK_RESULTS = ("applied", "repeated", "not ours", "forged", "stale", "unreadable", "failed")


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

    def webhook(self, result: str) -> None:
        self._webhooks.labels(result).inc()


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
