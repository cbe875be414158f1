"""The sentences of stories are functions, named by their sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

from tests.scenarios.story import Verb

VERBS: list[Verb] = []

_Do = TypeVar("_Do", bound=Callable[..., None])


def does(text: str) -> Callable[[_Do], _Do]:
    """A step that changes something. Keyword-only arguments are the fields that may stand below it, those
    without a default must; a function with none takes the value beside the sentence."""
    return _verb(text, expects=False)


def shows(text: str) -> Callable[[_Do], _Do]:
    """What is seen; changes nothing."""
    return _verb(text, expects=True)


def _verb(text: str, *, expects: bool) -> Callable[[_Do], _Do]:
    def register(do: _Do) -> _Do:
        named = {
            name.removesuffix("_").replace("_", " "): each
            for name, each in inspect.signature(do).parameters.items()
            if each.kind is each.KEYWORD_ONLY
        }
        fields = {field: each.name for field, each in named.items()}
        required = frozenset(field for field, each in named.items() if each.default is each.empty)
        VERBS.append(Verb(text, do, fields or None, required, expects))
        return do

    return register
