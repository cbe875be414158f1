"""Form encoding with nesting, as Stripe reads it: `lines[0][period][start]=1` → nested dictionaries.

Arrays arrive indexed (`expand[0]`) or bare (`expand[]`); both become a dictionary with the positions as
keys, which `params.Array` turns into a list. What is a list and what a hash is for the schema to say.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from billing.payments.stripe_sandbox.errors import ParameterError

MAX_DEPTH = 12
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> dict[str, Any]:
    """The nested parameters of a query or a form body; leaves are text.

    >>> decode("customer=cus_1&metadata[a]=b&expand[]=x&expand[]=y")
    {'customer': 'cus_1', 'metadata': {'a': 'b'}, 'expand': {'0': 'x', '1': 'y'}}
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=20_000)
    except ValueError as error:
        raise ParameterError(f"Invalid request: {error}") from None
    params: dict[str, Any] = {}
    for key, value in pairs:
        _put(params, key, value)
    return params


def _put(params: dict[str, Any], key: str, value: str) -> None:
    parts = _parts(key)
    here = params
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        name = _position(here, parts[depth + 1 :]) if part == "" else part
        if last:
            if isinstance(here.get(name), dict):
                raise ParameterError(f"Invalid request: {key} is both a value and a hash", param=key)
            here[name] = value
            return
        inner = here.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ParameterError(f"Invalid request: {key} is both a value and a hash", param=key)
        here = inner


def _parts(key: str) -> list[str]:
    match = _KEY.fullmatch(key)
    parts = [match[1], *_PART.findall(match[2])] if match else []
    if not parts or len(parts) > MAX_DEPTH:
        raise ParameterError(f"Invalid request: the parameter name {key[:80]!r} cannot be read")
    return parts


def _position(array: dict[str, Any], rest: list[str]) -> str:
    """Where the value of `a[]…` goes: a new element, unless `a[][b]` adds a field to the last one."""
    last = array.get(str(len(array) - 1))
    if rest and isinstance(last, dict) and rest[0] not in last:
        return str(len(array) - 1)
    return str(len(array))
