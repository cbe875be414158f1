"""Who may see what: every page of customers, by every method, with every kind of link that is not good; from
the router itself, so that a page that is added is asked as well."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from starlette.routing import Route

from billing.disputes import list_disputes, raise_dispute
from billing.links import create_link, end_links, sign
from billing.pages import make_pages
from metering.period import HOUR_US, SECOND_US
from tests.billing.api.client import Client, running
from tests.billing.console.conftest import FORM, Operator
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import OCTOBER, World

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


def routes() -> list[tuple[str, str]]:
    made = make_pages(None)  # type: ignore[arg-type] - only its routes are looked at
    assert all(isinstance(route, Route) for route in made.routes)
    return [
        (method, route.path)
        for route in made.routes
        if isinstance(route, Route) and route.path not in ("/style.css", "/charts.js", "/{token}")
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


ROUTES = routes()
PATHS = sorted({path for _, path in ROUTES})


@pytest.fixture(scope="module")
def client(sqlite_databases: NewDatabase) -> Iterator[Client]:
    world = World(sqlite_databases())
    for account in ("acme", "other"):
        world.account(account, since="2026-10")
    world.send(runs(12_000, prefix="acmes"), runs(2, account="other"))
    world.service.run_month(OCTOBER)
    with running(world) as client:
        yield client


@pytest.fixture(scope="module")
def dispute(client: Client) -> str:
    world, wrong = client.world, ["acmes-0000001"]
    made = raise_dispute(
        world.engine, world.store, "acme", wrong, "no", raised_by="Ada", by="x", now=world.instant
    )
    return made.id


def ask(client: Client, method: str, path: str, token: str, dispute: str) -> tuple[int, str]:
    place = path.format(token=token, invoice="2026-10-000001", dispute=dispute)
    sent = urlencode([("run", "acmes-0000002"), ("message", "x"), ("raised_by", "Eve")])
    body = {"content": sent, "headers": FORM} if method not in ("GET", "HEAD", "OPTIONS") else {}
    answer = client.ask(method, f"/c{place}", key=None, **body)
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.status_code, answer.text.replace(token, "")


def links(client: Client) -> dict[str, str]:
    """Whatever is no good link to acme's pages."""
    world = client.world
    good = create_link(world.engine, "acme", now=world.instant).token
    said, _, digest = good.partition(".")
    old = create_link(world.engine, "acme", now=world.instant - 2 * HOUR_US, hours=1).token
    return {
        "none": "x",
        "cut short": good[:-1],
        "without its digest": f"{said}.",
        "of another secret": sign("guessed", "acme", world.instant // SECOND_US + 3600),
        "with more to it": f"{good}x",
        "in other letters": f"{said}.{digest.swapcase()}",
        "expired": old,
        "an admin's key": client.key("admin").secret,
        "a session": Operator(client).secret,
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_without_a_good_link_nothing_is_shown_nor_done(
    client: Client, dispute: str, method: str, path: str
) -> None:
    before = len(list_disputes(client.world.engine))
    for what, token in links(client).items():
        status, text = ask(client, method, path, token, dispute)
        assert status in ((403,) if (method, path) in ROUTES else (403, 405)), what
        assert "acme" not in text, what
    assert len(list_disputes(client.world.engine)) == before


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_link_shows_nothing_of_another_account(
    client: Client, dispute: str, method: str, path: str
) -> None:
    before = len(list_disputes(client.world.engine))
    token = create_link(client.world.engine, "other", now=client.world.instant).token
    status, text = ask(client, method, path, token, dispute)
    if "{invoice}" in path or "{dispute}" in path:
        assert status == 404
    elif method == "POST":
        assert status in (200, 404, 409, 422)
    else:
        assert status == 200
    # What was sent is shown again to who sent it, and no more.
    assert "acme" not in text.replace("acmes-0000002", "")
    assert len(list_disputes(client.world.engine)) == before


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_links_that_were_ended_show_nothing(client: Client, dispute: str, method: str, path: str) -> None:
    token = create_link(client.world.engine, "acme", now=client.world.instant).token
    end_links(client.world.engine, client.world.instant)
    status, text = ask(client, method, path, token, dispute)
    assert status == 403 and "acme" not in text
