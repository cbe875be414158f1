"""Which task runs count, in words, by the version of the rules that an invoice was made by (docs/rules.md
§2)."""

from __future__ import annotations

from collections.abc import Mapping

from metering.outcome import THRESHOLD_US
from metering.period import SECOND_US

_SECONDS = THRESHOLD_US // SECOND_US
assert _SECONDS * SECOND_US == THRESHOLD_US == SECOND_US, "the sentences below say one second"

_RULES: Mapping[str, tuple[str, ...]] = {
    "success-1": (
        "A task run is billed if it succeeded and took longer than one second. Exactly 1.000000 seconds is "
        "not longer, and costs nothing.",
        "Runs that failed, crashed, were cancelled, came from a cache, took a second or less, or were taken "
        "back cost nothing. They are counted beside the billed ones, with the reason.",
        "A run counts once, in the month (UTC) in which it ended, however often it was retried or reported.",
    ),
}


def rules_data(version: str) -> dict[str, object]:
    """In the shape of JSON answers. `threshold_seconds`: a run must take longer to be billed."""
    return {
        "version": version,
        "threshold_seconds": f"{_SECONDS}.000000",
        "text": list(_RULES.get(version, ())),
    }
