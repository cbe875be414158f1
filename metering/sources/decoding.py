"""`decode`: the one way from bytes to events, whatever the format."""

from __future__ import annotations

from typing import Any

from metering.event import TaskRunEvent
from metering.pairing.half import Half
from metering.sources.admission import Admission, Decoded, Rejection
from metering.sources.bodies import BodyTooLarge, UndecodableBody
from metering.sources.cloudevents import FINISHED_TYPE
from metering.sources.detection import detect
from metering.sources.document import Framing, JsonError, elements
from metering.sources.fields import FieldError, kind_of
from metering.sources.formats import Format, Reader, reader_of
from metering.sources.task_run import read_task_run
from metering.sources.task_run_batch import read_batch
from metering.sources.task_run_pieces import read_pieces

# What is in a format whose events never say whose they are.
WITHOUT_ACCOUNT = {
    "prefect": "Prefect events",
    "openlineage": "OpenLineage's events",
    "airflow": "Airflow's task instances",
}

_TOO_MANY = "the body has more than {:,} events; send it in smaller batches"
# Objects within an event, more than any source has: a body of nothing but them is not read at all.
_BRACES = 16

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode(
    body: bytes,
    *,
    format: Format,
    framing: Framing,
    admission: Admission,
    cloudevent_types: frozenset[str] = frozenset({FINISHED_TYPE}),
    first_index: int = 0,
    most: int | None = None,
) -> Decoded:
    """Read every event of a body; each is taken, ignored or rejected, and none costs another its place.

    `framing` "json" is one object or an array, "ndjson" an object a line (blank lines do not count).
    `first_index` is the place of the body's first event in a longer stream that is read in pieces; pieces
    end at line ends. A stream's format is best detected once, from its first piece.

    Raises UndecodableBody where there is nothing to read: an empty body, a broken JSON document, Prefect
    events without an account to put them to. Raises BodyTooLarge for more than `most` events.
    """
    if most is not None and body.count(b"{") > most * _BRACES:
        raise BodyTooLarge(_TOO_MANY.format(most))
    if first_index == 0:
        body = body.removeprefix(_BYTE_ORDER_MARK)
        if not body or body.isspace():
            raise UndecodableBody("the body is empty; send one event, a JSON array, or one event a line")
    known = detect(body).format if format == "auto" else format
    if known in WITHOUT_ACCOUNT and (admission.default_account or admission.only_account) is None:
        raise UndecodableBody(f"{WITHOUT_ACCOUNT[known]} carry no account; name the account they belong to")
    if known == "task-run":
        batch = read_batch(body, framing, admission)
        if batch is not None:
            return Decoded(len(batch.events) + batch.ignored, batch.events, batch.ignored)
        pieces = read_pieces(
            body,
            framing,
            admission,
            lambda piece, at: read_with_care(piece, framing, admission, read_task_run, first_index + at),
            most,
        )
        if pieces is not None:
            return pieces
    return read_with_care(body, framing, admission, reader_of(known, cloudevent_types), first_index, most)


def read_with_care(
    body: bytes,
    framing: Framing,
    admission: Admission,
    reader: Reader,
    first_index: int = 0,
    most: int | None = None,
) -> Decoded:
    """Read event by event, with the exact reason for each rejection. Raises UndecodableBody, BodyTooLarge."""
    decoded = Decoded()
    for index, element in enumerate(elements(body, framing), first_index):
        decoded.received += 1
        if most is not None and decoded.received > most:
            raise BodyTooLarge(_TOO_MANY.format(most))
        try:
            event = _read(element, admission, reader)
        except FieldError as refused:
            decoded.reject(Rejection(index, refused.field, refused.message))
            continue
        if event is None:
            decoded.ignored += 1
        elif isinstance(event, Half):
            decoded.halves.append(event)
        else:
            decoded.events.append(event)
    return decoded


def _read(element: Any, admission: Admission, reader: Reader) -> TaskRunEvent | Half | None:
    if isinstance(element, dict):
        return reader(element, admission)
    if isinstance(element, JsonError):
        raise FieldError("event", f"event is not valid JSON: {element}")
    raise FieldError("event", f"event must be a JSON object, not {kind_of(element)}")
