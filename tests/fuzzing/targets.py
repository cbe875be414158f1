"""What reads bytes of strangers, a function each: given any bytes it returns, or fails by an assertion or an
exception that is nobody's answer. `scripts/fuzz` gives them millions, the tests seeds and what was found."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from fractions import Fraction

from billing.api.nesting import is_deeper
from billing.pricing.contract_file import parse_contract_file
from billing.pricing.errors import PricingError
from billing.pricing.plan_file import parse_plan_file
from metering.bodies import Asked, read_body
from metering.collecting.prefect_rows import event_of, read_row
from metering.event import MAX_LABEL, TaskRunEvent
from metering.period import format_instant, parse_instant, parse_instants
from metering.sources import (
    FINISHED_TYPE,
    Admission,
    BodyTooLarge,
    Decoded,
    Format,
    Framing,
    UndecodableBody,
    decode,
    gunzip,
)
from metering.sources.decoding import read_with_care
from metering.sources.document import lines
from metering.sources.duration import parse_duration
from metering.sources.fields import FieldError
from metering.sources.formats import reader_of
from metering.sources.task_run_batch import read_batch
from metering.store.batch import columns_of

NOW = parse_instant("2026-10-03T12:00:00Z")
ADMISSIONS = (Admission(NOW), Admission(NOW, default_account="acme"), Admission(NOW, "acme", late_us=1 << 42))
LIMIT = 1 << 20
# What a sender is told; anything else is a mistake of ours.
REFUSALS = (UndecodableBody, BodyTooLarge)


def native(data: bytes) -> None:
    """The native format: what the fast path takes, it reads as the careful one does."""
    for framing in ("json", "ndjson"):
        admission = ADMISSIONS[len(data) % len(ADMISSIONS)]
        batch = read_batch(data, framing, admission)
        try:
            careful = read_with_care(data, framing, admission, reader_of("task-run", frozenset()))
        except REFUSALS:
            assert batch is None
            continue
        if batch is not None:
            assert (batch.events, batch.ignored) == (careful.events, careful.ignored)
            assert not careful.rejected and not careful.halves
        _check(careful)
    _decoders(data, ("task-run", "auto"))


def cloudevents(data: bytes) -> None:
    _decoders(data, ("cloudevents",))


def prefect(data: bytes) -> None:
    _decoders(data, ("prefect",))


def openlineage(data: bytes) -> None:
    _decoders(data, ("openlineage",))


def airflow(data: bytes) -> None:
    """Answers of its API, and its table as CSV or JSON, plain and gzip."""
    _decoders(data, ("airflow",))
    _body(data, "airflow", None)
    _body(gzip.compress(data, 1), "airflow", None)


def body(data: bytes) -> None:
    """A request, of which neither format nor framing is told."""
    _body(data, "auto", None)
    _body(data, "auto", None, zipped=True)
    try:
        whole = gunzip(data, LIMIT)
    except REFUSALS:
        return
    assert len(whole) <= LIMIT


def prefect_rows(data: bytes) -> None:
    """A server's records, which are asked for."""
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(row, dict):
        return
    try:
        read = read_row(row)
        if read.run is None:
            return
        event = event_of(read, "acme", "prod", "etl")
    except FieldError:
        return
    _check_events([event])


def numbers(data: bytes) -> None:
    """Durations are exact, and instants the same one by one and many at once."""
    text = data.decode("utf-8", "replace")
    try:
        duration: int | None = parse_duration(text)
    except ValueError:
        duration = None
    if duration is not None and "e" not in text.lower():
        assert duration == int(Fraction(text) * 1_000_000), text
    texts = text.split("\n")
    assert _instants(lambda: [parse_instant(each) for each in texts]) == _instants(
        lambda: parse_instants(texts)
    )


def documents(data: bytes) -> None:
    """Plans and contracts, as people write them."""
    text = data.decode("utf-8", "replace")
    for suffix in (".json", ".yaml", ".toml"):
        for read in (parse_plan_file, parse_contract_file):
            with suppress(PricingError):
                read(text, f"file{suffix}")


def nesting(data: bytes) -> None:
    """What is said to be flat is read by who follows so far."""
    if is_deeper(data, 64):
        return
    try:
        json.loads(data)
    except RecursionError:
        raise AssertionError("it is deep") from None
    except ValueError:
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        native, cloudevents, prefect, openlineage, airflow, body, prefect_rows, numbers, documents, nesting,
    )
}  # fmt: skip


def _instants(read: Callable[[], list[int]]) -> list[int] | None:
    try:
        return read()
    except ValueError:
        return None


def _decoders(data: bytes, formats: Iterable[Format]) -> None:
    """Every framing; and of lines, that each by itself gives what all give together."""
    for format in formats:
        for admission in ADMISSIONS[:2]:
            whole = _decoded(data, format, "ndjson", admission)
            _decoded(data, format, "json", admission)
            if whole is None or format == "auto":
                continue
            parts = [
                decode(each, format=format, framing="ndjson", admission=admission, first_index=place)
                for place, each in enumerate(lines(data.removeprefix(b"\xef\xbb\xbf")), 1)
            ]
            assert [each for part in parts for each in part.events] == whole.events
            assert [each for part in parts for each in part.halves] == whole.halves
            assert sum(part.received for part in parts) == whole.received
            assert [each.index - 1 for part in parts for each in part.rejected] == [
                each.index for each in whole.rejected
            ]


def _decoded(data: bytes, format: Format, framing: Framing, admission: Admission) -> Decoded | None:
    try:
        found = decode(
            data,
            format=format,
            framing=framing,
            admission=admission,
            cloudevent_types=frozenset({FINISHED_TYPE}),
            most=1000,
        )
    except REFUSALS as refused:
        assert str(refused)
        return None
    _check(found)
    return found


def _body(data: bytes, format: Format, framing: Framing | None, *, zipped: bool = False) -> None:
    asked = Asked(format, framing, zipped, ADMISSIONS[1], columns_of)
    try:
        read = read_body(asked, data)
    except REFUSALS as refused:
        assert str(refused)
        return
    _check(read.decoded)


def _check(found: Decoded) -> None:
    """Each is counted as one of four, and what was taken can be kept and shown."""
    counted = len(found.events) + len(found.halves) + found.ignored + found.refused
    assert counted == found.received
    for each in found.rejected:
        assert each.field and each.message and each.message == each.message.strip()
        each.message.encode("utf-8", "backslashreplace")
    for half in found.halves:
        format_instant(half.at)
        json.dumps([half.task_run_id, half.workspace, half.flow]).encode()
    _check_events(found.events)


def _check_events(events: list[TaskRunEvent]) -> None:
    if not events:
        return
    columns = columns_of(events)
    assert len(columns.ended_at) == len(events)
    for event in events:
        assert event.account and event.task_run_id
        assert 0 <= event.duration_us < 10**18
        format_instant(event.ended_at)
        for text in (event.workspace, event.flow, event.task, event.source, event.flow_run_id):
            assert len(text) <= MAX_LABEL
            assert "\0" not in text
            text.encode()
        event.task_run_id.encode()
