"""Source: where an account's task runs come from, and how it stands with it. Pure values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from metering.collecting.reading import Reading, Span
from metering.period import DAY_US, format_instant, format_optional

Kind = Literal["prefect", "declared"]
State = Literal["ok", "failing", "missing", "lost"]

# What Prefect's own server keeps; Prefect Cloud keeps 7 to 30 days.
RETENTION_US = 7 * DAY_US
# So many task runs that are missing are named.
NAMED = 5

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII).fullmatch
_KEY_NAME = re.compile(r"BILLING_PREFECT_API_KEY[A-Z0-9_]{0,64}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Claim:
    """A watermark as it is stored: what ended before `complete_to` is held by the commit at `position`, as
    the source had it at `checked_at`. `runs`: how many task runs that are, None where it does not say."""

    complete_to: int
    runs: int | None
    position: int
    checked_at: int


@dataclass(frozen=True, slots=True)
class Server:
    """Of a source that we ask: its address, the variable that holds its key, the workspace that its task runs
    are put to, and how long it keeps events."""

    url: str
    key_name: str
    workspace: str
    retention_us: int


@dataclass(frozen=True, slots=True)
class Source:
    """`reading` is None for one that is not asked. `lost`: the time of which the server may have forgotten
    events before they were read. `missing`: task runs, at least so many, that the source has and the meter
    does not, in spite of reading their events again."""

    account: str
    id: str
    kind: Kind
    added_at: int
    since: int
    server: Server | None = None
    reading: Reading | None = None
    lost: Span | None = None
    tried_at: int | None = None
    retry_at: int | None = None
    error: str | None = None
    failing_since: int | None = None
    claim: Claim | None = None
    missing: int = 0
    missing_ids: tuple[str, ...] = ()

    @property
    def complete_to(self) -> int | None:
        """To when it is complete; None where it never was."""
        return None if self.claim is None else self.claim.complete_to

    def is_complete(self, end: int, position: int) -> bool:
        """Whether all that ended before `end` is held by the commit at `position`. It has no say in what was
        before it began."""
        if self.since >= end:
            return True
        claim = self.claim
        return claim is not None and claim.complete_to >= end and claim.position <= position


def state_of(source: Source) -> State:
    """How it stands, by what is worst."""
    if source.error is not None:
        return "failing"
    if source.missing:
        return "missing"
    return "ok" if source.lost is None else "lost"


def is_source_id(text: str) -> bool:
    return _ID(text) is not None


def is_key_name(text: str) -> bool:
    """Only variables of this name are read: nobody can have another secret sent to an address of theirs."""
    return _KEY_NAME(text) is not None


def source_data(source: Source) -> dict[str, object]:
    """In the shape of JSON answers."""
    data: dict[str, object] = {
        "source": source.id,
        "account": source.account,
        "kind": source.kind,
        "since": format_instant(source.since),
        **watermark_data(source),
        "missing": source.missing,
        "missing_ids": list(source.missing_ids),
        "error": source.error,
        "failing_since": format_optional(source.failing_since),
    }
    if source.server is not None and source.reading is not None:
        data |= {
            "url": source.server.url,
            "key_name": source.server.key_name,
            "workspace": source.server.workspace,
            "retention_days": source.server.retention_us // DAY_US,
            "read_to": format_optional(source.reading.read_to),
            "tried_at": format_optional(source.tried_at),
            "retry_at": format_optional(source.retry_at),
            "lost": source.lost
            and {"from": format_instant(source.lost.start), "to": format_instant(source.lost.end)},
        }
    return data


def watermark_data(source: Source) -> dict[str, object]:
    """To when it is complete, how many task runs that are, and when that was looked at."""
    claim = source.claim
    return {
        "complete_to": format_optional(source.complete_to),
        "runs": None if claim is None else claim.runs,
        "checked_at": None if claim is None else format_instant(claim.checked_at),
    }
