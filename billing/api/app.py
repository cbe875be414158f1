"""The application: routes, errors, and what lives while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing.api import (
    account_credit,
    account_terms,
    accounts,
    advice,
    alerts,
    anomalies,
    audit,
    backtests,
    billing_runs,
    contract_documents,
    contracts,
    corrections,
    deliveries,
    disputes,
    erasures,
    events,
    explanations,
    exports,
    halves,
    health,
    invoice_changes,
    invoices,
    keys,
    links,
    metrics,
    operators,
    overviews,
    plans,
    problems,
    proposals,
    reconciliations,
    reports,
    sources,
    stripe_webhook,
    summary,
    usage,
    webhook_endpoints,
)
from billing.api.door import Door, Schedule
from billing.api.metrics import Metrics
from billing.api.middleware import Guard
from billing.api.openapi import DESCRIPTION, TAGS, complete
from billing.api.rate_limits import RateLimits
from billing.api.watching import Watch
from billing.app import Service
from billing.console import Console
from billing.links import PLACE
from billing.operators import PLACE as CONSOLE
from billing.pages import make_pages

_NOUNS = (
    events,
    corrections,
    accounts,
    account_terms,
    account_credit,
    erasures,
    usage,
    summary,
    plans,
    backtests,
    advice,
    contracts,
    contract_documents,
    invoices,
    explanations,
    invoice_changes,
    billing_runs,
    reconciliations,
    reports,
    anomalies,
    overviews,
    exports,
    sources,
    halves,
    disputes,
    links,
    alerts,
    webhook_endpoints,
    deliveries,
    keys,
    operators,
    proposals,
    audit,
    stripe_webhook,
    health,
    metrics,
)


def make_app(service: Service, schedule: Schedule | None = None) -> FastAPI:
    """The HTTP door of a service. While it runs it owns the one writer of events of this process, and starts
    and stops the schedule if it is given one. The schema must be there (`Service.require_schema`)."""
    door = Door(service, schedule, Metrics(service.engine))
    door.metrics.watch(lambda: 0 if door.writer is None else door.writer.waiting)
    console = Console(service, door.keyring.forget)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        door.start()
        try:
            yield
        finally:
            await door.readers.close()
            await run_in_threadpool(console.close)
            await run_in_threadpool(door.stop)

    app = FastAPI(
        title="Success billing",
        version="1",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,  # the pages of FastAPI load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to an address with the host that the request names
        lifespan=lifespan,
    )
    app.state.door, app.state.console = door, console
    app.add_middleware(events.Straight)
    app.add_middleware(RateLimits, door=door)
    app.add_middleware(Guard, public_url=service.settings.public_url)
    # The last is the outermost.
    app.add_middleware(Watch, metrics=door.metrics, settings=service.settings)
    problems.install(app)
    for noun in _NOUNS:
        app.include_router(noun.router)
    app.mount(PLACE.rstrip("/"), make_pages(service))
    app.mount(CONSOLE.rstrip("/"), console.app)
    app.add_route(CONSOLE.rstrip("/"), _onto_the_first_page, include_in_schema=False)
    complete(app)
    return app


async def _onto_the_first_page(_request: Request) -> Response:
    return RedirectResponse(CONSOLE.lstrip("/"), 307)
