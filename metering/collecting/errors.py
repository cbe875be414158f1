"""What can go wrong between us and an orchestrator's server.

PrefectError          the server cannot be asked, or answers what cannot be read
  NoAddress           what was given as its address is none
  KeyRefused          it does not take the API key
  Busy                it turns us away for a while
    TooSlow           it takes longer to answer than we wait
"""

from __future__ import annotations


class PrefectError(Exception):
    """The server cannot be asked, or answers what cannot be read; `str()` says what to do."""


class NoAddress(PrefectError):  # noqa: N818 - reads as what happened
    """What was given as a server's address is none."""


class KeyRefused(PrefectError):  # noqa: N818 - reads as what happened
    """The API key is missing, unknown or expired."""


class Busy(PrefectError):  # noqa: N818 - reads as what happened
    """The server turns us away; `retry_after_s` is how long it asked us to wait, None if it did not."""

    def __init__(self, message: str, retry_after_s: float | None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooSlow(Busy):
    """No answer in time: a smaller question may get one."""
