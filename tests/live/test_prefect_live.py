"""Collecting from a real Prefect server, at BILLING_TEST_PREFECT_URL, with whatever flows ran there."""

from __future__ import annotations

import os

import httpx
import pytest
import sqlalchemy as sa

from billing.collecting import visit
from billing.sources import add_source, server_of
from metering.clock import now_instant
from metering.collecting.comparison import compare_month
from metering.collecting.completeness import SETTLE_US
from metering.collecting.prefect_server import PrefectServer
from metering.collecting.reading import LAG_US
from metering.collecting.source import RETENTION_US
from metering.period import Month
from tests.world import World

URL = os.environ.get("BILLING_TEST_PREFECT_URL", "")

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not URL, reason="BILLING_TEST_PREFECT_URL is not set"),
]


def test_all_that_a_real_server_has_is_metered(engine: sa.Engine) -> None:
    now = now_instant()
    world = World(engine, now=now)
    source = add_source(engine, "acme", "real", server_of(URL), since=now - RETENTION_US + LAG_US, now=now)
    done = visit(world.service, source, always_check=True)
    assert (done.error, done.source.missing, done.source.lost) == (None, 0, None)
    claim = done.source.claim
    assert claim is not None
    assert claim.complete_to >= now - LAG_US - SETTLE_US - 2_000_000
    # The server's own count, asked by other means.
    counted = httpx.post(
        f"{server_of(URL).url}/task_runs/count",
        json={"task_runs": {"subflow_runs": {"exists_": False}, "state": {"type": {"any_": [
            "COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}}},
    ).json()  # fmt: skip
    held = world.store.usage("acme", Month(2020, 1).start, Month(2100, 1).start, by="month")
    assert held.counts.total == counted
    with PrefectServer(URL) as server:
        for month in {Month.of(now), Month.of(now - RETENTION_US)}:
            found = compare_month(world.store, [server], "acme", month)
            assert not found.disagreement.quantities
