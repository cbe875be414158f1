"""Files of Airflow's task instances in the shapes that they come in, as one instance a line.

An answer of the REST API is one object with a list in it; several answers may follow one another, one a line.
An export of the table `task_instance` is CSV with a header line (`COPY … TO … CSV HEADER`), or JSON: an
array, or one object a line.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from metering.sources import UndecodableBody
from metering.sources.airflow import BROKEN, INSTANCES

_GZIP_MAGIC = b"\x1f\x8b"
_NEEDED = ("dag_id", "task_id", "state")


def instances(source: BinaryIO) -> Iterator[bytes]:
    """A line of JSON for each task instance of a file, plain or gzip. Raises UndecodableBody for a file that
    holds none."""
    try:
        yield from _instances(_unzipped(io.BufferedReader(source, 1 << 20)))  # type: ignore[arg-type]
    except EOFError:
        raise UndecodableBody("the gzip data ends too early; the file was cut short") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UndecodableBody(f"the gzip data is broken ({error})") from None
    except csv.Error as error:
        raise UndecodableBody(f"the file is not valid CSV: {error}") from None
    except RecursionError:
        raise UndecodableBody("the file is not valid JSON: it is nested too deeply") from None


def _unzipped(buffered: io.BufferedReader) -> io.BufferedReader:
    if buffered.peek(2)[:2] != _GZIP_MAGIC:
        return buffered
    return io.BufferedReader(gzip.GzipFile(fileobj=buffered), 1 << 20)


def _instances(buffered: io.BufferedReader) -> Iterator[bytes]:
    start = buffered.peek(4096)[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise UndecodableBody(
            "the file is empty; export the table task_instance, or save an answer of the API"
        )
    return _json(buffered) if start[:1] in (b"{", b"[") else _csv(buffered)


def _csv(source: BinaryIO) -> Iterator[bytes]:
    rows = csv.DictReader(
        io.TextIOWrapper(source, "utf-8-sig", errors="surrogateescape", newline=""), strict=True
    )
    missing = [name for name in _NEEDED if name not in (rows.fieldnames or ())]
    if missing:
        raise UndecodableBody(
            f"the first line names no column {missing[0]}; export the table task_instance with a header line"
        )
    while True:
        before = rows.reader.line_num
        try:
            row = next(rows, None)
        except csv.Error as error:  # a quote that is not closed, for example; the next line is read anew
            yield _line({BROKEN: f"{_where(before, rows.reader.line_num)} is not valid CSV: {error}"})
            continue
        if row is None:
            return
        if None in row or None in row.values():
            has = sum(value is not None for name, value in row.items() if name) + len(row.get(None) or ())
            named = len(rows.fieldnames or ())
            yield _line(
                {BROKEN: f"{_where(before, rows.reader.line_num)} has {has} fields, and the header {named}"}
            )
            continue
        yield _line({name: value for name, value in row.items() if value})


def _where(before: int, last: int) -> str:
    return f"line {last}" if last <= before + 1 else f"lines {before + 1} to {last}"


def _json(source: BinaryIO) -> Iterator[bytes]:
    """One object a line where the first line is one whole; else the file is one document."""
    first = source.readline()
    try:
        document = _loads(first)
    except ValueError:
        text = first + source.read()
        if not _is_lines(text):
            yield from _document(_parsed(text))
            return
        source, document = io.BytesIO(text[len(first) :]), None
    rest = source.readline()
    if document is not None and not rest.strip():
        yield from _document(document)
        return
    for line in chain([first, rest], source):
        try:
            yield from _document(_loads(line)) if line.strip() else ()
        except ValueError:
            yield line  # its reader says what is wrong with it


def _is_lines(text: bytes) -> bool:
    """Whether only the first line is broken: the second one is an object."""
    lines = text.split(b"\n", 2)
    try:
        return len(lines) > 1 and isinstance(_loads(lines[1]), dict)
    except ValueError:
        return False


def _loads(text: bytes) -> object:
    """A duration stays as it is written: no digit of it passes through a float."""
    return json.loads(text, parse_float=str)


def _parsed(text: bytes) -> object:
    try:
        return _loads(text)
    except ValueError as error:
        raise UndecodableBody(f"the file is not valid JSON: {error}") from None


def _document(document: object) -> Iterator[bytes]:
    if isinstance(document, dict) and isinstance(document.get(INSTANCES), list):
        document = document[INSTANCES]
    for each in document if isinstance(document, list) else [document]:
        yield _line(each)


def _line(instance: object) -> bytes:
    return json.dumps(instance).encode("utf-8", "surrogateescape") + b"\n"


class Lines(io.RawIOBase):
    """Lines as a file to read from."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:
            line = next(self._lines, None)
            if line is None:
                return 0
            self._left = line
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
