"""`--format auto`: which format and framing a body is in, told from its first event."""

from __future__ import annotations

from typing import Any, NamedTuple

from metering.sources.document import Framing, JsonError, parse_first
from metering.sources.formats import KnownFormat

_BLANK = " \t\r\n"


class Detected(NamedTuple):
    format: KnownFormat
    framing: Framing


def detect(body: bytes) -> Detected:
    """Format and framing of a body, or of a part of it that holds the first event whole.

    Never fails: what cannot be told is taken for the native format, whose reader says what is wrong.
    """
    text = body.decode("utf-8", "replace").lstrip("\ufeff" + _BLANK)
    if text.startswith("["):
        return Detected(_format(_first(text[1:])[0]), "json")
    first, end = _first(text)
    if first is None:
        return Detected(*_detect_behind_broken_line(text))
    return Detected(_format(first), "ndjson" if text[end:].strip(_BLANK) else "json")


def _detect_behind_broken_line(text: str) -> tuple[KnownFormat, Framing]:
    """Where the first event is broken: as the first whole line after it says, if there is one."""
    for line in text.splitlines()[1:]:
        if line.startswith("{") and (value := _first(line)[0]) is not None:
            return _format(value), "ndjson"
    return "task-run", "json"


def _first(text: str) -> tuple[Any, int]:
    try:
        return parse_first(text)
    except JsonError:
        return None, 0


def _format(event: Any) -> KnownFormat:
    if not isinstance(event, dict):
        return "task-run"
    if "specversion" in event:
        return "cloudevents"
    if "resource" in event and "event" in event:
        return "prefect"
    if "eventTime" in event and ("eventType" in event or "producer" in event):
        return "openlineage"
    if "dag_id" in event and "task_id" in event:
        return "airflow"
    return "task-run"
