"""JSON as the careful path reads it: numbers as their source text, repeated names remembered.

Python's own parser does the work, with three differences that money asks for. A number stays text, so that
no digit passes through a float and no huge integer is ever built. An object remembers the names it holds
more than once, because readers disagree on which of two values counts. And what is wrong with one value
stays with that value: NaN and Infinity are numbers like any other here (no field takes them), and bytes
that are not UTF-8 become lone surrogates (no text field takes those), so the rest of a batch is kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from metering.sources.bodies import UndecodableBody

Framing = Literal["json", "ndjson"]

_BLANK = b" \t\r"


class Number:
    """A JSON number, unread: `text` is exactly what the sender wrote."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class RepeatingObject(dict[str, Any]):
    """A JSON object in which some names occur more than once; the last value of each is held."""

    __slots__ = ("repeated",)
    repeated: frozenset[str]


class JsonError(ValueError):
    """A text is not JSON; says what is wrong and where."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) == len(pairs):
        return held
    times = Counter(name for name, _ in pairs)
    repeating = RepeatingObject(held)
    repeating.repeated = frozenset(name for name, count in times.items() if count > 1)
    return repeating


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=Number
)


def is_other_than_utf_8(text: bytes) -> bool:
    """Whether a JSON text is in UTF-16 or UTF-32, as it may not be (RFC 8259, 8.1)."""
    return not json.detect_encoding(text).startswith("utf-8")


def parse(text: bytes) -> Any:
    """Read one JSON value. Raises JsonError, also for nesting that no event has."""
    try:
        return _DECODER.decode(text.decode("utf-8", "surrogateescape"))
    except json.JSONDecodeError as error:
        raise JsonError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None


def parse_first(text: str) -> tuple[Any, int]:
    """The first JSON value in `text` and where it ends. Raises JsonError."""
    try:
        start = len(text) - len(text.lstrip(" \t\r\n"))
        return _DECODER.raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError):
        raise JsonError("it does not start with a JSON value") from None


def elements(body: bytes, framing: Framing) -> Iterator[Any]:
    """Each event of the body as a JSON value, or as the JsonError that stands in for a broken line.

    Raises UndecodableBody where the document as a whole is broken, or neither an object nor an array.
    """
    if framing == "ndjson":
        yield from map(_parse_line, lines(body))
        return
    try:
        document = parse(body)
    except JsonError as error:
        if is_other_than_utf_8(body):
            raise UndecodableBody("the body is not JSON in UTF-8; send it in UTF-8") from None
        raise UndecodableBody(f"the body is not valid JSON: {error}") from None
    if isinstance(document, dict):
        yield document
    elif isinstance(document, list):
        yield from document
    else:
        raise UndecodableBody("the body is neither a JSON object nor an array of objects")


def lines(body: bytes) -> list[bytes]:
    """The lines of an NDJSON body, without the blank ones."""
    return [line for line in body.split(b"\n") if line.strip(_BLANK)]


def _parse_line(line: bytes) -> Any:
    try:
        return parse(line)
    except JsonError as error:
        return error
