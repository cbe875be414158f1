"""What can go wrong between us and an orchestrator's server."""

from __future__ import annotations


class PrefectError(Exception):
    """The server cannot be asked, or answers what cannot be read; `str()` says what to do."""


class NoAddress(PrefectError):  # noqa: N818 - reads as what happened
    """What was given as a server's address is none."""
