"""The plan file: what an operator writes, read into plan versions (docs/rules.md §3).

One object, or a list of them; TOML, which has no list at the top, writes `[[plans]]`. The same shape comes
out of `PlanVersion.to_data`:

    {"plan": "starter", "version": "2021-02", "effective_from": "2021-02-01", "currency": "USD",
     "soft_limit": null,
     "brackets": [{"up_to": 10000, "unit_price": "0"}, {"up_to": null, "unit_price": "0.0025"}]}

`soft_limit` may be left out. A price is text or a number; numbers are read from their digits, never through
a float. The caller reads the file: this module sees its text alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal

from billing.pricing.catalogue import Bracket, PlanVersion
from billing.pricing.data_file import read_data
from billing.pricing.errors import CatalogueError
from billing.pricing.money import EXACT

_PLAN_KEYS = ("plan", "version", "effective_from", "currency", "soft_limit", "brackets")
_BRACKET_KEYS = ("up_to", "unit_price")
_PRICE = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MAX_PRICE_TEXT = 50  # far beyond any valid price; keeps a wrong file from becoming a long computation


def parse_plan_file(text: str, name: str) -> tuple[PlanVersion, ...]:
    """The plan versions of a file's text, in its order. `name` is the file's name: its suffix (.json,
    .yaml, .yml or .toml) says how to read it. Raises CatalogueError with one sentence that names the file,
    or the plan and the bracket."""
    return plans_from_data(read_data(text, name, "plan", CatalogueError))


def plans_from_data(data: object) -> tuple[PlanVersion, ...]:
    """Plan versions from decoded data: one object, a list, or an object with the one key `plans`.
    Raises CatalogueError with one sentence that names the plan and the bracket."""
    if isinstance(data, Mapping) and set(data) == {"plans"}:
        data = data["plans"]
    items = data if isinstance(data, list) else [data]
    if not items:
        raise CatalogueError("a plan file holds at least one plan")
    versions = tuple(_plan(item, number) for number, item in enumerate(items, start=1))
    ids = [version.id for version in versions]
    if twice := [id for id in ids if ids.count(id) > 1]:
        raise CatalogueError(f"plan {twice[0]} comes twice in the file")
    return versions


def _plan(data: object, number: int) -> PlanVersion:
    if not isinstance(data, Mapping):
        raise CatalogueError(f"plan {number} of the file must be an object with {_names(_PLAN_KEYS)}")
    where = f"plan {data['plan']}" if _is_label(data.get("plan")) else f"plan {number} of the file"
    if _is_label(data.get("version")):
        where += f"@{data['version']}"
    _check_keys(where, data, _PLAN_KEYS, optional="soft_limit")
    if not isinstance(data["version"], str):
        raise CatalogueError(f"{where}: version must be text; put it in quotes")
    brackets = data["brackets"]
    if not isinstance(brackets, list):
        raise CatalogueError(f"{where}: brackets must be a list")
    return PlanVersion(
        plan=data["plan"],
        version=data["version"],
        effective_from=_date(where, data["effective_from"]),
        currency=data["currency"],
        soft_limit=data.get("soft_limit"),
        brackets=tuple(
            _bracket(f"{where}, bracket {index}", item) for index, item in enumerate(brackets, start=1)
        ),
    )


def _bracket(where: str, data: object) -> Bracket:
    if not isinstance(data, Mapping):
        raise CatalogueError(f"{where} must be an object with {_names(_BRACKET_KEYS)}")
    # TOML has no null: there, an open bracket leaves `up_to` out.
    _check_keys(where, data, _BRACKET_KEYS, optional="up_to")
    return Bracket(up_to=data.get("up_to"), unit_price=_price(where, data["unit_price"]))


def _check_keys(where: str, data: Mapping[object, object], keys: tuple[str, ...], optional: str) -> None:
    if unknown := [key for key in data if key not in keys]:
        raise CatalogueError(f"{where}: unknown key {_names(map(repr, unknown))}; known: {_names(keys)}")
    if missing := [key for key in keys if key not in data and key != optional]:
        raise CatalogueError(f"{where}: {_names(missing)} is missing")


def _date(where: str, value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise CatalogueError(f"{where}: effective_from {str(value)[:40]!r} is not a date; write it as YYYY-MM-DD")


def _price(where: str, value: object) -> Decimal:
    """A price as its canonical Decimal: 0.0050 and 0.005 are one price and print as one."""
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= _MAX_PRICE_TEXT:
        value = f"{value:f}"
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, float):
        raise CatalogueError(
            f"{where}: unit_price {value} came as a binary float, which may not be what was written; "
            'put it in quotes, for example "0.0025"'
        )
    if not isinstance(value, str) or len(value) > _MAX_PRICE_TEXT or _PRICE.fullmatch(value) is None:
        raise CatalogueError(
            f'{where}: unit_price {str(value)[:_MAX_PRICE_TEXT]!r} is not a price; write it like "0.0025"'
        )
    price = EXACT.plus(Decimal(value))  # plus: -0 becomes 0
    return Decimal(f"{price.normalize(EXACT):f}")


def _is_label(value: object) -> bool:
    """Fit to be named in a sentence; whether it is valid is for `PlanVersion` to say."""
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= 64


def _names(keys: Iterable[object]) -> str:
    return ", ".join(str(key) for key in keys)
