"""The body as a whole: framing, broken documents and lines, gzip, and telling formats apart."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest

from metering.sources import BodyTooLarge, UndecodableBody, decode, detect, gunzip
from tests.metering.wire import ADMISSION, native, one, read

DEEP = b"[" * 100_000
HELLO = gzip.compress(b"hello", mtime=0)


def lines(*events: Any) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events)


def test_one_object_and_an_array_of_one_are_the_same() -> None:
    assert read(native()) == read([native()])


def test_an_empty_array_is_nothing_received() -> None:
    decoded = read(b" [ ] ")
    assert (decoded.received, decoded.events, decoded.ignored, decoded.rejected) == (0, [], 0, [])


@pytest.mark.parametrize("element", ["null", "5", '"text"', "true", "[]", "NaN"])
def test_an_element_that_is_no_object_is_rejected_alone(element: str) -> None:
    decoded = read(f"[{json.dumps(native())},{element}]".encode())
    assert len(decoded.events) == 1
    assert [(rejection.index, rejection.field) for rejection in decoded.rejected] == [(1, "event")]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \n\t\r\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"5", "neither a JSON object nor an array"),
        (b"null", "neither a JSON object nor an array"),
        (b'"text"', "neither a JSON object nor an array"),
        (b"hello", "line 1, column 1"),
        (b'{"account":', "line 1, column 12"),
        (b'[{"account":"a"}\n{"account":"a"}]', "line 2, column 1"),
        (b"[{}],", "line 1, column 5"),
        (b"[{},]", "column"),
        (b"\xff\xfe[]", "send it in UTF-8"),
        (b"\x00", "line 1, column 1"),
        (b'{"account":"\x00"}', "line 1, column 13"),
        (DEEP, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_a_document_that_cannot_be_read_says_where(body: bytes, says: str) -> None:
    with pytest.raises(UndecodableBody, match=says) as caught:
        read(body)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_an_empty_body_of_lines_is_undecodable_but_an_empty_piece_of_a_stream_is_not() -> None:
    with pytest.raises(UndecodableBody):
        read(b"\n\n", framing="ndjson")
    piece = decode(b"\n\n", format="task-run", framing="ndjson", admission=ADMISSION, first_index=7)
    assert piece.received == 0


@pytest.mark.parametrize(
    "broken",
    [
        b"{",
        b"hello",
        b'{"account":"acme"',
        b"\xff\xfe\x00",
        b"{}{}",
        b"{},",
        DEEP,
        b"\x00",
        b'{"a":"\x01"}',
        b"null",
    ],
)
def test_a_broken_line_is_rejected_alone(broken: bytes) -> None:
    body = b"\r\n".join(
        [lines(native()), b"", broken, b"  ", lines(native(state="RUNNING")), lines(native()), b""]
    )
    decoded = read(body, framing="ndjson")
    assert (decoded.received, len(decoded.events), decoded.ignored) == (4, 2, 1)
    assert [(rejection.index, rejection.field) for rejection in decoded.rejected] == [(1, "event")]


def test_two_objects_on_two_lines_that_are_not_an_object_each_are_both_broken() -> None:
    text = json.dumps(native())
    halves = text[: text.index('"flow"')].rstrip(" ,"), "," + text[text.index('"flow"') :]
    decoded = read("\n".join(halves).encode(), framing="ndjson")
    assert [rejection.field for rejection in decoded.rejected] == ["event", "event"]


@pytest.mark.parametrize("framing", ["json", "ndjson"])
def test_bytes_that_are_not_utf8_spoil_their_own_event_only(framing: Any) -> None:
    bad = json.dumps(native(flow="HERE")).encode().replace(b"HERE", b"\xff\xfe")
    fine = json.dumps(native()).encode()
    body = b"[" + b",".join([fine, bad, fine]) + b"]" if framing == "json" else b"\n".join([fine, bad, fine])
    decoded = read(body, framing=framing)
    assert len(decoded.events) == 2
    assert [(rejection.index, rejection.field) for rejection in decoded.rejected] == [(1, "flow")]


@pytest.mark.parametrize("framing", ["json", "ndjson"])
def test_a_byte_order_mark_is_tolerated(framing: Any) -> None:
    assert len(read(b"\xef\xbb\xbf" + lines(native()), framing=framing).events) == 1


def test_indexes_go_on_from_the_first_one() -> None:
    body = lines(native(), native(state=1))
    decoded = decode(body, format="task-run", framing="ndjson", admission=ADMISSION, first_index=40)
    assert [rejection.index for rejection in decoded.rejected] == [41]


def test_gzip_of_one_and_of_several_members() -> None:
    parts = [b"first " * 1000, b"", b"second", b"x" * 100_000]
    assert gunzip(gzip.compress(parts[0]), 10_000) == parts[0]
    assert gunzip(b"".join(map(gzip.compress, parts)) + b"\x00" * 512, 1 << 20) == b"".join(parts)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 5_000, 100_000])
def test_the_limit_is_exact(size: int) -> None:
    body = gzip.compress(b"a" * size)
    assert len(gunzip(body, size)) == size
    if size:
        with pytest.raises(BodyTooLarge):
            gunzip(body, size - 1)


def test_a_bomb_is_refused_at_once() -> None:
    bomb = gzip.compress(b"\x00" * (64 << 20), 6)
    start = time.perf_counter()
    with pytest.raises(BodyTooLarge):
        gunzip(bomb * 50, 1 << 20)
    assert time.perf_counter() - start < 1


def test_a_body_of_many_empty_members_takes_no_long_time() -> None:
    start = time.perf_counter()
    assert gunzip(gzip.compress(b"") * 20_000, 10) == b""
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\x00",
        HELLO[:-1],
        HELLO[:5],
        HELLO + b"x",
        HELLO + b"\x00x",
        HELLO[:-8] + b"\x00" * 8,
    ],
)
def test_bad_gzip_is_undecodable(body: bytes) -> None:
    with pytest.raises(UndecodableBody):
        gunzip(body, 1000)


NATIVE, CLOUD, PREFECT = {"account": "a"}, {"specversion": "1.0", "data": {}}, {"resource": {}, "event": "x"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lines(NATIVE), ("task-run", "json")),
        (b"\xef\xbb\xbf" + lines(CLOUD) + b"\n", ("cloudevents", "json")),
        (lines(PREFECT, PREFECT), ("prefect", "ndjson")),
        (lines([CLOUD, CLOUD]), ("cloudevents", "json")),
        (json.dumps([PREFECT], indent=1).encode(), ("prefect", "json")),
        (json.dumps(CLOUD, indent=1).encode(), ("cloudevents", "json")),
        (lines([PREFECT, PREFECT])[:-9], ("prefect", "json")),
        (b'{"broken\n' + lines(PREFECT), ("prefect", "ndjson")),
        (b"hello\n" + lines(NATIVE), ("task-run", "ndjson")),
        (b"", ("task-run", "json")),
        (b"[]", ("task-run", "json")),
        (b"hello", ("task-run", "json")),
        (b"5\n6", ("task-run", "ndjson")),
        (DEEP, ("task-run", "json")),
        (b"\xff", ("task-run", "json")),
    ],
)
def test_format_and_framing_are_told_from_the_first_event(body: bytes, expected: tuple[str, str]) -> None:
    assert tuple(detect(body)) == expected


def test_auto_reads_what_it_finds() -> None:
    assert one(native(), format="auto") == one(native())
