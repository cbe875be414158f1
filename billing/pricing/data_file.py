"""The files that an operator edits: JSON, YAML or TOML, read exactly and without surprises.

Numbers are read from their digits, never through a float; a key that comes twice is refused, because one of
the two values would silently be lost. What the data means is for `plan_file` and `contract_file`.
"""

from __future__ import annotations

import json
import re
import tomllib
from decimal import Decimal

import yaml

from billing.pricing.errors import PricingError

# The last three come out of PyYAML for tags that do not fit their value, such as `!!bool maybe`.
_UNREADABLE = (ValueError, RecursionError, yaml.YAMLError, LookupError, TypeError, AttributeError)


def read_data(text: str, name: str, noun: str, refusal: type[PricingError]) -> object:
    """The data of a file's text. `name` is the file's name: its suffix (.json, .yaml, .yml or .toml) says how
    to read it; `noun` is what it should hold, such as plan. Raises `refusal` with one sentence that names the
    file."""
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    readers = {".json": _read_json, ".yaml": _read_yaml, ".yml": _read_yaml, ".toml": _read_toml}
    if suffix not in readers:
        raise refusal(f"{name}: a {noun} file ends in .json, .yaml, .yml or .toml")
    try:
        return readers[suffix](text)
    except _UNREADABLE as error:
        raise refusal(f"{name} cannot be read: {_first_line(error)}") from None


def _read_json(text: str) -> object:
    return json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_unique_keys)


def _read_toml(text: str) -> object:
    return tomllib.loads(text, parse_float=Decimal)


def _read_yaml(text: str) -> object:
    return yaml.load(text, Loader=_ExactLoader)  # noqa: S506 - a SafeLoader with exact numbers


class _ExactLoader(yaml.SafeLoader):
    """YAML's safe loader, with numbers read from their digits and without YAML 1.1's surprises."""

    def number(self, node: yaml.ScalarNode) -> object:
        digits = str(node.value).replace("_", "")
        if re.fullmatch(r"-?(0|[1-9][0-9]*)", digits, re.ASCII):
            return int(digits)
        if re.fullmatch(r"-?[0-9]+\.[0-9]+([eE][-+]?[0-9]{1,3})?", digits, re.ASCII):
            return Decimal(digits)
        # 0123 would be octal, 1:30 sexagesimal, .nan and .inf no price at all.
        raise ValueError(f"{node.value} is not a plain decimal number; put it in quotes if it is text")

    def mapping(self, node: yaml.MappingNode) -> dict[object, object]:
        self.flatten_mapping(node)
        pairs = [
            (self.construct_object(key, deep=True), self.construct_object(value, deep=True))
            for key, value in node.value
        ]
        return _unique_keys(pairs)


_ExactLoader.add_constructor("tag:yaml.org,2002:int", _ExactLoader.number)
_ExactLoader.add_constructor("tag:yaml.org,2002:float", _ExactLoader.number)
_ExactLoader.add_constructor("tag:yaml.org,2002:map", _ExactLoader.mapping)


def _unique_keys(pairs: list[tuple[object, object]]) -> dict[object, object]:
    """A dict, unless a key comes twice: one of the two values would silently be lost."""
    found: dict[object, object] = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise ValueError(f"the key {key!r} is not text")
        if key in found:
            raise ValueError(f"the key {key!r} comes twice in one object")
        found[key] = value
    return found


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not a number")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
