"""A load generator that costs little: requests made before, sent over connections that stay open."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import NamedTuple

_COUNTED = ("received", "accepted", "duplicate", "ignored", "rejected")


class Sent(NamedTuple):
    """What came of the requests: how long all took, each one's seconds, and the sum of the answers."""

    seconds: float
    latencies: list[float]
    totals: dict[str, int]

    def p99_ms(self) -> float:
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)] * 1000


def post(body: bytes, key: str) -> bytes:
    """A request that hands in events."""
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str, key: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


def send(requests: Sequence[bytes], port: int, connections: int, every: float = 0.0) -> Sent:
    """All requests over so many connections at once; with `every`, one starts each so many seconds, and its
    latency counts from when it was due. Anything but 200 is an error."""
    return asyncio.run(_send(requests, port, connections, every))


async def _send(requests: Sequence[bytes], port: int, connections: int, every: float) -> Sent:
    waiting = iter(enumerate(requests))
    latencies: list[float] = []
    totals = dict.fromkeys(_COUNTED, 0)
    start = time.perf_counter()

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, request in waiting:
            due = start + number * every if every else time.perf_counter()
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            writer.write(request)
            status, body = await _answer(reader)
            latencies.append(time.perf_counter() - due)
            if status != 200:
                raise SystemExit(f"the service answered {status}: {body[:300]!r}")
            _add(totals, body)
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return Sent(time.perf_counter() - start, latencies, totals)


def _add(totals: dict[str, int], body: bytes) -> None:
    report = json.loads(body)
    for name in totals:
        totals[name] += report.get(name, 0)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    return int(head[9:12]), await reader.readexactly(length)
