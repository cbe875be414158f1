"""What a route accepts, as data, and how its parameters are read.

A route's parameters are a `Hash` of fields. Reading turns the decoded form (text at the leaves) into typed
values and refuses what Stripe refuses: unknown names at any level, missing ones, wrong types, texts that are
too long. An empty text asks to unset a field: it reads as None where that is possible, else it is refused.
The same data is compared by the tests with Stripe's own description of its API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing.payments.stripe_sandbox.currencies import CURRENCIES
from billing.payments.stripe_sandbox.errors import ParameterError

METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 50, 40, 500


@dataclass(frozen=True, slots=True)
class Text:
    max_length: int = 5000
    unsettable: bool = False


@dataclass(frozen=True, slots=True)
class Integer:
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Boolean:
    pass


@dataclass(frozen=True, slots=True)
class Decimals:
    """A decimal number as text: at most 12 places, kept as text so that nothing is lost."""


@dataclass(frozen=True, slots=True)
class Currency:
    pass


@dataclass(frozen=True, slots=True)
class Choice:
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """Texts by name. An empty value unsets its key, an empty text instead of the hash unsets all."""


@dataclass(frozen=True, slots=True)
class Hash:
    fields: Mapping[str, Field]
    required: tuple[str, ...] = ()
    unsettable: bool = False


@dataclass(frozen=True, slots=True)
class Array:
    item: Field
    most: int = 250
    unsettable: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """An instant, or bounds `gt`, `gte`, `lt`, `lte` of one: reads as a dictionary of bounds."""


Field = Text | Integer | Boolean | Decimals | Currency | Choice | Metadata | Hash | Array | Range
Params = dict[str, Any]

TIMESTAMP = Integer(least=0)
ID = Text()
_BOUNDS: Mapping[str, Field] = {name: Integer() for name in ("gt", "gte", "lt", "lte")}
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_DECIMAL = re.compile(r"-?\d{1,18}(\.\d{1,12})?")


def read(schema: Hash, raw: Mapping[str, Any]) -> Params:
    """The typed parameters of a request; raises ParameterError, which names the parameter."""
    return _hash(schema, raw, "")


def _value(field: Field, raw: Any, name: str) -> Any:  # noqa: PLR0911 - one a kind
    if raw == "" and not isinstance(field, Metadata):
        if getattr(field, "unsettable", False):
            return None
        raise ParameterError(
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset "
            f"a field; however '{name}' cannot be unset. You should remove '{name}' from your request or "
            "supply a non-empty value.",
            code="parameter_invalid_empty",
            param=name,
        )
    match field:
        case Hash():
            return _hash(field, _as_hash(raw, name), name)
        case Array():
            return _array(field, raw, name)
        case Metadata():
            return _metadata(raw, name)
        case Range():
            if isinstance(raw, dict):
                return _hash(Hash(_BOUNDS), raw, name)
            instant = _integer(Integer(), _as_text(raw, name), name)
            return {"gte": instant, "lte": instant}
        case _:
            return _scalar(field, _as_text(raw, name), name)


def _hash(schema: Hash, raw: Mapping[str, Any], name: str) -> Params:
    unknown = [_inside(name, key) for key in raw if key not in schema.fields]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise ParameterError(
            f"Received unknown parameter{plural}: {', '.join(unknown)}",
            code="parameter_unknown",
            param=unknown[0],
        )
    values = {key: _value(schema.fields[key], value, _inside(name, key)) for key, value in raw.items()}
    for key in schema.required:
        if key not in values:
            param = _inside(name, key)
            raise ParameterError(f"Missing required param: {param}.", code="parameter_missing", param=param)
    return values


def _array(field: Array, raw: Any, name: str) -> list[Any]:
    if not isinstance(raw, dict) or not all(key.isascii() and key.isdigit() for key in raw):
        raise ParameterError("Invalid array", param=name)
    if len(raw) > field.most:
        raise ParameterError(
            f"Invalid array: {name} can have at most {field.most} elements, but has {len(raw)}", param=name
        )
    return [_value(field.item, raw[key], f"{name}[{key}]") for key in sorted(raw, key=int)]


def _metadata(raw: Any, name: str) -> dict[str, str] | None:
    if raw == "":
        return None
    if len(_as_hash(raw, name)) > METADATA_KEYS:
        raise ParameterError(f"You can have up to {METADATA_KEYS} metadata keys.", param=name)
    for key, value in raw.items():
        param = f"{name}[{key}]"
        if len(key) > METADATA_KEY_LENGTH:
            raise ParameterError(
                f"Metadata keys can have up to {METADATA_KEY_LENGTH} characters, but you passed in a key "
                f"that is {len(key)} characters. Invalid key: {key}",
                param=param,
            )
        if len(_as_text(value, param)) > METADATA_VALUE_LENGTH:
            raise ParameterError(
                f"Metadata values can have up to {METADATA_VALUE_LENGTH} characters, but you passed in a "
                f"value that is {len(value)} characters. Invalid value: {value}",
                param=param,
            )
    return dict(raw)


def _scalar(field: Field, text: str, name: str) -> Any:
    match field:
        case Text():
            if len(text) > field.max_length:
                raise ParameterError(
                    f"Invalid string: {text[:10]}...{text[-10:]}; must be at most {field.max_length} "
                    "characters",
                    param=name,
                )
            return text
        case Integer():
            return _integer(field, text, name)
        case Boolean():
            if text not in {"true", "false"}:
                raise ParameterError(f"Invalid boolean: {text[:80]}", param=name)
            return text == "true"
        case Choice():
            if text not in field.values:
                allowed = ", ".join(field.values[:-1]) + f" or {field.values[-1]}"
                raise ParameterError(f"Invalid {name}: must be one of {allowed}", param=name)
            return text
        case Currency():
            if text.lower() not in CURRENCIES:
                raise ParameterError(
                    f"Invalid currency: {text[:10]}. The sandbox knows these: {', '.join(CURRENCIES)}",
                    param=name,
                )
            return text.lower()
        case _:
            if not _DECIMAL.fullmatch(text):
                raise ParameterError(f"Invalid decimal: {text[:80]}", param=name)
            return text


def _integer(field: Integer, text: str, name: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ParameterError(f"Invalid integer: {text[:80]}", code="parameter_invalid_integer", param=name)
    value = int(text)
    if field.least is not None and value < field.least:
        raise ParameterError(
            f"This value must be greater than or equal to {field.least} (it currently is '{value}').",
            code="parameter_invalid_integer",
            param=name,
        )
    if field.most is not None and value > field.most:
        raise ParameterError(
            f"This value must be less than or equal to {field.most} (it currently is '{value}').",
            code="parameter_invalid_integer",
            param=name,
        )
    return value


def _inside(name: str, key: str) -> str:
    return f"{name}[{key}]" if name else key


def _as_hash(raw: Any, name: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ParameterError("Invalid object", param=name)
    return raw


def _as_text(raw: Any, name: str) -> str:
    if not isinstance(raw, str):
        raise ParameterError("Invalid string: a hash or an array was given", param=name)
    return raw
