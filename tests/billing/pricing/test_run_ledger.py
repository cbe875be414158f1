"""The run ledger reads like a ledger: what is written when, and what a day's balance is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from billing.pricing.contract import Grant
from billing.pricing.drawdown import draw
from billing.pricing.run_ledger import Entry, EntryKind, balance, sums, to_record, truth
from tests.billing.pricing.contracts import day, grant

A = grant("a", 100, "2026-01-01", "2026-02-01")
B = grant("b", 100, "2026-01-15", "2026-04-01")


def write(
    ledger: tuple[Entry, ...], grants: list[Grant], usage: Mapping[date, int], as_of: str, now: int
) -> tuple[Entry, ...]:
    """The ledger with what is to be recorded now."""
    drawdown = draw(grants, usage)
    ledger += to_record(ledger, grants, drawdown, as_of=day(as_of), recorded_at=now)
    assert to_record(ledger, grants, drawdown, as_of=day(as_of), recorded_at=now + 1) == ()
    return ledger


def read(entries: tuple[Entry, ...]) -> list[str]:
    return [
        f"{e.effective_on:%m-%d} {e.grant} {e.kind}{f' of {e.corrects}' if e.corrects else ''} "
        f"{e.quantity:+} at {e.recorded_at}"
        for e in entries
    ]


def test_grants_usage_and_expiry_are_entries_of_their_own() -> None:
    usage = {day("2026-01-10"): 30, day("2026-01-20"): 80, day("2026-02-05"): 20}
    ledger = write((), [A, B], usage, "2026-04-01", now=7)
    assert read(ledger) == [
        "01-01 a grant +100 at 7",
        "01-10 a usage -30 at 7",
        "01-15 b grant +100 at 7",
        "01-20 a usage -70 at 7",
        "01-20 b usage -10 at 7",
        "02-05 b usage -20 at 7",
        "04-01 b expiry -70 at 7",
    ]
    days = ("2025-12-31", "2026-01-01", "2026-01-10", "2026-01-15", "2026-01-20", "2026-03-31", "2026-04-01")
    assert [balance(ledger, day(text)) for text in days] == [0, 100, 70, 170, 90, 70, 0]
    assert [balance(ledger, day("2026-01-20"), grant=g) for g in "ab"] == [0, 90]


def test_nothing_is_written_before_its_day() -> None:
    ledger = write((), [A, B], {day("2026-01-10"): 30}, "2026-01-14", now=1)
    assert read(ledger) == ["01-01 a grant +100 at 1", "01-10 a usage -30 at 1"]
    ledger = write(ledger, [A, B], {day("2026-01-10"): 30}, "2026-02-01", now=2)
    assert read(ledger)[2:] == ["01-15 b grant +100 at 2", "02-01 a expiry -70 at 2"]


def test_late_usage_redraws_even_a_grant_that_expired() -> None:
    usage = {day("2026-01-10"): 30, day("2026-01-20"): 60}
    ledger = write((), [A, B], usage, "2026-02-10", now=1)
    late = usage | {day("2026-01-05"): 20, day("2026-01-10"): 35}
    added = write(ledger, [A, B], late, "2026-02-10", now=2)[len(ledger) :]
    assert read(added) == [
        "01-05 a usage -20 at 2",
        "01-10 a correction of usage -5 at 2",
        "01-20 a correction of usage +15 at 2",
        "01-20 b usage -15 at 2",
        "02-01 a correction of expiry +10 at 2",
    ]


def test_runs_taken_back_are_corrected_too() -> None:
    ledger = write((), [A], {day("2026-01-10"): 30}, "2026-01-31", now=1)
    ledger = write(ledger, [A], {}, "2026-01-31", now=2)
    assert read(ledger)[2:] == ["01-10 a correction of usage +30 at 2"]
    ledger = write(ledger, [A], {day("2026-01-10"): 1}, "2026-01-31", now=3)
    assert read(ledger)[3:] == ["01-10 a correction of usage -1 at 3"]


def test_an_amended_grant_is_corrected_where_it_was_and_written_where_it_is() -> None:
    ledger = write((), [A], {day("2026-01-10"): 30}, "2026-02-10", now=1)
    longer = grant("a", 150, "2026-01-01", "2026-02-08")
    usage = {day("2026-01-10"): 30, day("2026-02-07"): 5}
    assert read(write(ledger, [longer], usage, "2026-02-10", now=2))[len(ledger) :] == [
        "01-01 a correction of grant +50 at 2",
        "02-01 a correction of expiry +70 at 2",
        "02-07 a usage -5 at 2",
        "02-08 a expiry -115 at 2",
    ]


def test_a_job_that_runs_for_an_earlier_day_undoes_nothing() -> None:
    usage = {day("2026-01-10"): 30, day("2026-02-05"): 20}
    ledger = write((), [A, B], usage, "2026-04-01", now=1)
    assert write(ledger, [A, B], usage, "2026-01-12", now=2) == ledger


def test_sums_and_truth_agree() -> None:
    drawdown = draw([A, B], {day("2026-01-20"): 130})
    ledger = write((), [A, B], {day("2026-01-20"): 130}, "2026-04-01", now=1)
    assert sums(ledger) == truth([A, B], drawdown, day("2026-04-01"))


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": EntryKind.CORRECTION},
        {"kind": EntryKind.USAGE, "corrects": EntryKind.USAGE},
        {"kind": EntryKind.CORRECTION, "corrects": EntryKind.CORRECTION},
        {"kind": EntryKind.USAGE, "quantity": 0},
    ],
)
def test_entries_that_mean_nothing(fields: Any) -> None:
    with pytest.raises(AssertionError):
        Entry(**{"grant": "a", "effective_on": day("2026-01-01"), "quantity": 1, "recorded_at": 1} | fields)
