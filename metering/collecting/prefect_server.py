"""A Prefect server as we ask it: plain HTTP, its own words read by the rules of docs/rules.md §2.

Pages are asked for by time, each beginning where the one before it stopped. So a page costs the server the
same however many came before, and what is added or forgotten meanwhile shifts nothing. Its own page tokens
are offsets into an order that is not settled among equals; they are followed only within one microsecond.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

import httpx

from metering.agreement import Ended
from metering.collecting.errors import PrefectError
from metering.collecting.prefect_http import ATTEMPTS, KEY_NAME, PrefectHttp
from metering.collecting.prefect_rows import Row, read_row
from metering.period import format_instant
from metering.sources.fields import FieldError, required_instant

# The most that a server gives at once: of task runs, and of events.
PAGE = 200
EVENTS_PAGE = 50
EVENTS = "prefect.task-run."
# What ended is counted whole, and again by what may become of it: a task run that was completed is rolled
# back when its transaction fails, hours later as well.
_ENDS: tuple[dict[str, Any], ...] = (
    {},
    {"state": {"type": {"any_": ["COMPLETED"]}}},
    {"state": {"name": {"any_": ["RolledBack"]}}},
)

Progress = Callable[[int, int | None], None]


class EventPage(NamedTuple):
    """`events` as the server gives them, in the order in which they occurred; up to and without `read_to`
    everything of the question was given."""

    events: list[Any]
    read_to: int


class PrefectServer:
    """`url`, `key_name`, `attempts`, `wait`: as `PrefectHttp` has them. Raises NoAddress."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        key_name: str = KEY_NAME,
        attempts: int = ATTEMPTS,
        http: httpx.Client | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = PrefectHttp(url, api_key, key_name=key_name, attempts=attempts, http=http, wait=wait)
        self.url = self._http.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def now(self) -> int | None:
        """The server's clock at its last answer; None where it did not say."""
        return self._http.server_now

    def ask_time(self, now: int) -> int | None:
        """The server's clock, by a question that costs nothing. Raises PrefectError."""
        _events_of(self._events(now, now, 1), self.url)
        return self.now

    def events(self, start: int, end: int) -> Iterator[EventPage]:
        """The task-run events that occurred from `start` to `end` (both included), oldest first, a page at a
        time. Raises PrefectError."""
        at, at_last = start, set[str]()
        while True:
            answer = self._events(at, end, EVENTS_PAGE)
            while True:
                page = self._in_order(answer, at, end)
                token = _token(answer)
                last = page[-1][0] if page else at
                # The first of a page may be the last of the one before.
                new = [event for when, event in page if when > at or _id(event) not in at_last]
                at_last = {*_ids_at(page, last), *(at_last if last == at else ())}
                yield EventPage(new, end if token is None else last)
                if token is None:
                    return
                if last > at:
                    break
                # More events of one microsecond than a page holds.
                answer = self._http.get("/events/filter/next", {"page-token": token})
            at = last

    def task_runs(
        self, start: int, end: int, progress: Progress = lambda done, total: None
    ) -> Iterator[Ended]:
        """The task runs that ended in the period `[start, end)`, latest first, with the outcome that each has
        now. Rows that stand for a subflow are none, nor are those whose state is not final. Raises
        PrefectError."""
        for done, row in enumerate(self.rows(start, end), 1):
            assert row.run is not None, "rows are those of task runs"
            yield row.run
            if done % PAGE == 0:
                progress(done, None)

    def rows(self, start: int, end: int) -> Iterator[Row]:
        """The same, with all that a row says; each has its `run`. Raises PrefectError."""
        latest, at_latest, skip = end - 1, set[str](), 0
        while True:
            page = self._page(start, latest, skip)
            skip += len(page)
            for row in page:
                if row.ended_at > latest:
                    raise PrefectError(f"{self.url} does not sort by end_time; is it Prefect's API?")
                if row.ended_at != latest:
                    latest, at_latest, skip = row.ended_at, set(), 0
                elif row.task_run_id in at_latest:
                    continue  # the page before ended with it
                at_latest.add(row.task_run_id)
                if row.run is not None:
                    yield row
            if len(page) < PAGE:
                return

    def flow_names(self, flow_run_ids: Iterable[str]) -> dict[str, str]:
        """The names of the flows that some flow runs, at most a page of them, are of, where the server still
        knows. Raises PrefectError."""
        flow_of = self._fields("flow_runs", flow_run_ids, "flow_id")
        names = self._fields("flows", flow_of.values(), "name")
        return {run: names[flow] for run, flow in flow_of.items() if flow in names}

    def _fields(self, noun: str, ids: Iterable[str], field: str) -> dict[str, str]:
        """A field of things, by their ids."""
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        asked = {noun: {"id": {"any_": wanted}}, "limit": PAGE}
        found = self._http.post(f"/{noun}/filter", asked)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise PrefectError(f"{self.url} does not answer with a list; is it Prefect's API?")
        return {str(each.get("id")): str(each.get(field)) for each in found if each.get(field)}

    def count(self, start: int, end: int) -> int:
        """A number that is another once more task runs have ended in `[start, end)`, or one of them has come
        to another end since: how many ended, were completed, and were rolled back, added up, by the server's
        own count, without rows that stand for a subflow. Raises PrefectError."""
        if start >= end:
            return 0
        return sum(
            self._count(_ended_within(start, end - 1) | {"subflow_runs": {"exists_": False}} | states)
            for states in _ENDS
        )

    def _count(self, asked: dict[str, Any]) -> int:
        number = self._http.post("/task_runs/count", {"task_runs": asked})
        text = getattr(number, "text", "")
        if not text.isdecimal():
            raise PrefectError(f"{self.url} does not answer with a count; is it Prefect's API?")
        return int(text)

    def _events(self, start: int, end: int, limit: int) -> Any:
        occurred = {"since": format_instant(start), "until": format_instant(end)}
        # The order counts within the filter; beside it, it would be ignored.
        wanted = {"event": {"prefix": [EVENTS]}, "occurred": occurred, "order": "ASC"}
        return self._http.post("/events/filter", {"filter": wanted, "limit": limit})

    def _in_order(self, answer: Any, start: int, end: int) -> list[tuple[int, dict[str, Any]]]:
        """A page's events, each with when it occurred. Raises PrefectError."""
        last, found = start, []
        for each in _events_of(answer, self.url):
            occurred = self._occurred(each)
            if not last <= occurred <= end:
                raise PrefectError(f"{self.url} does not sort events by occurred; is it Prefect's API?")
            last = occurred
            found.append((occurred, each))
        return found

    def _occurred(self, event: dict[str, Any]) -> int:
        try:
            return required_instant(event, "occurred")
        except FieldError as error:
            raise PrefectError(
                f"{self.url} gives an event {event.get('id')!r} that cannot be read: {error}"
            ) from None

    def _page(self, start: int, latest: int, skip: int) -> list[Row]:
        """The rows that ended from `start` on, `latest` and before (both included, as the server has it)."""
        within = _ended_within(start, latest)
        rows = self._http.post(
            "/task_runs/filter",
            {"sort": "END_TIME_DESC", "limit": PAGE, "offset": skip, "task_runs": within},
        )
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise PrefectError(f"{self.url} does not answer with a list of task runs; is it Prefect's API?")
        return [self._read(row) for row in rows]

    def _read(self, row: dict[str, Any]) -> Row:
        try:
            return read_row(row)
        except FieldError as error:
            named = row.get("id")
            raise PrefectError(
                f"{self.url} gives a task run {named!r} that cannot be read: {error}"
            ) from None


def _ended_within(first: int, last: int) -> dict[str, Any]:
    return {"end_time": {"after_": format_instant(first), "before_": format_instant(last)}}


def _id(event: dict[str, Any]) -> str:
    """Empty for an event that has none by which it can be told."""
    found = event.get("id")
    return found if isinstance(found, str) else ""


def _ids_at(page: list[tuple[int, dict[str, Any]]], instant: int) -> set[str]:
    return {_id(event) for when, event in page if when == instant} - {""}


def _events_of(answer: Any, url: str) -> list[dict[str, Any]]:
    """Raises PrefectError."""
    events = answer.get("events") if isinstance(answer, dict) else None
    if not isinstance(events, list) or not all(isinstance(each, dict) for each in events):
        raise PrefectError(f"{url} does not answer with a page of events; is it Prefect's API?")
    return events


def _token(answer: Any) -> str | None:
    """The page token in the link to the next page. The link's own address is not followed: it is what the
    server believes to be its name, and would be handed the key."""
    link = answer.get("next_page") if isinstance(answer, dict) else None
    if not isinstance(link, str):
        return None
    return parse_qs(urlsplit(link).query).get("page-token", [None])[0]
