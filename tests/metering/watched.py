"""An account that is watched at a Prefect server: a stand-in on loopback, which answers as it should."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from billing.collecting import Visit, visit
from billing.sources import add_source, find_source, server_of
from metering.collecting.source import Source
from metering.period import format_instant, parse_instant
from tests.metering.prefect_double import PrefectDouble
from tests.world import OCTOBER, World

NOON = parse_instant("2026-10-03T12:00:00Z")
DAWN = parse_instant("2026-10-03T00:00:00Z")


class Watched:
    """A world whose account is watched at a server that lives by the same clock."""

    def __init__(self, engine: sa.Engine, double: PrefectDouble) -> None:
        self.world = World(engine, now=NOON)
        self.double = double
        double.clock = lambda: self.world.instant
        server = server_of(double.url, workspace="prod")
        self.source = add_source(engine, "acme", "eu", server, since=DAWN, now=NOON)
        self.waited: list[float] = []

    def visit(self, **more: Any) -> Visit:
        source = find_source(self.world.engine, "eu")
        return visit(
            self.world.service, source, always_check=True, attempts=2, wait=self.waited.append, **more
        )

    def pass_time(self, span_us: int) -> None:
        self.world.instant += span_us

    def held(self) -> dict[str, str]:
        runs = self.world.store.runs("acme", OCTOBER.start, OCTOBER.end, 2**62)
        return {run.task_run_id: run.outcome.reason for run in runs}


def instant(source: Source) -> str:
    assert source.complete_to is not None
    return format_instant(source.complete_to)
