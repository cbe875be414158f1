"""The revenue report of a month."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from billing.console.visit import Visit
from billing.console.work import Stages, report_of
from billing.errors import Invalid
from billing.pricing.days import parse_day
from billing.revenue.operation import revenue_report, window_of
from billing.revenue.wording import sections


def show(visit: Visit) -> Response:
    """As it was made last: it goes through every invoice."""
    held = visit.work.last("revenue", str(visit.month))
    return _page(visit, held, report_of(held))


def _page(visit: Visit, held: Any, found: Mapping[str, Any] | None, wrong: str | None = None) -> Response:
    shown = [] if found is None else [(each, list(sections(found, each))) for each in found["currencies"]]
    return visit.page(
        "revenue.html",
        200 if wrong is None else 422,
        month=visit.month,
        job=held,
        found=found,
        currencies=shown,
        wrong=wrong,
        as_of=visit.field("as_of"),
    )


def start(visit: Visit) -> Response:
    service, month, text = visit.service, visit.month, visit.field("as_of")
    try:
        as_of = parse_day(text) if text else None
        # What the report would refuse is said on the form: a job that fails would hide the last report.
        window_of(service, month, as_of)
    except (Invalid, ValueError) as error:
        held = visit.work.last("revenue", str(month))
        return _page(visit, held, report_of(held), str(error))

    def do(_stages: Stages) -> Mapping[str, Any]:
        return revenue_report(service, month, as_of=as_of).to_data()

    return visit.begin("revenue", str(month), do)
