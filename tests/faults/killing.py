"""Ending the process at any step: before each commit to the database, after it, before each call to Stripe,
after it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from billing.payments.stripe_gateway import StripeGateway


class Killed(BaseException):
    """Nothing in the service catches this: to it, the process ends here."""


class KillAt:
    """Counts steps and ends the process at one of them."""

    def __init__(self, step: int) -> None:
        self._left = step

    def step(self, *_: object) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed

    def listen(self, engine: sa.Engine) -> None:
        """Every transaction of the engine is two steps."""
        sa.event.listen(engine, "commit", self.step)
        sa.event.listen(engine, "begin", self.step)

    def forget(self, engine: sa.Engine) -> None:
        """The process is gone, its connections with it; the engine is another's from now on."""
        sa.event.remove(engine, "commit", self.step)
        sa.event.remove(engine, "begin", self.step)
        engine.dispose()

    @property
    def reached(self) -> bool:
        return self._left <= 0


class MortalGateway:
    """The real gateway; a step before each call and one after it, when its answer is not known yet."""

    def __init__(self, gateway: StripeGateway, kill: KillAt) -> None:
        self._gateway = gateway
        self._kill = kill

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._gateway, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            self._kill.step()
            answer = method(*args, **kwargs)
            self._kill.step()
            return answer

        return call
