"""The addresses of the console, each with the least role it takes, in one table; and what every request
passes through: the session is looked up, the form is read, and whatever goes wrong is said on a page."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing.app import Service
from billing.audit.actor import act
from billing.console import (
    access_pages,
    accounts_pages,
    advice_pages,
    audit_pages,
    catalogue_pages,
    closing_pages,
    disputes_pages,
    invoices_pages,
    jobs_pages,
    notifications_pages,
    proposals_pages,
    revenue_pages,
    sign_in,
    watch_pages,
)
from billing.console.forms import read_form
from billing.console.visit import COOKIE, FormFields, Visit, csrf_of, html_page, style
from billing.console.work import Work
from billing.errors import BillingError, Invalid, NotFound, Refused, sentence
from billing.operators import Role, may, session_of
from billing.payments.errors import PaymentError
from billing.pricing.errors import PricingError
from metering.database_file import DatabaseReplaced

_log = logging.getLogger("billing.console")

Page = Callable[[Visit], Response]


class Room(NamedTuple):
    """A page, by method and by place below the console's first page; who has `least` may go in."""

    method: str
    place: str
    least: Role
    page: Page


def _later(name: str) -> Page:
    """A page of `backtest_pages`, which is imported when somebody first goes there: with numpy, it is a tenth
    of a second and 35 MB of every service's start."""

    def page(visit: Visit) -> Response:
        from billing.console import backtest_pages

        found: Page = getattr(backtest_pages, name)
        return found(visit)

    return page


# Whoever adds a page says here who may see it: there is no other way in.
ROOMS: tuple[Room, ...] = (
    Room("GET", "", "viewer", accounts_pages.list_),
    Room("GET", "accounts/{account}", "viewer", accounts_pages.show),
    Room("POST", "accounts/{account}/links", "admin", accounts_pages.make_link),
    Room("GET", "accounts/{account}/advice", "viewer", advice_pages.show),
    Room("GET", "months", "viewer", closing_pages.onto_month),
    Room("GET", "months/{month}", "viewer", closing_pages.show),
    Room("POST", "months/{month}/checks", "finance", closing_pages.check),
    Room("POST", "months/{month}/runs", "finance", closing_pages.run),
    Room("POST", "months/{month}/approvals", "finance", closing_pages.approve),
    Room("POST", "months/{month}/reconciliations", "finance", closing_pages.reconcile_),
    Room("GET", "months/{month}/revenue", "viewer", revenue_pages.show),
    Room("POST", "months/{month}/revenue", "finance", revenue_pages.start),
    Room("GET", "months/{month}/invoices", "viewer", invoices_pages.list_),
    Room("GET", "invoices/{invoice}", "viewer", invoices_pages.show),
    Room("GET", "invoices/{invoice}/invoice.pdf", "viewer", invoices_pages.pdf),
    Room("POST", "invoices/{invoice}/approval", "finance", invoices_pages.approve),
    Room("GET", "contracts", "viewer", watch_pages.contracts),
    Room("GET", "contracts/risks", "viewer", advice_pages.risks),
    Room("POST", "contracts/risks", "finance", advice_pages.start),
    Room("GET", "payments", "viewer", watch_pages.payments),
    Room("GET", "disputes", "viewer", disputes_pages.list_),
    Room("GET", "disputes/{dispute}", "viewer", disputes_pages.show),
    Room("POST", "disputes/{dispute}/answer", "finance", disputes_pages.answer),
    Room("GET", "notifications", "viewer", notifications_pages.show),
    Room("GET", "alerts", "viewer", notifications_pages.alerts),
    Room("GET", "deliveries", "viewer", notifications_pages.deliveries),
    Room("GET", "deliveries/{delivery}", "viewer", notifications_pages.delivery),
    Room("POST", "deliveries/{delivery}/resend", "finance", notifications_pages.send_again),
    Room("POST", "endpoints/{endpoint}/resend", "finance", notifications_pages.send_failed_again),
    Room("GET", "catalogue", "viewer", catalogue_pages.list_),
    Room("GET", "catalogue/preview", "viewer", catalogue_pages.draft),
    Room("POST", "catalogue/preview", "admin", catalogue_pages.preview),
    Room("GET", "catalogue/backtest", "viewer", _later("show")),
    Room("POST", "catalogue/backtest", "admin", _later("start")),
    Room("GET", "catalogue/what-if", "viewer", _later("show_what_if")),
    Room("POST", "catalogue/what-if", "admin", _later("start_what_if")),
    Room("GET", "catalogue/{plan}", "viewer", catalogue_pages.show),
    Room("GET", "proposals", "viewer", proposals_pages.list_),
    Room("GET", "proposals/{proposal}", "viewer", proposals_pages.show),
    Room("POST", "proposals/{proposal}/approve", "finance", proposals_pages.approve),
    Room("POST", "proposals/{proposal}/refuse", "finance", proposals_pages.refuse),
    Room("GET", "access", "admin", access_pages.show),
    Room("POST", "access/keys", "admin", access_pages.make_key),
    Room("POST", "access/keys/{key}/rotate", "admin", access_pages.rotate),
    Room("POST", "access/keys/{key}/revoke", "admin", access_pages.revoke),
    Room("POST", "access/links", "admin", access_pages.make_operator_link),
    Room("POST", "access/sessions/{session}/end", "admin", access_pages.end),
    Room("GET", "audit", "admin", audit_pages.list_),
    Room("GET", "audit/{number}", "admin", audit_pages.show),
    Room("GET", "jobs/{job}", "viewer", jobs_pages.show),
)
# Those that nobody is signed in for.
OPEN = ("/style.css", "/sign-in", "/sign-out")
_STATUS = {NotFound: 404, Refused: 409, Invalid: 422}
_SENTENCES = {
    404: "There is nothing here.",
    405: "This address cannot be used that way.",
    413: "The form is too large.",
}


