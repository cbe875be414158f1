"""A batch in which some event is doubtful, a few dozen events at a time: so one bad event costs the others of
its piece the fast path, and not all of the batch."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from metering.sources.admission import Admission, Decoded
from metering.sources.bodies import UndecodableBody
from metering.sources.document import Framing, lines
from metering.sources.task_run_batch import read_batch

PIECE = 64
# Where this many pieces, and most, were doubtful, it is how the sender writes: the rest is not tried.
_TRIED = 4

_RAW = msgspec.json.Decoder(list[msgspec.Raw])

Careful = Callable[[bytes, int], Decoded]
"""Reads a body event by event, of which the first has this place. Raises UndecodableBody."""


def read_pieces(
    body: bytes,
    framing: Framing,
    admission: Admission,
    careful: Careful,
    most: int | None,
    piece: int = PIECE,
) -> Decoded | None:
    """What `careful` makes of the body, with the fast path for most of it. None: it has to be read whole, for
    it is small, broken, or has more than `most` events."""
    parts = _parts(body, framing)
    if parts is None or len(parts) <= piece or (most is not None and len(parts) > most):
        return None
    found = Decoded()
    doubtful = 0
    for number, at in enumerate(range(0, len(parts), piece)):
        text = _joined(parts[at : at + piece], framing)
        tried = doubtful < _TRIED or 2 * doubtful <= number
        batch = read_batch(text, framing, admission) if tried else None
        if batch is not None:
            found.add(Decoded(len(batch.events) + batch.ignored, batch.events, batch.ignored))
            continue
        doubtful += 1
        try:
            found.add(careful(text, at))
        except UndecodableBody:
            return None  # what is wrong is told of the whole
    return found


def _parts(body: bytes, framing: Framing) -> list[bytes] | None:
    if framing == "ndjson":
        return lines(body)
    try:
        return list(map(bytes, _RAW.decode(body)))
    except (ValueError, RecursionError):  # of which msgspec's and Unicode's errors are kinds
        return None


def _joined(parts: list[bytes], framing: Framing) -> bytes:
    return b"\n".join(parts) if framing == "ndjson" else b"[" + b",".join(parts) + b"]"
