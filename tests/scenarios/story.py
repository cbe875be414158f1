"""Reads a story: a YAML file with a title, the arithmetic behind its figures, and a timeline of steps.

Everything is read as text, so `5.00` stays what a person wrote. A key that nobody knows is an error that
names it; so is one that comes twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from metering.period import Month


class StoryError(Exception):
    """The story is not written as stories are."""


@dataclass(frozen=True)
class Verb:
    """A sentence that a step may hold, such as `add account {account}`. `fields` may stand below it, each
    with the argument that takes it; None: a single value stands beside it."""

    text: str
    do: Callable[..., None]
    fields: Mapping[str, str] | None
    required: frozenset[str]
    expects: bool

    def match(self, key: str) -> dict[str, str] | None:
        """The names in it, if `key` is this sentence: one word each, but for days and months, which may be
        `2026-01 to 2026-11`."""
        found = _pattern(self.text).fullmatch(key)
        return None if found is None else found.groupdict()


@cache
def _pattern(text: str) -> re.Pattern[str]:
    one = re.sub(r"\\\{(month|when)\\\}", r"(?P<\1>.+)", re.escape(text))
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\S+)", one))


@dataclass(frozen=True)
class Clause:
    """One line of a step with what stands below it, not carried out yet."""

    key: str
    verb: Verb
    names: Mapping[str, str]
    value: Any

    def carry_out(self, office: object) -> None:
        if self.verb.fields is None:
            self.verb.do(office, self.value, **self.names)
        else:
            fields = {self.verb.fields[name]: value for name, value in (self.value or {}).items()}
            self.verb.do(office, **self.names, **fields)


@dataclass(frozen=True)
class Step:
    """What happens on a day, and what is seen then. `refused`: part of the sentence with which the one action
    is turned down."""

    on: date
    clauses: tuple[Clause, ...]
    refused: str | None


@dataclass(frozen=True)
class Story:
    name: str
    title: str
    why: str
    steps: tuple[Step, ...]


def read_story(path: Path, verbs: list[Verb]) -> Story:
    """Raises StoryError, naming the file and the key."""
    return story_from_text(path.read_text("utf-8"), path.stem, verbs)


def story_from_text(text: str, name: str, verbs: list[Verb]) -> Story:
    try:
        data = yaml.load(text, _Strict)
    except yaml.YAMLError as error:
        raise StoryError(f"{name}: {error}") from None
    return story_from_data(data, name, verbs)


def story_from_data(data: Any, name: str, verbs: list[Verb]) -> Story:
    """From what a file would say, everything as text."""
    _check_keys(name, data, {"story", "why", "timeline"}, {"story", "why", "timeline"})
    steps = tuple(
        _step(f"{name}, step {number}", item, verbs) for number, item in enumerate(data["timeline"], start=1)
    )
    days = [step.on for step in steps]
    if days != sorted(days):
        raise StoryError(f"{name}: its steps are not in the order of time")
    return Story(name, data["story"], data["why"], steps)


def _step(where: str, data: Any, verbs: list[Verb]) -> Step:
    if not isinstance(data, dict) or "on" not in data:
        raise StoryError(f"{where}: say on which day: on: 2026-10-01")
    clauses = tuple(
        _clause(where, key, value, verbs) for key, value in data.items() if key not in ("on", "refused")
    )
    refused = data.get("refused")
    if refused is not None and sum(not clause.verb.expects for clause in clauses) != 1:
        raise StoryError(f"{where}: one action is refused; give it a step of its own")
    return Step(date.fromisoformat(data["on"]), clauses, refused)


def _clause(where: str, key: str, value: Any, verbs: list[Verb]) -> Clause:
    found = [(verb, names) for verb in verbs if (names := verb.match(key)) is not None]
    if not found:
        raise StoryError(f"{where}: {key!r} is nothing that a step can say")
    # The one with the fewest words left open fits best: `bill` before `bill {month}`.
    verb, names = min(found, key=lambda each: len(each[1]))
    if verb.fields is None:
        if isinstance(value, dict) and not verb.expects and "{" not in verb.text:
            raise StoryError(f"{where}: {key!r} takes one value")
    else:
        _check_keys(f"{where}, {key!r}", value or {}, set(verb.fields), set(verb.required))
    return Clause(key, verb, names, value)


def _check_keys(where: str, data: Any, known: set[str], required: set[str]) -> None:
    if not isinstance(data, dict):
        raise StoryError(f"{where}: keys and values are needed, not {data!r}")
    if unknown := data.keys() - known:
        raise StoryError(f"{where}: key {min(unknown)!r} is not known; known: {', '.join(sorted(known))}")
    if missing := required - data.keys():
        raise StoryError(f"{where}: key {min(missing)!r} is missing")


class _Strict(yaml.BaseLoader):
    """Text and nothing else; a key comes once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.YAMLError(f"key {twice[0]!r} comes twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep=deep)


# How values are written


def whole(text: str) -> int:
    """`12,000`"""
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})*|[+-]?\d+", text) is None:
        raise StoryError(f"{text!r} is not a quantity such as 12,000")
    return int(text.replace(",", ""))


def money(text: str) -> str:
    """`1,350.00` as the product reads it: `1350.00`."""
    if re.fullmatch(r"-?\d{1,3}(,\d{3})*(\.\d+)?", text) is None:
        raise StoryError(f"{text!r} is not an amount such as 1,350.00")
    return text.replace(",", "")


def day(text: str) -> date:
    return date.fromisoformat(text)


def yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise StoryError(f"{text!r} is neither yes nor no")
    return text == "yes"


def months(text: str) -> list[Month]:
    """`2026-10`, or `2026-01 to 2026-11`, both included."""
    first, _, last = text.partition(" to ")
    found = [Month.parse(first)]
    while last and found[-1] < Month.parse(last):
        found.append(found[-1].next())
    return found


def days(text: str) -> list[date]:
    """`2026-10-03`, or `2026-10-03 to 2026-10-05`, both included."""
    first, _, last = text.partition(" to ")
    begin, end = day(first), day(last or first)
    return [date.fromordinal(number) for number in range(begin.toordinal(), end.toordinal() + 1)]


def rows(text: str, columns: int) -> list[list[str]]:
    """A table: columns by two blanks or more; the last one may be left out."""
    table = [re.split(r"\s{2,}", line.strip()) for line in (text or "").splitlines() if line.strip()]
    for row in table:
        if not columns - 1 <= len(row) <= columns:
            raise StoryError(f"{'  '.join(row)!r} is not a row of {columns} columns with two blanks between")
    return [[*row, *[""] * (columns - len(row))] for row in table]
