"""The addresses of the pages, and what every request to one passes through: the link is opened, a form is
read, and whatever goes wrong is said on a page."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from billing.app import Service
from billing.audit.actor import CUSTOMER, act
from billing.errors import BillingError, Invalid, NotFound, Refused, sentence
from billing.links import BadLink, open_link
from billing.pages import dispute_pages, explain_page, invoice_page, runs_page, start_page, usage_page
from billing.pages.visit import FormFields, Visit, html_page, script, secured, style
from billing.repository import accounts
from metering.database import reading
from metering.database_file import DatabaseReplaced

_log = logging.getLogger("billing.pages")

Page = Callable[[Visit], Response]

# By method and by place below the customer's first page.
_PAGES: tuple[tuple[str, str, Page], ...] = (
    ("GET", "", start_page.start),
    ("GET", "usage", usage_page.show),
    ("GET", "usage.csv", usage_page.csv),
    ("GET", "runs", runs_page.of_month),
    ("GET", "explain", explain_page.month_so_far),
    ("GET", "invoices/{invoice}", invoice_page.show),
    ("GET", "invoices/{invoice}/explain", explain_page.of_invoice),
    ("GET", "invoices/{invoice}/invoice.pdf", invoice_page.pdf),
    ("GET", "invoices/{invoice}/invoice.json", invoice_page.figures),
    ("GET", "invoices/{invoice}/runs", runs_page.of_invoice),
    ("GET", "invoices/{invoice}/runs.csv", runs_page.csv),
    ("GET", "disputes", dispute_pages.list_),
    ("POST", "disputes", dispute_pages.raise_),
    ("POST", "disputes/new", dispute_pages.write),
    ("GET", "disputes/{dispute}", dispute_pages.show),
)
# A form names a thousand task runs at most, and says something.
_MOST_FIELDS = 1100
_STATUS = {NotFound: 404, Refused: 409, Invalid: 422, BadLink: 403}


def make_pages(service: Service) -> Starlette:
    """The pages as an application, to be mounted where links lead (`billing.links.PLACE`)."""

    async def stylesheet(_request: Request) -> Response:
        week = {"Cache-Control": "public, max-age=604800, immutable"}  # its address changes when it does
        return Response(style()[0], media_type="text/css", headers=week)

    async def charts(_request: Request) -> Response:
        week = {"Cache-Control": "public, max-age=604800, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(script()[0], media_type="text/javascript", headers=week)

    async def onto_the_first_page(request: Request) -> Response:
        return secured(service, RedirectResponse(f"{request.path_params['token']}/", 307))

    async def no_such_page(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        says = _SENTENCES.get(error.status_code, error.detail)
        return _problem(service, request, error.status_code, says)

    app = Starlette(
        routes=[
            Route("/style.css", stylesheet),
            Route("/charts.js", charts),
            Route("/{token}", onto_the_first_page),
            *(
                Route("/{token}/" + place, _endpoint(service, page), methods=[method])
                for method, place, page in _PAGES
            ),
        ],
        exception_handlers={HTTPException: no_such_page},
    )
    app.router.redirect_slashes = False  # to an address with the host that the request names
    return app


def _endpoint(service: Service, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        form: FormFields = {}
        if request.method == "POST":
            if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return _problem(
                    service, request, 403, "This form was sent by another site. Nothing was done."
                )
            form = _fields(await request.body())
        return await run_in_threadpool(_answer, service, page, request, form)

    return answer


def _fields(body: bytes) -> FormFields:
    try:
        text = body.decode("utf-8")
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise HTTPException(422, "This form cannot be read, or it names too many task runs.") from None


def _answer(service: Service, page: Page, request: Request, form: FormFields) -> Response:
    try:
        now = service.now()
        link = open_link(service.engine, request.path_params["token"], now)
        with reading(service.engine) as connection:
            account = accounts.get(connection, link.account)
        if account is None:
            raise BadLink(expired=False)
        act(CUSTOMER, getattr(request.state, "request_id", None))
        return page(Visit(service, account, request, link.expires_at, now, form))
    except BadLink as error:
        return _problem(service, request, 403, _EXPIRED if error.expired else _NOT_VALID)
    except NotFound:
        return _problem(service, request, 404, _SENTENCES[404], inside=True)
    except BillingError as error:
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        return _problem(service, request, status, sentence(error), inside=True)
    except Exception as error:
        # The address is a secret: the log names the page alone.
        _log.exception("a page failed, request %s", getattr(request.state, "request_id", None))
        status = 503 if isinstance(error, DatabaseReplaced) else 500
        return _problem(service, request, status, "Something went wrong here. Try again in a moment.")


_EXPIRED = "This link has expired. Links last for a limited time; ask the sender for a new one."
_NOT_VALID = "This link is not valid. Part of it may be missing, or it was withdrawn; ask the sender."
_SENTENCES = {
    404: "There is nothing here.",
    405: "This address cannot be used that way.",
    413: "The form is too large. Dispute fewer task runs at once.",
}


def _problem(service: Service, request: Request, status: int, says: str, *, inside: bool = False) -> Response:
    """A page that says what is wrong; `inside` where the link itself is good."""
    return html_page(service, request, "problem.html", status, says=says, inside=inside)
