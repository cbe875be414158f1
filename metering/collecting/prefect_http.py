"""Plain HTTP with a Prefect server: questions are asked again while it is busy or away, and what it answers
is JSON or an error that says what to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from metering.collecting.errors import Busy, KeyRefused, NoAddress, PrefectError, TooSlow
from metering.period import SECOND_US, to_instant
from metering.sources.document import JsonError, parse

TIMEOUT_SECONDS = 30
# How often a request is made that is turned away, or gets no answer.
ATTEMPTS = 6
LONGEST_WAIT_S = 60.0

KEY_NAME = "BILLING_PREFECT_API_KEY"


class PrefectHttp:
    """`url` is a server's address, with or without `/api`, or a workspace's of Prefect Cloud. `key_name` is
    where its key is set, for messages. `wait` lets seconds pass before a request is repeated. `server_now` is
    the server's clock at its last answer, where it said. Raises NoAddress."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        key_name: str = KEY_NAME,
        attempts: int = ATTEMPTS,
        http: httpx.Client | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = api_address(url)
        self.server_now: int | None = None
        self._key_name = key_name
        self._attempts = attempts
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # A redirect could lead to a page that swallows the question, and would be handed the key.
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        self._http.headers.update(headers)
        self._wait = wait

    def close(self) -> None:
        self._http.close()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer to a question. Raises PrefectError."""
        return self._ask("POST", path, json=body)

    def get(self, path: str, params: dict[str, str]) -> Any:
        """Raises PrefectError."""
        return self._ask("GET", path, params=params)

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        asked: float | None = None
        kind = Busy
        for attempt in range(self._attempts):
            try:
                answer = self._http.request(method, self.url + path, **more)
            except httpx.RequestError as error:
                kind = TooSlow if isinstance(error, httpx.ReadTimeout) else Busy
                asked, problem = None, f"{self.url} cannot be reached ({error or type(error).__name__})"
            else:
                kind = Busy
                self._note_time(answer)
                if answer.status_code == 200:
                    return self._parsed(answer)
                problem = self._turned_away(answer)
                asked = _seconds(answer.headers.get("Retry-After", ""), self.server_now)
            if attempt + 1 < self._attempts:
                self._wait(min(2.0**attempt if asked is None else asked, LONGEST_WAIT_S))
        raise kind(f"{problem}; try again later", asked)

    def _note_time(self, answer: httpx.Response) -> None:
        try:
            self.server_now = to_instant(parsedate_to_datetime(answer.headers.get("Date", "")))
        except (TypeError, ValueError):
            self.server_now = None

    def _turned_away(self, answer: httpx.Response) -> str:
        """What to say if nothing else helps. Raises PrefectError for an answer that another attempt does not
        change."""
        status = answer.status_code
        if status in (401, 403):
            raise KeyRefused(f"{self.url} refuses the API key ({status}); check {self._key_name}")
        if status == 404:
            raise PrefectError(f"there is no API of Prefect at {self.url}; check the address")
        if status not in (408, 429) and status < 500:
            raise PrefectError(f"{self.url} refuses the question ({status}): {answer.text[:200]}")
        return f"{self.url} answers {status}"

    def _parsed(self, answer: httpx.Response) -> Any:
        try:
            return parse(answer.content)
        except JsonError as error:
            raise PrefectError(
                f"{self.url} does not answer with JSON; is it Prefect's API? ({error})"
            ) from None


def _seconds(retry_after: str, server_now: int | None) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date by the server's own clock; None where it
    cannot be read.

    >>> _seconds("7", None)
    7.0
    >>> now = to_instant(parsedate_to_datetime("Sat, 03 Oct 2026 02:00:00 GMT"))
    >>> _seconds("Sat, 03 Oct 2026 02:00:30 GMT", now)
    30.0
    """
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        until = to_instant(parsedate_to_datetime(text))
    except (TypeError, ValueError):
        return None
    return None if server_now is None else max(until - server_now, 0) / SECOND_US


def api_address(url: str) -> str:
    """Where a server's API is. Raises NoAddress."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise NoAddress(f"{url!r} is not the address of a Prefect server, such as http://127.0.0.1:4200")
    address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return address if "/api" in f"{parts.path}/" else f"{address}/api"
