"""Signing in by a link, and out. The link leads to a page, and only its button opens the session: what looks
at links, such as the preview of a message, presses none."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing.app import Service
from billing.audit.actor import act, actor
from billing.console.visit import COOKIE, FormFields, html_page, secured
from billing.errors import sentence
from billing.operators import BadSignIn, end_session, look_at_link, open_session, session_of
from metering.period import SECOND_US


def ask(service: Service, request: Request) -> Response:
    """The page behind a link; it uses nothing up."""
    secret = request.query_params.get("link", "")
    if not secret:
        return refuse(request, "You are not signed in.")
    try:
        session = look_at_link(service.engine, secret, service.now())
    except BadSignIn as error:
        return refuse(request, sentence(error))
    return html_page(request, "sign_in.html", 200, session=session, link=secret, wrong=None)


def sign_in(service: Service, request: Request, form: FormFields) -> Response:
    """Opens the session, and keeps its secret in a cookie."""
    now = service.now()
    try:
        session, secret = open_session(service.engine, form.get("link", [""])[0], now)
    except BadSignIn as error:
        return refuse(request, sentence(error))
    assert session.expires_at is not None
    response = secured(RedirectResponse("./", 303))
    response.set_cookie(
        COOKIE,
        secret,
        max_age=(session.expires_at - now) // SECOND_US,
        path=None,  # the folder of this address, wherever a proxy has put it
        secure=is_secure(service, request),
        httponly=True,
        samesite="strict",
    )
    return response


def sign_out(service: Service, request: Request) -> Response:
    """Ends the session that the cookie is of, if there is one."""
    session = session_of(service.engine, request.cookies.get(COOKIE, ""), service.now())
    if session is not None:
        act(session.acts_as, actor().request)
        end_session(service.engine, session.id, service.now())
    response = refuse(request, "You are signed out.", 200)
    response.set_cookie(
        COOKIE, "", max_age=0, path=None, secure=is_secure(service, request), httponly=True, samesite="strict"
    )
    return response


def refuse(request: Request, says: str, status: int = 403) -> Response:
    """The page for whoever is not signed in."""
    return html_page(request, "sign_in.html", status, session=None, link=None, wrong=says)


def is_secure(service: Service, request: Request) -> bool:
    """Whether the browser came by https; a proxy that ends TLS need not say so."""
    return request.url.scheme == "https" or service.settings.public_url.startswith("https://")
