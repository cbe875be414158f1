"""Something happens just before a call to Stripe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from billing.app import Service
from tests.world import World


class _Gateway:
    def __init__(self, gateway: Any, method: str, happens: Callable[[], None]) -> None:
        self._gateway = gateway
        self._method = method
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            self._happens()
        return getattr(self._gateway, name)


def interrupted(world: World, method: str, happens: Callable[[], None]) -> Service:
    """The world's service; before each call of a method of its gateway something happens."""
    gateway: Any = _Gateway(world.service.gateway, method, happens)
    return replace(world.service, gateway=gateway)
