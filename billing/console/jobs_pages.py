"""Work that goes on behind a page: how far it is, and what came of it."""

from __future__ import annotations

from starlette.responses import Response

from billing.console.visit import Visit
from billing.console.work import report_of
from billing.errors import NotFound
from billing.repository.operator_jobs import Job

# While work goes on, its page is asked for again after so many seconds.
REFRESH_SECONDS = 2
# Where work is started that is of no month and of no endpoint, by its kind.
_PLACES = {
    "preview": "catalogue/preview",
    "backtest": "catalogue/backtest",
    "what-if": "catalogue/what-if",
    "risks": "contracts/risks",
}


def show(visit: Visit) -> Response:
    """How far work is; it is asked for again by itself while it goes on, unless somebody does not want it."""
    held = visit.work.get(visit.param("job"))
    if held is None:
        raise NotFound(f"there is no job {visit.param('job')!r}")
    is_going = held.finished_at is None
    still = visit.query("still") == "yes"
    return visit.page(
        "job.html",
        job=held,
        is_going=is_going,
        still=still,
        seconds=REFRESH_SECONDS,
        back=place_of(held),
        report=report_of(held),
        refresh=REFRESH_SECONDS if is_going and not still else None,
    )


def place_of(held: Job) -> str:
    """The page that a job was started from."""
    if held.kind == "resend":
        return f"deliveries?endpoint={held.subject}"
    if held.kind == "revenue":
        return f"months/{held.subject}/revenue"
    return _PLACES.get(held.kind) or f"months/{held.subject.partition('/')[0]}"
