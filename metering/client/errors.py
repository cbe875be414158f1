"""What can go wrong when an event is handed to the client. The service being away is no error: events wait.

ClientError         nothing of the call was kept
  EventError        an event cannot be sent as it is; also a ValueError
  SpoolError        the spool cannot be written
    SpoolFull       it holds as much as it may
"""

from __future__ import annotations


class ClientError(Exception):
    """Nothing of the call was kept; `str()` says what to do."""


class EventError(ClientError, ValueError):
    """An event cannot be sent as it is; the message names the field."""


class SpoolError(ClientError):
    """The spool cannot be written."""


class SpoolFull(SpoolError):  # noqa: N818 - reads as what happened
    """The spool holds as much as it may: the service has been away for too long, or refuses the key."""