class Console:
    """The console of a service as an application, to be mounted (`billing.operators.PLACE`), and the work
    that goes on behind its pages."""

    def __init__(self, service: Service, forget_keys: Callable[[], None] = lambda: None) -> None:
        """`forget_keys`: what to do when a key was revoked here."""
        self._service = service
        self.work = Work(service)
        self.app = Starlette(
            routes=[
                Route("/style.css", _stylesheet),
                Route("/sign-in", self._ask, methods=["GET"]),
                Route("/sign-in", self._sign_in, methods=["POST"]),
                Route("/sign-out", self._sign_out, methods=["POST"]),
                *(Route(f"/{room.place}", self._endpoint(room), methods=[room.method]) for room in ROOMS),
            ],
            exception_handlers={HTTPException: _no_such_page},
        )
        self.app.router.redirect_slashes = False  # to an address with the host that the request names
        self.app.state.forget_keys = forget_keys

    def close(self) -> None:
        self.work.close()

    async def _ask(self, request: Request) -> Response:
        return await run_in_threadpool(sign_in.ask, self._service, request)

    async def _sign_in(self, request: Request) -> Response:
        if not _from_here(request):
            return _other_site(request)
        form = await read_form(request)
        return await run_in_threadpool(sign_in.sign_in, self._service, request, form)

    async def _sign_out(self, request: Request) -> Response:
        if not _from_here(request):
            return _other_site(request)
        return await run_in_threadpool(sign_in.sign_out, self._service, request)

    def _endpoint(self, room: Room) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if room.method != "GET" and not _from_here(request):
                return _other_site(request)
            form = await read_form(request) if room.method == "POST" else {}
            return await run_in_threadpool(self._answer, room, request, form)

        return answer

    def _answer(self, room: Room, request: Request, form: FormFields) -> Response:
        try:
            now = self._service.now()
            secret = request.cookies.get(COOKIE, "")
            session = session_of(self._service.engine, secret, now) if secret else None
            if session is None:
                return sign_in.refuse(request, "You are not signed in, or your session is over.")
            act(session.acts_as, getattr(request.state, "request_id", None))
            visit = Visit(self._service, self.work, request, session, csrf_of(secret), now, form)
            if not may(session.role, room.least):
                says = f"This takes the role {room.least}; you are signed in as {session.role}."
                return _problem(visit, 403, says)
            sent = form.get("csrf", [""])[0].encode()
            if room.method != "GET" and not hmac.compare_digest(sent, visit.csrf.encode()):
                return _problem(visit, 403, "This form is not of your session. Nothing was done; try again.")
            return _shown(visit, room)
        except DatabaseReplaced as error:
            return html_page(request, "console_problem.html", 503, says=sentence(error))
        except Exception:
            _log.exception("a page failed, request %s", getattr(request.state, "request_id", None))
            says = "Something went wrong here. Try again in a moment."
            return html_page(request, "console_problem.html", 500, says=says)


def _shown(visit: Visit, room: Room) -> Response:
    try:
        return room.page(visit)
    except PricingError as error:
        return _problem(visit, 422, sentence(error))
    except PaymentError as error:
        return _problem(visit, 502, sentence(error))
    except BillingError as error:
        status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 409)
        return _problem(visit, status, sentence(error))


def _from_here(request: Request) -> bool:
    """Whether a form came from a page of the console, as far as the browser says. One that says nothing has
    the session's digest in the form, or is none of ours."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host", "")


def _other_site(request: Request) -> Response:
    says = "This form was sent by another site. Nothing was done."
    return html_page(request, "console_problem.html", 403, says=says)


def _problem(visit: Visit, status: int, says: str) -> Response:
    return visit.page("problem_inside.html", status, says=says)


async def _no_such_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    says = _SENTENCES.get(error.status_code, error.detail)
    return html_page(request, "console_problem.html", error.status_code, says=says)


async def _stylesheet(_request: Request) -> Response:
    week = {"Cache-Control": "public, max-age=604800, immutable"}  # its address changes when it does
    return Response(style()[0], media_type="text/css", headers=week)
