"""What would a month cost? Somebody's task runs, of an export or a Prefect server, priced on a plan. Nothing
is kept of them."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from billing.errors import NotFound
from billing.plans import shipped_catalogue
from billing.pricing.basis import Basis
from billing.pricing.catalogue import Catalogue, PlanVersion
from billing.pricing.errors import PricingError
from billing.pricing.invoice import Document, compose
from billing.pricing.rating import Standing, free_runs, standing
from billing.schema import upgrade
from metering.airflow_files import Lines, instances
from metering.collecting.prefect_server import PrefectServer
from metering.database import make_engine
from metering.ingestion import IngestReport
from metering.outcome import Outcome
from metering.period import Month
from metering.store.sql import SqlEventStore
from metering.streams import ingest_stream
from metering.usage import Counts

EstimateFormat = Literal["airflow", "prefect"]

# Whose runs they are while they are counted.
_ACCOUNT = "estimate"


@dataclass(frozen=True, slots=True)
class EstimatedMonth:
    """A month of the export: what ran, its invoice, and where its billable runs stand in the plan."""

    month: Month
    counts: Counts
    document: Document
    standing: Standing


@dataclass(slots=True)
class Estimate:
    """`months` that have task runs, in order; `free` runs a month cost nothing on the plan, None: all."""

    version: PlanVersion
    free: int | None
    ingest: IngestReport
    months: list[EstimatedMonth] = field(default_factory=list)

    @property
    def busiest(self) -> EstimatedMonth | None:
        """The month with the most billable runs."""
        return max(self.months, key=lambda each: each.counts.billable, default=None)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        busiest = self.busiest
        return {
            "plan": self.version.id,
            "currency": self.version.currency,
            "free_runs": self.free,
            "ingest": self.ingest.to_data(),
            "months": [
                {
                    "month": str(each.month),
                    "billable": each.counts.billable,
                    "not_billed": dict(each.counts.not_billed),
                    "lines": [line.to_data() for line in each.document.lines],
                    "total": each.document.total,
                }
                for each in self.months
            ],
            "busiest": None if busiest is None else str(busiest.month),
        }


def estimate(
    sources: list[tuple[BinaryIO, Callable[[int], None]]],
    format: EstimateFormat,
    plan: str,
    now: int,
) -> Estimate:
    """Count the task runs of exports by the rules, as if they had been metered, and price each month. Each
    source comes with whom to tell the bytes that were read. Raises UndecodableBody, NotFound for a plan that
    is not shipped."""
    version = _version(plan, now)
    report = IngestReport()
    with tempfile.TemporaryDirectory(prefix="billing-estimate-") as folder:
        engine = make_engine(f"sqlite:///{Path(folder) / 'runs.db'}")
        try:
            upgrade(engine)
            store = SqlEventStore(engine)
            for source, progress in sources:
                read = Lines(instances(source)) if format == "airflow" else source
                ingest_stream(
                    store,
                    read,  # type: ignore[arg-type]
                    report,
                    clock=lambda: now,
                    format=format,
                    account=_ACCOUNT,
                    progress=progress,
                )
            usage = store.usage(_ACCOUNT, *_ALL, by="month")
            counted = [(Month.of(each.start), each.counts) for each in usage.windows if each.counts.total]
            store.close()
        finally:
            engine.dispose()
    return Estimate(
        version, free_runs(version), report, [_priced(month, counts, version) for month, counts in counted]
    )


def estimate_server(
    server: PrefectServer,
    since: Month,
    plan: str,
    now: int,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Estimate:
    """The same of the task runs that a Prefect server remembers, from a month on until now. Raises
    PrefectError, NotFound."""
    version = _version(plan, now)
    found: dict[Month, Counter[Outcome]] = defaultdict(Counter)
    report = IngestReport()
    for run in server.task_runs(since.start, now, progress):
        found[Month.of(run.ended_at)][run.outcome] += 1
        report.received += 1
        report.accepted += 1
    months = [_priced(month, Counts(found[month]), version) for month in sorted(found)]
    return Estimate(version, free_runs(version), report, months)


_ALL = (Month.parse("2000-01").start, Month.parse("2100-01").start)


def _version(plan: str, now: int) -> PlanVersion:
    catalogue = Catalogue(shipped_catalogue())
    try:
        return catalogue.get(plan) if "@" in plan else catalogue.newest(plan, Month.of(now))
    except PricingError as error:
        raise NotFound(str(error), field="plan") from None


def _priced(month: Month, counts: Counts, version: PlanVersion) -> EstimatedMonth:
    document = compose(Basis(_ACCOUNT, month, version.currency, counts, version))
    return EstimatedMonth(month, counts, document, standing(counts.billable, version))
