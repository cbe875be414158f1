"""A Prefect server as we ask it: plain HTTP, its own words read by the rules of docs/rules.md §2.

Pages of task runs are asked for by time: newest first, each page ending where the one before it stopped. So
a page costs the server the same however many came before, and runs that end meanwhile shift nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from metering.agreement import Ended
from metering.collecting.errors import NoAddress, PrefectError
from metering.outcome import classify
from metering.period import format_instant
from metering.sources.document import JsonError, parse
from metering.sources.fields import FieldError, duration_of, instant_of, object_of, required_text, text_of
from metering.sources.prefect import state_of

# The most that a server gives at once.
PAGE = 200
TIMEOUT_SECONDS = 30
# How often a request is made that is turned away, or gets no answer.
ATTEMPTS = 6
LONGEST_WAIT_S = 60.0

Progress = Callable[[int, int | None], None]


class PrefectServer:
    """`url` is a server's address, with or without `/api`, or a workspace's of Prefect Cloud. `wait` lets
    seconds pass before a request is repeated. Raises NoAddress."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        http: httpx.Client | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _api(url)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # A redirect could lead to a page that swallows the question, and would be handed the key.
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        self._http.headers.update(headers)
        self._wait = wait

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def task_runs(
        self, start: int, end: int, progress: Progress = lambda done, total: None
    ) -> Iterator[Ended]:
        """The task runs that ended in the period `[start, end)`, latest first, with the outcome that each has
        now. Rows that stand for a subflow are none, nor are those whose state is not final. Raises
        PrefectError."""
        latest, at_latest, skip, done = end - 1, set[str](), 0, 0
        while True:
            page = self._page(start, latest, skip)
            skip += len(page)
            for task_run_id, ended_at, run in page:
                if ended_at > latest:
                    raise PrefectError(f"{self.url} does not sort by end_time; is it Prefect's API?")
                if ended_at != latest:
                    latest, at_latest, skip = ended_at, set(), 0
                elif task_run_id in at_latest:
                    continue  # the page before ended with it
                at_latest.add(task_run_id)
                if run is not None:
                    done += 1
                    yield run
            progress(done, None)
            if len(page) < PAGE:
                return

    def _page(self, start: int, latest: int, skip: int) -> list[tuple[str, int, Ended | None]]:
        """The runs that ended from `start` on, `latest` and before (both included, as the server has it)."""
        bounds = {"after_": format_instant(start), "before_": format_instant(latest)}
        asked = {"sort": "END_TIME_DESC", "limit": PAGE, "offset": skip, "task_runs": {"end_time": bounds}}
        rows = self._post("/task_runs/filter", asked)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise PrefectError(f"{self.url} does not answer with a list of task runs; is it Prefect's API?")
        return [self._read(row) for row in rows]

    def _read(self, row: dict[str, Any]) -> tuple[str, int, Ended | None]:
        try:
            return _row(row)
        except FieldError as error:
            named = row.get("id")
            raise PrefectError(
                f"{self.url} gives a task run {named!r} that cannot be read: {error}"
            ) from None

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        for attempt in range(ATTEMPTS):
            try:
                answer = self._http.post(self.url + path, json=body)
            except httpx.TransportError as error:
                problem, pause = f"{self.url} cannot be reached ({error})", 2.0**attempt
            else:
                if answer.status_code == 200:
                    return self._parsed(answer)
                problem, pause = self._turned_away(answer, 2.0**attempt)
            if attempt + 1 < ATTEMPTS:
                self._wait(min(pause, LONGEST_WAIT_S))
        raise PrefectError(f"{problem}; try again later")

    def _turned_away(self, answer: httpx.Response, pause: float) -> tuple[str, float]:
        """What to say if nothing else helps, and how long to wait before the next attempt. Raises
        PrefectError for an answer that another attempt does not change."""
        status = answer.status_code
        if status in (401, 403):
            raise PrefectError(f"{self.url} refuses the API key ({status}); check BILLING_PREFECT_API_KEY")
        if status == 404:
            raise PrefectError(f"there is no API of Prefect at {self.url}; check the address")
        if status != 429 and status < 500:
            raise PrefectError(f"{self.url} refuses the question ({status}): {answer.text[:200]}")
        asked = answer.headers.get("Retry-After", "")
        return f"{self.url} answers {status}", float(asked) if asked.isdecimal() else pause

    def _parsed(self, answer: httpx.Response) -> Any:
        try:
            return parse(answer.content)
        except JsonError as error:
            raise PrefectError(
                f"{self.url} does not answer with JSON; is it Prefect's API? ({error})"
            ) from None


def _api(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NoAddress(f"{url!r} is not the address of a Prefect server, such as http://127.0.0.1:4200")
    address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return address if "/api" in f"{parts.path}/" else f"{address}/api"


def _row(row: dict[str, Any]) -> tuple[str, int, Ended | None]:
    """A row's id and end, and the run that it is; None for one that is none, or is not over. Raises
    FieldError."""
    task_run_id = required_text(row, "id")
    ended_at = instant_of(row, "end_time")
    if ended_at is None:
        raise FieldError("end_time", "end_time is missing")
    state = object_of(row, "state") if row.get("state") is not None else {}
    details = state.get("state_details")
    if isinstance(details, dict) and details.get("child_flow_run_id") is not None:
        return task_run_id, ended_at, None
    kind = text_of(state, "type") or text_of(row, "state_type")
    final = state_of(kind, text_of(state, "name") or text_of(row, "state_name"))
    if final is None:
        return task_run_id, ended_at, None
    outcome = classify(final, _duration(row, ended_at))
    assert outcome is not None, f"{final} is final"
    return task_run_id, ended_at, Ended(task_run_id, outcome, ended_at)


def _duration(row: dict[str, Any], ended_at: int) -> int:
    duration_us = duration_of(row, "total_run_time")
    if duration_us is not None:
        return duration_us
    started_at = instant_of(row, "start_time")
    return max(ended_at - (ended_at if started_at is None else started_at), 0)
