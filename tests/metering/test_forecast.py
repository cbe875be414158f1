"""The forecast of runs: the pace of a week, whole runs, and never fewer than are known."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from metering.forecast import PACE_DAYS, expected_days

TODAY = date(2026, 10, 12)
END = date(2026, 11, 1)

usage = st.dictionaries(
    st.integers(-40, 5).map(lambda back: TODAY + timedelta(back)), st.integers(0, 1_000_000), max_size=20
)


def test_without_a_complete_day_nothing_is_forecast() -> None:
    assert expected_days({}, TODAY, END) is None
    assert expected_days({TODAY: 500_000}, TODAY, END) is None


def test_a_new_account_has_the_pace_of_its_days() -> None:
    known = {TODAY - timedelta(2): 10, TODAY - timedelta(1): 21}
    found = expected_days(known, TODAY, TODAY + timedelta(3))
    assert found == {TODAY: 15, TODAY + timedelta(1): 16, TODAY + timedelta(2): 15}


def test_what_ended_a_week_ago_is_not_expected_to_go_on() -> None:
    assert expected_days({TODAY - timedelta(8): 1_000_000}, TODAY, END) == {}


def test_a_busy_morning_is_not_taken_for_more_than_it_is() -> None:
    known = {TODAY - timedelta(back): 10 for back in range(1, 8)} | {TODAY: 5_000}
    found = expected_days(known, TODAY, TODAY + timedelta(2))
    assert found == {TODAY + timedelta(1): 10}


@given(usage)
def test_whole_runs_add_up_to_the_pace(known: dict[date, int]) -> None:
    found = expected_days(known, TODAY, TODAY + timedelta(PACE_DAYS * 60))
    if found is None:
        assert not any(runs for day, runs in known.items() if day < TODAY)
        return
    assert all(day >= TODAY and runs > 0 for day, runs in found.items())
    week = sum(runs for day, runs in known.items() if 0 < (TODAY - day).days <= PACE_DAYS)
    assert not found or week
    first = min(day for day, runs in known.items() if runs)
    if (TODAY - first).days >= PACE_DAYS:  # the last week of the time ahead is the last week again
        ahead = [runs for day, runs in found.items() if (day - TODAY).days >= PACE_DAYS * 59]
        assert sum(ahead) == week
