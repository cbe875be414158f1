"""What can go wrong with events in ClickHouse. Every message is one sentence that says what to do.

EventsUrlError     the address of the event store is not one that can be used
EventsUnavailable  ClickHouse cannot be reached, or refused; try again
CopyRefused        events cannot be copied there
CopyDiffers        what was copied does not come to the same counts
"""

from __future__ import annotations


class EventsUrlError(ValueError):
    pass


class EventsUnavailable(RuntimeError):  # noqa: N818 - reads as what happened
    """`code` is ClickHouse's, if it gave one."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code

    @property
    def unknown_table(self) -> bool:
        """There is no such table, or no such database."""
        return self.code in (60, 81)


class CopyRefused(RuntimeError):  # noqa: N818
    pass


class CopyDiffers(RuntimeError):  # noqa: N818
    pass
