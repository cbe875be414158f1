"""Which well-formed events may come in, and what became of a batch (docs/rules.md §2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from metering.event import MAX_ACCOUNT, TaskRunEvent
from metering.pairing.half import Half
from metering.period import DAY_US, HOUR_US, MINUTE_US, parse_instant
from metering.sources.fields import FieldError, is_account

EARLIEST_END = parse_instant("2000-01-01T00:00:00Z")
EARLIEST_START = parse_instant("0001-01-01T00:00:00Z")
FUTURE_US = 5 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may write what, and when it is `now`.

    `only_account`: the account that the key is bound to; events of any other are rejected.
    `default_account`: the account of events that name none.
    `late_us`: events that ended longer before `now` are rejected; None: any since 2000 may come.
    Raises ValueError for an account that is none.
    """

    now: int
    only_account: str | None = None
    default_account: str | None = None
    late_us: int | None = None

    def __post_init__(self) -> None:
        for account in (self.only_account, self.default_account):
            if account is not None and not is_account(account):
                raise ValueError(f"an account is 1 to {MAX_ACCOUNT} of the characters A-Z a-z 0-9 . _ -")

    @property
    def earliest_end(self) -> int:
        return EARLIEST_END if self.late_us is None else max(EARLIEST_END, self.now - self.late_us)

    @property
    def latest_end(self) -> int:
        return self.now + FUTURE_US

    def account(self, named: str | None, field_name: str = "account") -> str:
        """The account of an event that names `named`, in `field_name`. Raises FieldError."""
        account = self.default_account if named is None else named
        if account is None:
            raise FieldError(field_name, f"{field_name} is missing; name the account that the run belongs to")
        if not is_account(account):
            raise FieldError(
                field_name, f"{field_name} must be 1 to {MAX_ACCOUNT} of the characters A-Z a-z 0-9 . _ -"
            )
        if self.only_account is not None and account != self.only_account:
            raise FieldError(
                field_name, f"{field_name}: this key may write events of {self.only_account} only"
            )
        return account

    def check_times(self, start: int, end: int, start_name: str, end_name: str) -> None:
        """Refuse an event whose instants, named so in its format, cannot be or come too late."""
        if end < EARLIEST_END:
            raise FieldError(end_name, f"{end_name} is before the year 2000; check the sender's clock")
        if end > self.latest_end:
            raise FieldError(
                end_name, f"{end_name} is more than 5 minutes in the future; check the sender's clock"
            )
        if self.late_us is not None and end < self.earliest_end:
            raise FieldError(
                end_name,
                f"{end_name} is more than {_span(self.late_us)} ago, too late for an ingest key; "
                "have an operator import the event",
            )
        if end < start:
            raise FieldError(end_name, f"{end_name} is before {start_name}; a run ends after it starts")
        if start < EARLIEST_START:
            raise FieldError(start_name, f"{start_name} is before the year 1; check the sender's clock")


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that was not taken: its place in the batch, the field at fault, and what to do about it."""

    index: int
    field: str
    message: str


# Rejections of a body that are kept, with the reason of each.
NAMED = 100


@dataclass(slots=True)
class Decoded:
    """Every event of a body, exactly once: taken, ignored (not final, not about a task run) or rejected. Of
    a format that states starts and ends apart, what is taken are `halves`. `refused` counts what was
    rejected; `rejected` has the first of it: a small body can hold millions of things that are no event."""

    received: int = 0
    events: list[TaskRunEvent] = field(default_factory=list)
    ignored: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    halves: list[Half] = field(default_factory=list)
    refused: int = 0

    def reject(self, rejection: Rejection) -> None:
        self.refused += 1
        if len(self.rejected) < NAMED:
            self.rejected.append(rejection)

    def add(self, more: Decoded) -> None:
        """What came after it."""
        self.received += more.received
        self.events += more.events
        self.ignored += more.ignored
        self.rejected += more.rejected[: NAMED - len(self.rejected)]
        self.halves += more.halves
        self.refused += more.refused


def _span(late_us: int) -> str:
    return f"{late_us // DAY_US} days" if late_us >= DAY_US else f"{late_us // HOUR_US} hours"
