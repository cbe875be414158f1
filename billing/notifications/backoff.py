"""How long to wait after a failure: pure.

A delivery is tried for three days, less and less often. An endpoint that fails is left alone as a whole for
a while, whatever waits for it, so that one that is dead is asked at most once an hour; when it has failed
for five days it is disabled.
"""

from __future__ import annotations

from metering.period import DAY_US, HOUR_US, MINUTE_US

# After the first attempt, after the second, and so on; after the last of them it is given up.
DELIVERY_WAITS_US = (
    MINUTE_US,
    5 * MINUTE_US,
    30 * MINUTE_US,
    2 * HOUR_US,
    5 * HOUR_US,
    10 * HOUR_US,
    14 * HOUR_US,
    20 * HOUR_US,
    24 * HOUR_US,
)
MOST_ATTEMPTS = len(DELIVERY_WAITS_US) + 1

_PAUSES_US = (MINUTE_US, 5 * MINUTE_US, 15 * MINUTE_US, 30 * MINUTE_US, HOUR_US)
DISABLED_AFTER_US = 5 * DAY_US


def next_attempt(attempts: int, now: int) -> int | None:
    """When a delivery that has failed so often is tried again; None: no more.

    >>> next_attempt(1, 0) == MINUTE_US, next_attempt(MOST_ATTEMPTS, 0)
    (True, None)
    """
    return now + DELIVERY_WAITS_US[attempts - 1] if attempts < MOST_ATTEMPTS else None


def paused_until(failures: int, now: int) -> int:
    """How long an endpoint that has failed so often in a row is left alone.

    >>> paused_until(1, 0) == MINUTE_US, paused_until(1000, 0) == HOUR_US
    (True, True)
    """
    return now + _PAUSES_US[min(failures, len(_PAUSES_US)) - 1]


def is_to_be_disabled(failing_since: int, now: int) -> bool:
    """Whether an endpoint has failed for so long that it is asked no more."""
    return now - failing_since >= DISABLED_AFTER_US
