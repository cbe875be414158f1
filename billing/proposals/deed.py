"""What a deed is that may take two persons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from metering.settings import Settings

if TYPE_CHECKING:
    from billing.app import Service

T = TypeVar("T")
# What is asked for, as it can be written in JSON.
Request = Mapping[str, Any]
Progress = Callable[[int, int], None]


class Weight(NamedTuple):
    """Whether a request takes two, and what it is in a sentence."""

    takes_two: bool
    summary: str
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Deed(Generic[T]):
    """`bounded`: whether the settings ask for two persons at all. `weigh` looks at a request, and raises what
    `do` would where it sees already that it cannot be done. `do` does it, in the name of who asked. `tell` is
    what came of it, as JSON."""

    name: str
    bounded: Callable[[Settings], bool]
    weigh: Callable[[Service, Request], Weight]
    do: Callable[[Service, Request, str, Progress], T]
    tell: Callable[[Service, T], Any]
