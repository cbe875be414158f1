"""Who may get in: API keys, and operators' sessions. What is secret is shown once, on the page that answers
the form."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from billing.access import create_key, is_live, list_keys, read_end, revoke_key, rotate_key
from billing.console.visit import Visit
from billing.errors import Invalid
from billing.operators import ROLES, end_session, list_sessions, make_link, state_of

SCOPES = ("ingest", "read", "admin")
# Of keys the newest; of those that ended nobody has need.
_MOST = 200


def show(visit: Visit) -> Response:
    return _show(visit)


def make_key(visit: Visit) -> Response:
    try:
        made = create_key(
            visit.service.engine,
            visit.field("scope"),
            visit.field("account") or None,
            visit.now,
            expires=read_end(visit.field("expires") or None, visit.now),
        )
    except Invalid as error:
        given = {"account": visit.field("account"), "expires": visit.field("expires")}
        return _show(visit, 422, wrong=str(error), **given)
    return _show(visit, secret=made.secret, secret_of=f"The {made.key.scope} key {made.key.id}")


def rotate(visit: Visit) -> Response:
    """With the usual overlap; the command line and the API take another."""
    made, _old = rotate_key(visit.service.engine, visit.param("key"), visit.now)
    visit.request.app.state.forget_keys()
    of = f"The {made.key.scope} key {made.key.id}; {visit.param('key')} ends in a day"
    return _show(visit, secret=made.secret, secret_of=of)


def revoke(visit: Visit) -> Response:
    revoke_key(visit.service.engine, visit.param("key"), visit.now)
    visit.request.app.state.forget_keys()
    return visit.go("access")


def make_operator_link(visit: Visit) -> Response:
    try:
        made = make_link(
            visit.service.engine, visit.field("name"), visit.field("role"), by=visit.by, now=visit.now
        )
    except Invalid as error:
        return _show(visit, 422, wrong=str(error), name=visit.field("name"))
    of = f"The link that signs in {made.session.name} as {made.session.role}, once, within ten minutes"
    return _show(visit, secret=made.url(visit.base), secret_of=of)


def end(visit: Visit) -> Response:
    end_session(visit.service.engine, visit.param("session"), visit.now)
    return visit.go("access")


def _show(visit: Visit, status: int = 200, **more: Any) -> Response:
    engine = visit.service.engine
    keys = [key for key in list_keys(engine) if is_live(key, visit.now)][::-1]
    sessions = list_sessions(engine, visit.now, limit=_MOST)
    given = {"secret": None, "secret_of": None, "wrong": None, "account": "", "expires": "", "name": ""}
    return visit.page(
        "access.html",
        status,
        keys=keys[:_MOST],
        key_count=len(keys),
        sessions=[(each, state_of(each, visit.now)) for each in sessions],
        scopes=SCOPES,
        roles=ROLES,
        **given | more,
    )
