"""What an event says, and which event of a run holds: the table and the precedence of docs/rules.md §2."""

from __future__ import annotations

from itertools import permutations

import pytest

from metering.outcome import (
    FINAL_STATES,
    NOT_BILLED,
    Action,
    Outcome,
    Statement,
    changes_nothing,
    classify,
    judged,
    winner,
)

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("state", "duration_us", "says"),
    [
        ("ROLLED_BACK", 0, "reversed"),
        ("ROLLED_BACK", 5 * SECOND, "reversed"),
        ("CACHED", 0, "cached"),
        ("CACHED", SECOND, "cached"),
        ("CACHED", SECOND + 1, "billable"),
        ("COMPLETED", 0, "too_short"),
        ("COMPLETED", SECOND, "too_short"),
        ("COMPLETED", SECOND + 1, "billable"),
        ("CANCELLED", 5 * SECOND, "cancelled"),
        ("CRASHED", 5 * SECOND, "crashed"),
        ("FAILED", 5 * SECOND, "failed"),
    ],
)
def test_the_table(state: str, duration_us: int, says: str) -> None:
    outcome = classify(state, duration_us)
    assert outcome is not None
    assert outcome.reason == says
    assert state in FINAL_STATES


@pytest.mark.parametrize(
    "state", ["PENDING", "RUNNING", "SCHEDULED", "PAUSED", "CANCELLING", "completed", ""]
)
def test_other_states_say_nothing(state: str) -> None:
    assert classify(state, 5 * SECOND) is None
    assert state not in FINAL_STATES


def test_the_highest_outcome_holds_whatever_else() -> None:
    ascending = ["failed", "crashed", "cancelled", "cached", "too_short", "billable", "reversed"]
    assert [outcome.reason for outcome in sorted(Outcome)] == ascending
    for lower, higher in zip(sorted(Outcome), sorted(Outcome)[1:], strict=False):
        early = Statement(lower, 0, 0, "", "", "")
        late = Statement(higher, 99, 99, "z", "z", "z")
        assert winner([early, late]) == winner([late, early]) == late


def test_every_outcome_but_billable_is_a_reason_not_to_bill() -> None:
    assert set(NOT_BILLED) == set(Outcome) - {Outcome.BILLABLE}


def test_among_equals_earliest_end_then_shortest_then_smallest_texts() -> None:
    by_rank = [
        Statement(Outcome.BILLABLE, 1, 9, "z", "z", "z"),
        Statement(Outcome.BILLABLE, 2, 1, "z", "z", "z"),
        Statement(Outcome.BILLABLE, 2, 2, "a", "z", "z"),
        Statement(Outcome.BILLABLE, 2, 2, "b", "a", "z"),
        Statement(Outcome.BILLABLE, 2, 2, "b", "b", "a"),
        Statement(Outcome.BILLABLE, 2, 2, "b", "b", "b"),
    ]
    for first in range(len(by_rank)):
        for order in permutations(by_rank[first : first + 4]):
            assert winner(order) == by_rank[first]
    assert winner(by_rank[::-1] * 2) == by_rank[0]


def test_a_run_without_statements_has_no_winner() -> None:
    with pytest.raises(ValueError, match="empty"):
        winner([])


@pytest.mark.parametrize(
    ("duration_us", "then"),
    [(0, "too_short"), (SECOND, "too_short"), (SECOND + 1, "billable"), (3600 * SECOND, "billable")],
)
def test_a_rollback_that_is_restored_is_a_completion_of_its_duration(duration_us: int, then: str) -> None:
    rolled_back = Statement(Outcome.REVERSED, 0, duration_us, "", "", "")
    assert judged([rolled_back], Action.RESTORE).outcome.reason == then


@pytest.mark.parametrize("held", Outcome)
def test_a_correction_says_something_where_it_changes_something(held: Outcome) -> None:
    reversed_already = held is Outcome.REVERSED
    assert changes_nothing(held, Action.REVERSE) is reversed_already
    assert changes_nothing(held, Action.RESTORE) is not reversed_already
