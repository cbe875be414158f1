"""The fields of an event, one check each. What is wrong is told by `FieldError`, which names the field."""

from __future__ import annotations

import re
from typing import Any

from metering.event import MAX_ACCOUNT, MAX_LABEL, MAX_TASK_RUN_ID
from metering.period import parse_instant
from metering.sources.document import Number, RepeatingObject
from metering.sources.duration import parse_duration

_ACCOUNT = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_ACCOUNT}}}", re.ASCII).fullmatch


class FieldError(ValueError):
    """One event cannot be taken: `field` names the field at fault, `message` says what to do about it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def value_of(fields: dict[str, Any], name: str) -> Any:
    """The value of a field; None where it is absent or null. Refuses a name that occurs twice."""
    if isinstance(fields, RepeatingObject) and name in fields.repeated:
        raise FieldError(name, f"{name} is given more than once; give it once")
    return fields.get(name)


def text_of(fields: dict[str, Any], name: str) -> str | None:
    """A text that a store can hold: without NUL, and sound Unicode."""
    value = value_of(fields, name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise FieldError(name, f"{name} must be text, not {kind_of(value)}")
    if "\x00" in value:
        raise FieldError(name, f"{name} holds a NUL character; leave it out")
    if not value.isascii():
        _check_unicode(name, value)
    return value


def required_text(fields: dict[str, Any], name: str) -> str:
    text = text_of(fields, name)
    if text is None:
        raise FieldError(name, f"{name} is missing; every event needs it")
    return text


def object_of(fields: dict[str, Any], name: str) -> dict[str, Any]:
    value = value_of(fields, name)
    if value is None:
        raise FieldError(name, f"{name} is missing; it must be an object")
    if not isinstance(value, dict):
        raise FieldError(name, f"{name} must be an object, not {kind_of(value)}")
    return value


def label_of(fields: dict[str, Any], name: str) -> str:
    """An optional text that names something; empty where absent."""
    text = text_of(fields, name) or ""
    if len(text) > MAX_LABEL:
        raise FieldError(name, f"{name} is longer than {MAX_LABEL} characters; shorten it")
    return text


def instant_of(fields: dict[str, Any], name: str) -> int | None:
    text = text_of(fields, name)
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise FieldError(name, f"{name} {error}") from None


def required_instant(fields: dict[str, Any], name: str) -> int:
    instant = instant_of(fields, name)
    if instant is None:
        raise FieldError(name, f"{name} is missing; every event needs it")
    return instant


def duration_of(fields: dict[str, Any], name: str) -> int | None:
    """Whole microseconds of a JSON number or a decimal string of seconds."""
    value = value_of(fields, name)
    if value is None:
        return None
    if not isinstance(value, Number | str):
        raise FieldError(
            name, f"{name} must be a number of seconds or a decimal string, not {kind_of(value)}"
        )
    try:
        return parse_duration(value if isinstance(value, str) else value.text)
    except ValueError as error:
        raise FieldError(name, f"{name} {error}") from None


def is_account(text: str) -> bool:
    return _ACCOUNT(text) is not None


def is_task_run_id(text: str) -> bool:
    return 0 < len(text) <= MAX_TASK_RUN_ID and " " not in text and text.isprintable()


def check_task_run_id(name: str, text: str) -> str:
    if is_task_run_id(text):
        return text
    if not text:
        raise FieldError(name, f"{name} is empty; every task run needs an id of its own")
    if len(text) > MAX_TASK_RUN_ID:
        raise FieldError(
            name, f"{name} is longer than {MAX_TASK_RUN_ID} characters; send its SHA-256 in hex instead"
        )
    raise FieldError(name, f"{name} may hold printable characters only, and no spaces")


def kind_of(value: Any) -> str:
    """What a JSON value is, for a message."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "text"
        case Number():
            return "a number"
        case list():
            return "an array"
        case _:
            return "an object"


def _check_unicode(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FieldError(name, f"{name} is not sound Unicode; send it as UTF-8") from None
