"""The native format, a whole batch at once: the fast path, several times as fast as reading with care.

It takes a batch only where it is certain of every byte, and answers None for any doubt; then `task_run`
reads the same events one by one. So it knows no error messages, and both must agree (tests/properties).

A typed decoder does the work, but forgives what we must not: of a name given twice it keeps the last value.
We see that by counting quotes. A batch without escapes, in which every event has just the fields that were
decoded, holds four quotes for each text field and two for a number's name. A name given twice, a name that
we do not know, or an explicit null would each add some, and nothing can take any away.
"""

from __future__ import annotations

from operator import le
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from metering.event import MAX_LABEL, MAX_TASK_RUN_ID, TaskRunEvent
from metering.outcome import FINAL_STATES
from metering.period import parse_instants
from metering.sources.admission import EARLIEST_START, Admission
from metering.sources.document import Framing, lines
from metering.sources.duration import parse_duration

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
    """The batch, and how many quotes its fields need. Raises ValueError for any doubt.

    Field by field, not event by event: a column is checked by functions that go through it in C."""
    final = [wire for wire in wires if wire.state in FINAL_STATES]
    quotes = 0
    if len(final) < len(wires):
        quotes = sum(_quotes(wire) for wire in wires if wire.state not in FINAL_STATES)
    if not final:
        return Batch([], len(wires)), quotes
    columns: tuple[tuple[Any, ...], ...] = tuple(zip(*map(astuple, final), strict=True))
    states, named, ids, started, ended, durations, *labels = columns
    accounts = {name: admission.account(name or None) for name in set(named)}
    _check_ids(ids)
    for column in labels:
        if max(map(len, set(column))) > MAX_LABEL:
            raise ValueError
    starts, ends = _check_times(started, ended, admission)
    durations_us, quotes_of_durations = _read_durations(durations, starts, ends)
    quotes += 16 * len(final) + quotes_of_durations
    quotes += sum(4 * (len(final) - column.count("")) for column in (named, *labels))
    named = tuple(map(accounts.__getitem__, named))
    events = list(map(TaskRunEvent, named, ids, states, starts, ends, durations_us, *labels))
    return Batch(events, len(wires) - len(final)), quotes


def _check_ids(ids: tuple[str, ...]) -> None:
    together = "".join(ids)
    if "" in ids or max(map(len, ids)) > MAX_TASK_RUN_ID or " " in together or not together.isprintable():
        raise ValueError


def _check_times(
    started: tuple[str, ...], ended: tuple[str, ...], admission: Admission
) -> tuple[list[int], list[int]]:
    starts, ends = parse_instants(started), parse_instants(ended)
    if (
        min(starts) < EARLIEST_START
        or min(ends) < admission.earliest_end
        or max(ends) > admission.latest_end
        or not all(map(le, starts, ends))
    ):
        raise ValueError
    return starts, ends


def _read_durations(
    durations: tuple[msgspec.Raw, ...], starts: list[int], ends: list[int]
) -> tuple[list[int], int]:
    """Microseconds, of the times where no duration is given; and the quotes of the field."""
    if _ABSENT in durations:
        read, quotes = [], 0
        for duration, start, end in zip(durations, starts, ends, strict=True):
            if duration is _ABSENT:
                read.append(end - start)
            else:
                text = str(duration, "ascii")
                read.append(parse_duration(text.strip('"')))
                quotes += 2 + text.count('"')
        return read, quotes
    together = b"\n".join(durations).decode("ascii")
    texts = together.replace('"', "").split("\n")
    if len(texts) != len(durations):
        raise ValueError
    return list(map(parse_duration, texts)), 2 * len(texts) + together.count('"')


def _quotes(wire: _Wire) -> int:
    """The quotes of an event of which only the state counts."""
    quotes = 4 * sum(1 for name in _TEXTS if getattr(wire, name))
    if wire.duration is not _ABSENT:
        text = bytes(wire.duration)
        if text.startswith((b"[", b"{")):  # how deep it may nest is for the careful path to say
            raise ValueError
        quotes += 2 + text.count(b'"')
    return quotes
