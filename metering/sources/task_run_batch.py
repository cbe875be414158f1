"""The native format, a whole batch at once: the fast path, several times as fast as reading with care.

It takes a batch only where it is certain of every byte, and answers None for any doubt; then `task_run`
reads the same events one by one. So it knows no error messages, and both must agree (tests/properties).

A typed decoder does the work, but forgives what we must not: of a name given twice it keeps the last value.
We see that by counting quotes. A batch without escapes, in which every event has just the fields that were
decoded, holds four quotes for each text field and two for a number's name. A name given twice, a name that
we do not know, or an explicit null would each add some, and nothing can take any away.
"""

from __future__ import annotations

from typing import Final

import msgspec

from metering.event import MAX_LABEL, TaskRunEvent
from metering.outcome import FINAL_STATES
from metering.period import parse_instant
from metering.sources.admission import EARLIEST_START, Admission
from metering.sources.document import Framing, lines
from metering.sources.duration import parse_duration
from metering.sources.fields import is_task_run_id

_ABSENT: Final = msgspec.Raw(b"")
_LABELS = ("workspace", "flow", "flow_run_id", "task", "source")
_TEXTS = ("account", "task_run_id", "state", "started_at", "ended_at", *_LABELS)
_LOOKAHEAD = 64


class _Wire(msgspec.Struct, gc=False):
    """The native object as it comes; "" where a text is absent."""

    state: str
    account: str = ""
    task_run_id: str = ""
    started_at: str = ""
    ended_at: str = ""
    duration: msgspec.Raw = _ABSENT
    workspace: str = ""
    flow: str = ""
    flow_run_id: str = ""
    task: str = ""
    source: str = ""


_ONE = msgspec.json.Decoder(_Wire)
_ARRAY = msgspec.json.Decoder(list[_Wire])


class Batch(msgspec.Struct):
    """What came of a batch of which every event was well-formed and admitted."""

    events: list[TaskRunEvent]
    ignored: int


def read_batch(body: bytes, framing: Framing, admission: Admission) -> Batch | None:
    """Every event of the body, or None: read it with care."""
    if b"\\" in body:
        return None
    try:
        wires = _decode(body, framing)
        batch, quotes = _check(wires, admission)
    except (ValueError, RecursionError):  # of which msgspec's and Unicode's errors and FieldError are kinds
        return None
    return batch if quotes == body.count(b'"') else None


def _decode(body: bytes, framing: Framing) -> list[_Wire]:
    if framing == "ndjson":
        return [_ONE.decode(line) for line in lines(body)]
    if body[:_LOOKAHEAD].lstrip().startswith(b"["):
        return _ARRAY.decode(body)
    return [_ONE.decode(body)]


def _check(wires: list[_Wire], admission: Admission) -> tuple[Batch, int]:
    """The batch, and how many quotes its fields need. Raises ValueError for any doubt."""
    events: list[TaskRunEvent] = []
    accounts: dict[str, str] = {}
    earliest, latest = admission.earliest_end, admission.latest_end
    ignored = quotes = 0
    for wire in wires:
        state = wire.state
        if state not in FINAL_STATES:
            ignored += 1
            quotes += _quotes(wire)
            continue
        named = wire.account
        account = accounts.get(named)
        if account is None:
            account = accounts[named] = admission.account(named or None)
        task_run_id = wire.task_run_id
        started_at, ended_at = parse_instant(wire.started_at), parse_instant(wire.ended_at)
        workspace, flow, flow_run_id = wire.workspace, wire.flow, wire.flow_run_id
        task, source = wire.task, wire.source
        if (
            not is_task_run_id(task_run_id)
            or not EARLIEST_START <= started_at <= ended_at
            or not earliest <= ended_at <= latest
            or len(workspace) > MAX_LABEL
            or len(flow) > MAX_LABEL
            or len(flow_run_id) > MAX_LABEL
            or len(task) > MAX_LABEL
            or len(source) > MAX_LABEL
        ):
            raise ValueError
        duration_us = ended_at - started_at
        if wire.duration is not _ABSENT:
            text = str(wire.duration, "ascii")
            duration_us = parse_duration(text.strip('"'))
            quotes += 4 if text[0] == '"' else 2
        quotes += 16
        for label in (named, workspace, flow, flow_run_id, task, source):
            if label:
                quotes += 4
        events.append(
            TaskRunEvent(
                account,
                task_run_id,
                state,
                started_at,
                ended_at,
                duration_us,
                workspace,
                flow,
                flow_run_id,
                task,
                source,
            )
        )
    return Batch(events, ignored), quotes


def _quotes(wire: _Wire) -> int:
    """The quotes of an event of which only the state counts."""
    quotes = 4 * sum(1 for name in _TEXTS if getattr(wire, name))
    if wire.duration is not _ABSENT:
        text = bytes(wire.duration)
        if text.startswith((b"[", b"{")):  # how deep it may nest is for the careful path to say
            raise ValueError
        quotes += 2 + text.count(b'"')
    return quotes
