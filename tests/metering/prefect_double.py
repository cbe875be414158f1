"""A stand-in for a Prefect server on loopback: `POST /api/task_runs/filter` as Prefect 3.8.8 was measured to
answer it (bounds included on both ends, at most 200 rows, an error above that)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from metering.period import parse_instant


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


def run_id(number: int) -> str:
    return f"01a2056b-9e6b-7a93-851b-{number:012x}"


@dataclass
class PrefectDouble:
    """`rows` are what it holds; `answers` are given first, each once: a status and headers."""

    url: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def filter(self, asked: dict[str, Any]) -> tuple[int, bytes]:
        if asked["limit"] > 200:
            return 422, b'{"detail":"Invalid limit: must be less than or equal to 200."}'
        assert asked["sort"] == "END_TIME_DESC"
        bounds = {name: parse_instant(text) for name, text in asked["task_runs"]["end_time"].items()}
        ended = [
            (parse_instant(each["end_time"]), each["id"], each)
            for each in self.rows
            if bounds["after_"] <= parse_instant(each["end_time"]) <= bounds["before_"]
        ]
        found = [each for _, _, each in sorted(ended, key=lambda item: item[:2], reverse=True)]
        return 200, json.dumps(found[asked["offset"] :][: asked["limit"]]).encode()


@contextmanager
def prefect_double(rows: list[dict[str, Any]] | None = None) -> Iterator[PrefectDouble]:
    double = PrefectDouble(rows=list(rows or []))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            double.keys.append(self.headers["Authorization"])
            if self.path != "/api/task_runs/filter":
                status, headers, body = 404, {}, b'{"detail":"Not Found"}'
            elif double.answers:
                status, headers, body = double.answers.pop(0)
            else:
                double.asked.append(asked)
                status, body = double.filter(asked)
                headers = {}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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
