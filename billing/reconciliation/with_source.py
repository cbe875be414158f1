"""The source and the meter: what the orchestrator says ran, and what we hold of it."""

from __future__ import annotations

from collections.abc import Iterable

from billing.reconciliation.difference import METER_DIFFERS, Difference
from metering.agreement import Disagreement, Way
from metering.outcome import Outcome
from metering.period import Month


def compare_with_source(account: str, month: Month, found: Disagreement) -> list[Difference]:
    """A difference for each way in which runs differ, the largest first. Its quantity is negative where the
    meter has less than the source: runs that it lacks, or that are billable at the source alone."""
    ways = sorted(found.quantities.items(), key=lambda item: (-item[1], _order(item[0])))
    return [
        Difference(
            account,
            "source-meter",
            METER_DIFFERS,
            _message(account, month, way, count, found.named[way]),
            quantity=_signed(way, count),
        )
        for way, count in ways
    ]


def _signed(way: Way, count: int) -> int:
    less = way.meter is None or way.source is Outcome.BILLABLE
    return -count if less else count


def _order(way: Way) -> tuple[int, int]:
    return tuple(-1 if each is None else each.value for each in way)  # type: ignore[return-value]


def _message(account: str, month: Month, way: Way, count: int, ids: Iterable[str]) -> str:
    runs = f"{count:,} task run{'' if count == 1 else 's'}"
    named = ", ".join(ids) + (", …" if count > len(list(ids)) else "")
    if way.meter is None:
        assert way.source is not None
        return (
            f"the source has {runs} ({_word(way.source)}) of {month} that the meter does not hold: {named}; "
            f"hand in their events: billing ingest FILE --format prefect --account {account}"
        )
    if way.source is None:
        return (
            f"the meter holds {runs} ({_word(way.meter)}) of {month} that the source does not have: {named}; "
            "see whether they were deleted there, belong to another account or server, or the server was "
            "killed and kept their events alone, which are proof"
        )
    return (
        f"{runs} {_be(count)} {_word(way.source)} at the source and {_word(way.meter)} in the meter: "
        f"{named}; hand in their events again: billing ingest FILE --format prefect --account {account}"
    )


def _word(outcome: Outcome) -> str:
    return outcome.reason.replace("_", " ")


def _be(count: int) -> str:
    return "is" if count == 1 else "are"
