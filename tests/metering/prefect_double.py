"""A stand-in for a Prefect server on loopback: its questions about task runs and events, as Prefect 3.8.8 was
measured to answer them (bounds included on both ends; at most 200 rows and 50 events, an error above that;
pages of events by tokens, which are offsets; events in the order in which they occurred, in any order among
equals).

It lives by a clock of the test's. What has a time of arrival is not there before; events are forgotten once
they are older than `retention_us`.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from metering.period import DAY_US, SECOND_US, parse_instant, to_datetime

# A status of which no answer is sent: the connection ends.
GONE = 0


def row(
    number: int,
    *,
    state: str = "COMPLETED",
    name: str = "",
    seconds: object = 1.25,
    end: str = "2026-10-03T12:00:05Z",
    subflow: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A task run as the server gives it, as far as we read it."""
    named = name or state.title()
    details = {"flow_run_id": "f", "child_flow_run_id": subflow}
    return {
        "id": run_id(number),
        "name": f"task-{number}",
        "state_type": state,
        "state_name": named,
        "start_time": end,
        "end_time": end,
        "total_run_time": seconds,
        "state": {"type": state, "name": named, "timestamp": end, "state_details": details},
        **more,
    }


def event(
    number: int,
    *,
    state: str = "COMPLETED",
    name: str = "",
    seconds: float = 1.25,
    end: str = "2026-10-03T12:00:05Z",
    flow: str = "etl",
) -> dict[str, Any]:
    """The event of a task run that came into a state, as far as we read it."""
    named = name or state.title()
    task_run = {"name": f"task-{number}", "start_time": end, "end_time": end, "total_run_time": seconds}
    return {
        "id": f"01a2056c-{state[:4].encode().hex()}-7a93-851b-{number:012x}",
        "event": f"prefect.task-run.{named}",
        "occurred": end,
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{run_id(number)}",
            "prefect.state-type": state,
            "prefect.state-name": named,
            "prefect.state-timestamp": end,
        },
        "related": [{"prefect.resource.role": "flow", "prefect.resource.name": flow}],
        "payload": {"task_run": task_run},
    }


def run_id(number: int) -> str:
    return f"01a2056b-9e6b-7a93-851b-{number:012x}"


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class PrefectDouble:
    """`rows` and `events` are what it holds; one with an `arrives` (an instant) is there from then on.
    `answers` are given first, each once: a status, headers and body. `key`: the only one it takes. `fail_at`:
    paths that are always answered so."""

    url: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    key: str | None = None
    fail_at: dict[str, Answer] = field(default_factory=dict)
    clock: Callable[[], int] = lambda: parse_instant("2026-11-02T00:00:00Z")
    retention_us: int = 3650 * DAY_US

    def finish(self, number: int, *, arrives: int = 0, **given: Any) -> None:
        """A task run ends: its row, and its event."""
        self.rows.append(row(number, **given) | {"arrives": arrives})
        told = {name: value for name, value in given.items() if name != "subflow"}
        self.events.append(event(number, **told) | {"arrives": arrives})

    def answer(self, method: str, path: str, key: str | None, asked: Any) -> Answer:
        self.keys.append(key)
        if self.answers:
            return self.answers.pop(0)
        if self.key is not None and key != f"Bearer {self.key}":
            return 401, {}, b'{"detail":"Unauthorized"}'
        return self.fail_at.get(path) or self._at(method, path, asked)

    def _at(self, method: str, path: str, asked: Any) -> Answer:  # noqa: PLR0911 - a route each
        route = urlsplit(path)
        if (method, route.path) == ("POST", "/api/task_runs/filter"):
            self.asked.append(asked)
            return self._filter(asked)
        if (method, route.path) == ("POST", "/api/task_runs/count"):
            return 200, {}, str(len(self._ended(asked["task_runs"]))).encode()
        if (method, route.path) == ("POST", "/api/events/filter"):
            if asked["limit"] > 50:
                return 422, {}, b'{"detail":"Input should be less than or equal to 50"}'
            self.asked.append(asked)
            return self._events(asked["filter"], asked["limit"], 0, None)
        if (method, route.path) == ("GET", "/api/events/filter/next"):
            token = json.loads(base64.b64decode(parse_qs(route.query)["page-token"][0]))
            return self._events(token["filter"], token["page_size"], token["offset"], token["count"])
        if (method, route.path) in (("POST", "/api/flow_runs/filter"), ("POST", "/api/flows/filter")):
            return self._named(route.path.split("/")[2], asked)
        return 404, {}, b'{"detail":"Not Found"}'

    def _named(self, noun: str, asked: dict[str, Any]) -> Answer:
        """Every flow run is of one flow."""
        found = [{"id": each, "flow_id": "flow-1", "name": "etl"} for each in asked[noun]["id"]["any_"]]
        return 200, {}, json.dumps(found).encode()

    def _filter(self, asked: dict[str, Any]) -> Answer:
        if asked["limit"] > 200:
            return 422, {}, b'{"detail":"Invalid limit: must be less than or equal to 200."}'
        assert asked["sort"] == "END_TIME_DESC"
        found = self._ended(asked["task_runs"])
        return 200, {}, json.dumps(found[asked["offset"] :][: asked["limit"]]).encode()

    def _ended(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        bounds = {name: parse_instant(text) for name, text in wanted["end_time"].items()}
        subflows = wanted.get("subflow_runs", {}).get("exists_", True)
        states = wanted.get("state", {})
        ended = [
            (parse_instant(each["end_time"]), each["id"], each)
            for each in self._there(self.rows)
            if bounds["after_"] <= parse_instant(each["end_time"]) <= bounds["before_"]
            and (subflows or not each["state"]["state_details"]["child_flow_run_id"])
            and all(each["state"][field] in given["any_"] for field, given in states.items())
        ]
        return [each for _, _, each in sorted(ended, key=lambda item: item[:2], reverse=True)]

    def _events(self, wanted: dict[str, Any], limit: int, offset: int, count: int | None) -> Answer:
        since, until = (parse_instant(wanted["occurred"][name]) for name in ("since", "until"))
        since = max(since, self.clock() - self.retention_us)
        found = [
            each
            for each in self._there(self.events)
            if since <= parse_instant(each["occurred"]) <= until
            and each["event"].startswith(tuple(wanted["event"]["prefix"]))
        ]
        # In any order among equals: here by when they came, which is not by when they occurred.
        found.sort(key=lambda each: parse_instant(each["occurred"]), reverse=wanted["order"] != "ASC")
        total = len(found) if count is None else count
        token = {"filter": wanted, "count": total, "page_size": limit, "offset": offset + limit}
        text = base64.b64encode(json.dumps(token).encode()).decode()
        # What it believes to be its address need not be the one that we reach it by.
        link = f"http://prefect.internal:4200/api/events/filter/next?page-token={text}"
        page = {
            "events": found[offset:][:limit],
            "total": total,
            "next_page": link if offset + limit < total else None,
        }
        return 200, {}, json.dumps(page).encode()

    def _there(self, held: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [each for each in list(held) if each.get("arrives", 0) <= self.clock()]


@contextmanager
def prefect_double(rows: list[dict[str, Any]] | None = None) -> Iterator[PrefectDouble]:
    double = PrefectDouble(rows=list(rows or []))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_GET(self) -> None:
            self._answer(None)

        def _answer(self, asked: Any) -> None:
            status, headers, body = double.answer(
                self.command, self.path, self.headers["Authorization"], asked
            )
            if status == GONE:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(to_datetime(double.clock() // SECOND_US * SECOND_US), usegmt=True)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    double.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
