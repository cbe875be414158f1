"""A console and operators who are signed in to it, as their browsers would be."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import httpx

from billing.operators import make_link, open_session
from tests.billing.api.client import Client

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Operator:
    """Asks with the cookie of a session of a role, and sends forms with what theirs carry."""

    def __init__(self, client: Client, role: str = "admin", name: str = "ada") -> None:
        world = client.world
        made = make_link(world.engine, name, role, by="operator", now=world.instant)
        self.session, self.secret = open_session(world.engine, made.secret, world.instant)
        self.client = client

    def ask(self, method: str, place: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
        given = {"Cookie": f"billing_console={self.secret}"} | (headers or {})
        return self.client.ask(method, f"/console/{place}", key=None, headers=given, **more)

    def get(self, place: str = "", status: int = 200) -> str:
        answer = self.ask("GET", place)
        assert answer.status_code == status, answer.text
        text: str = answer.text
        return text

    def post(self, place: str, *pairs: tuple[str, str], csrf: str | None = None) -> httpx.Response:
        from billing.console.visit import csrf_of

        sent = urlencode([*pairs, ("csrf", csrf_of(self.secret) if csrf is None else csrf)])
        answer: httpx.Response = self.ask("POST", place, headers=FORM, content=sent)
        return answer

    def do(self, place: str, *pairs: tuple[str, str]) -> str:
        """Starts work, waits until it is done, and answers its page."""
        answer = self.post(place, *pairs)
        assert answer.status_code == 303, answer.text
        job = answer.headers["location"].rpartition("/")[2]
        console = self.client.app.state.console
        console.work.close()
        return self.get(f"jobs/{job}")


def text_of(page: str) -> str:
    """What a page says, without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
