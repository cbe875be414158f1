"""The body as a whole, before any event is read: decompression, and what cannot be read at all."""

from __future__ import annotations

import zlib

_GZIP = 16 + zlib.MAX_WBITS
_FIRST_BITE = 512  # bytes; small, so that a body of many tiny members is not copied over and over
_LARGEST_BITE = 1 << 20


class UndecodableBody(ValueError):  # noqa: N818 — named for what it is, like HTTP's reasons
    """Nothing of the body can be read. The text is one sentence for the sender (HTTP 422, CLI exit 1)."""


class BodyTooLarge(ValueError):  # noqa: N818
    """The decompressed body would pass the limit (HTTP 413)."""


def gunzip(body: bytes, limit: int) -> bytes:
    """Decompress a gzip body of one or more members to at most `limit` bytes.

    Never holds more than `limit` + 1 bytes of output, so a bomb is refused as soon as it passes the limit.
    Raises BodyTooLarge, or UndecodableBody for a body that is not gzip, is cut short, or goes on after its
    last member with anything but zeros (which tools pad with).
    """
    if not body:
        raise UndecodableBody("the body is empty, which is not gzip; send gzip data or drop the encoding")
    output: list[bytes] = []
    room = limit
    position = 0
    while position < len(body):
        if output and not body[position] and not body[position:].strip(b"\x00"):
            break
        position, room = _member(body, position, room, output)
    return b"".join(output)


def _member(body: bytes, position: int, room: int, output: list[bytes]) -> tuple[int, int]:
    """Decompress the member that starts at `position`; the position after it and the room that is left."""
    member = zlib.decompressobj(_GZIP)
    bite = _FIRST_BITE
    while not member.eof:
        chunk = body[position : position + bite]
        if not chunk:
            raise UndecodableBody("the gzip data ends too early; send the whole body")
        try:
            data = member.decompress(chunk, room + 1)
        except zlib.error as error:
            raise UndecodableBody(f"the body is not valid gzip ({error})") from None
        room -= len(data)
        if room < 0:
            raise BodyTooLarge("the decompressed body is too large; send it in smaller batches")
        output.append(data)
        # Below the limit zlib takes the whole chunk, except what follows the end of the member.
        position += len(chunk) - len(member.unused_data)
        bite = min(bite * 2, _LARGEST_BITE)
    return position, room
