"""Who may go where: every page of the console against every role, from the router itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from starlette.routing import Route

from billing.console.rooms import OPEN, ROOMS, Console, Room
from billing.operator_tables import operator_jobs
from billing.operators import (
    LINK_LIFE_US,
    ROLES,
    SESSION_LIFE_US,
    end_sessions,
    list_sessions,
    make_link,
    may,
    open_session,
)
from metering.database import reading
from tests.billing.api.client import Client, running
from tests.billing.console.conftest import FORM, Operator
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import OCTOBER, World

# What a page asks of the address.
NAMES = {
    "account": "acme", "month": "2026-10", "invoice": "2026-10-000001", "job": "job_0", "dispute": "dsp_0",
    "delivery": "dlv_0", "endpoint": "whe_0", "key": "key_0", "session": "ops_0", "plan": "starter@2021-02",
    "number": "1", "proposal": "prp_0",
}  # fmt: skip


@pytest.fixture(scope="module")
def client(sqlite_databases: NewDatabase) -> Iterator[Client]:
    world = World(sqlite_databases())
    world.account("acme")
    world.send(runs(3))
    world.service.run_month(OCTOBER)
    with running(world) as client:
        yield client


def routes() -> list[tuple[str, str]]:
    """Every method and path of the application."""
    made = Console(None)  # type: ignore[arg-type] - only its routes are looked at
    return [
        (method, route.path)
        for route in made.app.routes
        if isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


# What a form that is sent without its fields is answered; others start work, and lead to where it is shown.
EMPTY = {
    "accounts/{account}/links": 422,
    "months/{month}/approvals": 422,
    "invoices/{invoice}/approval": 409,
    "catalogue/preview": 422,
    "catalogue/backtest": 422,
    "catalogue/what-if": 422,
    "access/keys": 422,
    "access/links": 422,
}


def answers(room: Room) -> int:
    """What whoever may go there is answered: 404 where the address names what is not there."""
    if any(NAMES[each].endswith("_0") for each in re.findall(r"{(\w+)}", room.place)):
        return 404
    if room.method == "POST":
        return EMPTY.get(room.place, 303)
    return 303 if room.place == "months" else 200


def test_every_route_says_who_may_go_there() -> None:
    """A page that is added without a role is no page: the table is the router."""
    told = {(room.method, f"/{room.place}"): room for room in ROOMS}
    assert len(told) == len(ROOMS)
    made = Console(None)  # type: ignore[arg-type]
    assert all(isinstance(route, Route) for route in made.app.routes)
    assert {each for each in routes() if each[1] not in OPEN} == told.keys()
    assert {path for _, path in routes() if path in OPEN} == set(OPEN)
    # What is asked for with GET changes nothing, so a viewer may see it unless it shows secrets.
    assert all(room.least != "viewer" for room in ROOMS if room.method != "GET")


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: f"{room.method} {room.place}")
def test_each_role_may_what_the_table_says(client: Client, room: Room) -> None:
    place = room.place.format(**NAMES)
    for role in ROLES:
        operator = Operator(client, role)
        answer = operator.post(place) if room.method == "POST" else operator.ask("GET", place)
        refused = f"takes the role {room.least}"
        if may(role, room.least):
            assert refused not in answer.text
            assert answer.status_code == answers(room), answer.text
        else:
            assert answer.status_code == 403 and refused in answer.text
        client.app.state.console.work.close()


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: f"{room.method} {room.place}")
def test_nobody_gets_in_without_a_session(client: Client, room: Room) -> None:
    world = client.world
    place = f"/console/{room.place.format(**NAMES)}"
    waiting = make_link(world.engine, "eve", "admin", by="operator", now=world.instant)
    ended = Operator(client, "admin", "gone")
    before = world.instant - SESSION_LIFE_US
    old = make_link(world.engine, "old", "admin", by="operator", now=before)
    _, expired = open_session(world.engine, old.secret, before)
    end_sessions(world.engine, world.instant)
    for secret in (
        None,
        "",
        "x",
        waiting.secret,
        ended.secret,
        expired,
        "billing_console",
        client.key("admin").secret,
    ):
        headers = FORM | ({} if secret is None else {"Cookie": f"billing_console={secret}"})
        for key in (None, "admin"):  # a key of the API opens no page
            answer = client.ask(room.method, place, key=key, headers=headers, content="csrf=")
            assert answer.status_code == 403
            assert "You are not signed in" in answer.text and "acme" not in answer.text.replace(place, "")


@pytest.mark.parametrize(
    "room", [each for each in ROOMS if each.method == "POST"], ids=lambda room: room.place
)
def test_a_form_of_somebody_else_does_nothing(client: Client, room: Room) -> None:
    place = room.place.format(**NAMES)
    with reading(client.world.engine) as connection:
        before = connection.execute(operator_jobs.select()).all()
    operator, other = Operator(client), Operator(client, name="bob")
    from billing.console.visit import csrf_of

    for csrf in ("", "x", csrf_of(other.secret), "é"):
        answer = operator.post(place, csrf=csrf)
        assert answer.status_code == 403 and "not of your session" in answer.text
    good = urlencode({"csrf": csrf_of(operator.secret)})
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        answer = operator.ask("POST", place, headers=FORM | headers, content=good)
        assert answer.status_code == 403 and "another site" in answer.text
    with reading(client.world.engine) as connection:
        assert connection.execute(operator_jobs.select()).all() == before


@pytest.mark.parametrize(("method", "path"), routes())
def test_every_answer_is_secured(client: Client, method: str, path: str) -> None:
    """Whoever asks, and whatever comes of it."""
    place = path.format(**NAMES).removeprefix("/")
    headers = FORM if method == "POST" else {}
    answers = [
        Operator(client, "viewer").ask(method, place, headers=headers),
        client.ask(method, f"/console/{place}", key=None, headers=headers),
        client.ask("DELETE", f"/console/{place}", key=None),
        client.get("/console/nowhere", key=None),
    ]
    for answer in answers:
        if answer.headers.get("content-type", "").startswith("text/css"):
            continue
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self';") and "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<script" not in answer.text and " style=" not in answer.text
        assert answer.status_code < 500
    assert [each.status_code for each in answers[2:]] == [405, 404]
    assert path in OPEN or answers[1].status_code == 403


def test_one_signs_in_by_a_link_once(client: Client) -> None:
    world = client.world
    made = make_link(world.engine, "zoe", "finance", by="operator", now=world.instant)
    place = made.url("").removeprefix("/")
    for _ in range(2):  # a preview of a message may look at it
        page = client.get(f"/{place}", key=None)
        assert page.status_code == 200 and "zoe" in page.text and "set-cookie" not in page.headers
    body = urlencode({"link": made.secret})
    other = client.post(
        "/console/sign-in", key=None, headers=FORM | {"Sec-Fetch-Site": "cross-site"}, content=body
    )
    assert other.status_code == 403
    answer = client.post("/console/sign-in", key=None, headers=FORM, content=body)
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    cookie = answer.headers["set-cookie"]
    for part in (
        "billing_console=",
        "HttpOnly",
        "SameSite=strict",
        f"Max-Age={SESSION_LIFE_US // 1_000_000}",
    ):
        assert part in cookie
    assert "Path" not in cookie and "Domain" not in cookie and "Secure" not in cookie
    secret = cookie.partition("=")[2].partition(";")[0]
    mine = {"Cookie": f"billing_console={secret}"}
    assert "Signed in as <strong>zoe</strong>" in client.get("/console/", key=None, headers=mine).text
    again = client.post("/console/sign-in", key=None, headers=FORM, content=body)
    assert again.status_code == 403 and "used already" in again.text and "set-cookie" not in again.headers
    assert client.get(f"/{place}", key=None).status_code == 403
    out = client.post("/console/sign-out", key=None, headers=FORM | mine)
    assert out.status_code == 200 and "Max-Age=0" in out.headers["set-cookie"]
    assert client.get("/console/", key=None, headers=mine).status_code == 403


def test_the_cookie_is_for_https_where_that_is_used(client: Client) -> None:
    world = client.world
    made = make_link(world.engine, "zoe", "finance", by="operator", now=world.instant)
    world.service.settings.public_url = "https://billing.example"
    try:
        answer = client.post(
            "/console/sign-in", key=None, headers=FORM, content=urlencode({"link": made.secret})
        )
    finally:
        world.service.settings.public_url = "http://127.0.0.1:8000"
        world.service.settings.model_fields_set.discard("public_url")
    assert "Secure" in answer.headers["set-cookie"]


def test_a_session_ends_by_itself_and_a_link_before_that(client: Client) -> None:
    world = client.world
    operator = Operator(client, "viewer")
    late = make_link(world.engine, "late", "viewer", by="operator", now=world.instant)
    try:
        world.instant += LINK_LIFE_US
        answer = client.post(
            "/console/sign-in", key=None, headers=FORM, content=urlencode({"link": late.secret})
        )
        assert answer.status_code == 403 and "in time" in answer.text
        operator.get()
        world.instant += SESSION_LIFE_US - LINK_LIFE_US
        operator.get(status=403)
    finally:
        world.instant -= SESSION_LIFE_US


def test_the_same_over_http(client: Client) -> None:
    made = client.post("/v1/operator-sessions", json={"name": "kim", "role": "viewer"}).json()
    assert made["url"].startswith("http://billing.test/console/sign-in?link=")
    secret = made["url"].partition("=")[2]
    session, _ = open_session(client.world.engine, secret, client.world.instant)
    listed = client.get("/v1/operator-sessions").json()
    assert [(each["name"], each["state"]) for each in listed if each["id"] == session.id] == [("kim", "open")]
    assert client.ask("DELETE", f"/v1/operator-sessions/{session.id}").status_code == 204
    assert client.ask("DELETE", "/v1/operator-sessions/ops_0").status_code == 404
    left = list_sessions(client.world.engine, client.world.instant)
    Operator(client, name="zoe")
    assert client.ask("DELETE", "/v1/operator-sessions").json()["ended"] == len(left) + 1
    assert list_sessions(client.world.engine, client.world.instant) == []
    assert client.post("/v1/operator-sessions", json={"name": "k", "role": "root"}).status_code == 422
