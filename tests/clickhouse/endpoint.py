"""ClickHouse's HTTP interface, as much of it as the client needs, in front of its real engine (chDB).

Run as a program: `python -m tests.clickhouse.endpoint FOLDER` prints its port, keeps its data in FOLDER, and
ends with its standard input. Each request has a connection of its own, with its settings and its external
tables. Not for anything but tests: it asks nobody for a password.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import chdb

# What travels as a parameter of the address and is no setting of a query.
_OF_THE_INTERFACE = re.compile(
    "query|database|param_.*|default_format|wait_end_of_query|compress|decompress|session_id|query_id"
    "|client_protocol_version|.*_(structure|format|types)|send_progress_in_http_headers"
    "|http_headers_progress_interval_ms|enable_http_compression|cancel_http_readonly_queries_on_client_close"
)
_INSERT = re.compile(rb"\s*(INSERT INTO .*?) FORMAT (\w+)\n", re.DOTALL | re.IGNORECASE)


class _Request(NamedTuple):
    parameters: dict[str, str]
    body: bytes
    tables: dict[str, bytes]

    @property
    def bound(self) -> dict[str, str]:
        return {name[6:]: value for name, value in self.parameters.items() if name.startswith("param_")}

    @property
    def settings(self) -> dict[str, str]:
        return {
            name: value for name, value in self.parameters.items() if not _OF_THE_INTERFACE.fullmatch(name)
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    folder = ""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        tables: dict[str, bytes] = {}
        kind = self.headers.get("Content-Type") or ""
        if kind.startswith("multipart/form-data"):
            parts = dict(_parts(body, kind.partition("boundary=")[2].encode()))
            body = parts.pop("query", b"")
            for name in [name for name in parts if name.startswith("param_")]:
                parameters[name] = parts.pop(name).decode()
            tables = parts
        connection = chdb.connect(self.folder)
        try:
            self._answer(_run(connection, _Request(parameters, body, tables)))
        finally:
            connection.close()

    def _answer(self, pieces: Iterator[bytes]) -> None:
        try:
            first = next(pieces, b"")
        except Exception as error:  # the engine's; its kinds differ by the way of asking
            self._refuse(str(error))
            return
        self.send_response(200)
        self.send_header("X-ClickHouse-Timezone", "UTC")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(first)
        for piece in pieces:
            self._chunk(piece)
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _refuse(self, text: str) -> None:
        code = re.search(r"Code: (\d+)", text)
        body = text.encode()
        self.send_response(500)
        self.send_header("X-ClickHouse-Exception-Code", code[1] if code else "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[str, bytes]]:
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        assert name is not None
        yield name[1].decode(), content[:-2]


def _run(connection: Any, request: _Request) -> Iterator[bytes]:
    if database := request.parameters.get("database"):
        connection.query(f"USE `{database}`")
    if request.settings:
        quoted = {name: value.replace("'", "''") for name, value in request.settings.items()}
        connection.query("SET " + ", ".join(f"{name} = '{value}'" for name, value in quoted.items()))
    for name, content in request.tables.items():
        structure = request.parameters[f"{name}_structure"]
        connection.query(f"CREATE TEMPORARY TABLE {name} ({structure}) ENGINE = Memory")
        _insert(connection, f"INSERT INTO {name}", content, request.parameters[f"{name}_format"])
    insert = _INSERT.match(request.body)
    if insert is not None:
        _insert(connection, insert[1].decode(), request.body[insert.end() :], insert[2].decode())
        return
    yield from _ask(connection, request)


def _insert(connection: Any, statement: str, content: bytes, format: str) -> None:
    if content:
        with connection.send_insert(statement, format) as inserter:
            inserter.append(content)
            inserter.finish()


def _ask(connection: Any, request: _Request) -> Iterator[bytes]:
    text = "\n".join(part for part in (request.parameters.get("query"), request.body.decode()) if part)
    format = request.parameters.get("default_format", "TabSeparated")
    if not re.match(r"\s*SELECT\b.*FORMAT\s+Native\s*$", text, re.DOTALL | re.IGNORECASE):
        yield connection.query(text, format, params=request.bound).bytes()
        return
    with connection.send_query(text, "Native", params=request.bound) as result:
        for piece in result:
            yield piece.bytes()


def main() -> None:
    _Handler.folder = sys.argv[1]
    keep_open = chdb.connect(_Handler.folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    server.shutdown()
    keep_open.close()


if __name__ == "__main__":
    main()
