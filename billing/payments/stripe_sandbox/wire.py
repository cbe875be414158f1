"""What crosses the wire, without a wire: a request, an answer, and what the request log keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Delivery = Literal["send", "close", "hang"]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names are lower case."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `delivery` says whether it really reaches the client, or the line breaks first."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = "send"
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request as the log keeps it. `status` is what was decided, even if the answer was lost on its way;
    0 where nothing was decided because the line broke before."""

    at: int
    method: str
    path: str
    route: str | None
    params: Mapping[str, Any]
    idempotency_key: str | None
    status: int
    request_id: str
    replayed: bool = False
    fault: str | None = None
