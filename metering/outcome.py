"""From events to outcomes (docs/rules.md §2): what one event says, which event of a run wins, and what the
operator's correction makes of it.

All are functions of values alone, so that usage is a function of the *set* of events held, and of the last
correction of each run: the events' order, batching, duplication and lateness cannot change it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple

from metering.period import SECOND_US

# "Longer than one second": exactly 1.000000 s is not billed.
THRESHOLD_US = SECOND_US


class Outcome(enum.IntEnum):
    """What an event says of its run. The value is the rank: among the events of a run the highest wins."""

    FAILED = 0
    CRASHED = 1
    CANCELLED = 2
    CACHED = 3
    TOO_SHORT = 4
    BILLABLE = 5
    REVERSED = 6

    @property
    def reason(self) -> str:
        """The name in answers and on invoices, e.g. `too_short`."""
        return self.name.lower()


# In the order in which answers list them.
NOT_BILLED = (
    Outcome.TOO_SHORT,
    Outcome.CACHED,
    Outcome.FAILED,
    Outcome.CRASHED,
    Outcome.CANCELLED,
    Outcome.REVERSED,
)

FINAL_STATES = frozenset({"COMPLETED", "CACHED", "FAILED", "CRASHED", "CANCELLED", "ROLLED_BACK"})

_PLAIN = {
    "ROLLED_BACK": Outcome.REVERSED,
    "CANCELLED": Outcome.CANCELLED,
    "CRASHED": Outcome.CRASHED,
    "FAILED": Outcome.FAILED,
}


def classify(state: str, duration_us: int) -> Outcome | None:
    """What an event in `state` with this duration (whole microseconds) says; None: nothing, the run goes on.

    >>> classify("COMPLETED", 1_000_000).reason, classify("COMPLETED", 1_000_001).reason
    ('too_short', 'billable')
    >>> classify("CACHED", 4_000).reason, classify("CACHED", 2_000_000).reason
    ('cached', 'billable')
    """
    if state == "COMPLETED":
        return Outcome.BILLABLE if duration_us > THRESHOLD_US else Outcome.TOO_SHORT
    if state == "CACHED":
        return Outcome.BILLABLE if duration_us > THRESHOLD_US else Outcome.CACHED
    return _PLAIN.get(state)


OUTCOMES = {
    (state, is_long): outcome
    for state in FINAL_STATES
    for is_long, duration_us in ((False, THRESHOLD_US), (True, THRESHOLD_US + 1))
    if (outcome := classify(state, duration_us)) is not None
}
"""`classify` as a table: what an event in a final state says, by whether it lasted longer than a second."""


class Statement(NamedTuple):
    """The part of an event that can decide its run's outcome, place and labels."""

    outcome: Outcome
    ended_at: int
    duration_us: int
    source: str
    flow: str
    workspace: str


def precedence(statement: Statement) -> tuple[int, int, int, str, str, str]:
    """Sort key: the smallest of a run's statements is the one that holds."""
    return (
        -statement.outcome,
        statement.ended_at,
        statement.duration_us,
        statement.source,
        statement.flow,
        statement.workspace,
    )


def winner(statements: Iterable[Statement]) -> Statement:
    """The statement that holds for a run: highest outcome, then earliest end, shortest duration, smallest
    source, flow and workspace as text. Raises ValueError for a run without statements."""
    return min(statements, key=precedence)


class Action(enum.IntEnum):
    """What the operator says of a run, whatever its events say."""

    REVERSE = 1
    RESTORE = 2

    @property
    def text(self) -> str:
        """The name on the command line and in answers, e.g. `reverse`."""
        return self.name.lower()


def judged(statements: Iterable[Statement], correction: Action | None) -> Statement:
    """What holds for a run under the last correction recorded for it, if there is one. Reversed, it stays
    where its winner is. Restored, what says `reversed` is set aside; where nothing else is said, it is read
    as a completion. Raises ValueError for a run without statements.

    >>> rolled_back = Statement(Outcome.REVERSED, 0, 5_000_000, "", "", "")
    >>> judged([rolled_back], Action.RESTORE).outcome.reason
    'billable'
    >>> judged([rolled_back, rolled_back._replace(outcome=Outcome.FAILED)], Action.RESTORE).outcome.reason
    'failed'
    """
    said = list(statements)
    if correction is Action.RESTORE:
        said = [each for each in said if each.outcome is not Outcome.REVERSED] or [
            each._replace(outcome=OUTCOMES["COMPLETED", each.duration_us > THRESHOLD_US]) for each in said
        ]
    best = winner(said)
    return best._replace(outcome=Outcome.REVERSED) if correction is Action.REVERSE else best


def changes_nothing(holds: Outcome, action: Action) -> bool:
    """Whether a correction says what holds already: nothing is recorded then."""
    return (holds is Outcome.REVERSED) == (action is Action.REVERSE)
