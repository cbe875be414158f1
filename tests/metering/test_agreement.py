"""Whether a source and the meter agree: what the tallies find, and what is then named."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from metering.agreement import Disagreement, Ended, Way, differing_hours, groups, tally
from metering.collecting.comparison import compare_month
from metering.collecting.prefect_server import PrefectServer
from metering.outcome import Action, Outcome
from metering.period import HOUR_US, Month
from metering.store import Correction
from tests.events import event
from tests.metering.prefect_double import prefect_double, row, run_id
from tests.world import NOVEMBER_2, World

OCTOBER = Month(2026, 10)

ended = st.builds(
    Ended,
    st.sampled_from([f"run-{number}" for number in range(12)]),
    st.sampled_from(list(Outcome)),
    st.integers(0, 5 * HOUR_US),
    st.just(False),
)
sides = st.dictionaries(st.sampled_from([f"run-{n}" for n in range(12)]), ended).map(
    lambda held: {name: run._replace(task_run_id=name) for name, run in held.items()}
)


@given(sides, sides, st.integers(1, 30))
def test_looking_only_at_hours_that_differ_finds_what_looking_at_all_does(
    source: dict[str, Ended], meter: dict[str, Ended], most: int
) -> None:
    """Where a run is in one hour on either side; else it is found in both of its hours."""
    meter = {
        name: run._replace(ended_at=source[name].ended_at) if name in source else run
        for name, run in meter.items()
    }
    whole = Disagreement()
    whole.add(source, meter)
    parts = Disagreement()
    one, other = tally(source.values()), tally(meter.values())
    for hours in groups(differing_hours(one, other), one, other, most):
        parts.add(
            {name: run for name, run in source.items() if run.ended_at // HOUR_US in hours},
            {name: run for name, run in meter.items() if run.ended_at // HOUR_US in hours},
        )
    assert parts.quantities == whole.quantities
    assert bool(parts.quantities) == any(
        getattr(source.get(name), "outcome", None) != getattr(meter.get(name), "outcome", None)
        for name in source.keys() | meter.keys()
    )


def test_another_run_in_the_place_of_one_is_found_though_the_counts_agree() -> None:
    one = tally([Ended("a", Outcome.BILLABLE, 0)])
    other = tally([Ended("b", Outcome.BILLABLE, 0)])
    assert differing_hours(one, other) == [0]


def _world(engine: sa.Engine) -> World:
    world = World(engine)
    world.send(
        [
            event(run_id(1), source="prefect"),
            event(run_id(2), source="prefect", state="FAILED"),
            event(run_id(3)),  # handed in by somebody else, and the same task run
            event("airflow-1", source="airflow"),  # the server need not have it
            event("unnamed"),
        ]
    )
    return world


@pytest.mark.parametrize("most", [1, 1000])
def test_a_month_is_compared_by_run(engine: sa.Engine, most: int) -> None:
    world = _world(engine)
    at = "2026-10-03T02:00:05Z"
    agreed = [row(1, end=at), row(2, end=at, state="FAILED"), row(3, end=at)]
    with prefect_double(agreed) as double, PrefectServer(double.url) as server:

        def compare() -> dict[Way, int]:
            found = compare_month(world.store, [server], "acme", OCTOBER, most=most)
            assert found.runs == len(double.rows)
            return dict(found.disagreement.quantities)

        assert compare() == {}
        double.rows = [*agreed, row(4, end="2026-10-05T00:00:00Z")]
        assert compare() == {Way(Outcome.BILLABLE, None): 1}
        double.rows = agreed[1:]
        assert compare() == {Way(None, Outcome.BILLABLE): 1}
        double.rows = [row(1, end=at, state="CRASHED"), *agreed[1:]]
        assert compare() == {Way(Outcome.CRASHED, Outcome.BILLABLE): 1}
        double.rows = agreed
        world.store.correct("acme", [run_id(1)], Correction(Action.REVERSE, "a dispute", "ann"), NOVEMBER_2)
        assert compare() == {}  # the operator's word is no difference


def test_a_server_is_asked_again_only_for_hours_that_differ(engine: sa.Engine) -> None:
    world = _world(engine)
    rows = [row(number, end=f"2026-10-{number:02d}T05:00:00Z") for number in (11, 12)]
    world.send([event(run_id(11), source="prefect", end="2026-10-11T05:00:00Z")])
    at = "2026-10-03T02:00:05Z"
    rows += [row(1, end=at), row(2, end=at, state="FAILED"), row(3, end=at)]
    with prefect_double(rows) as double, PrefectServer(double.url) as server:
        found = compare_month(world.store, [server], "acme", OCTOBER)
        asked = [each["task_runs"]["end_time"]["after_"] for each in double.asked]
    assert found.disagreement.named == {Way(Outcome.BILLABLE, None): [run_id(12)]}
    assert asked == ["2026-10-01T00:00:00Z", "2026-10-03T02:00:00Z", "2026-10-12T05:00:00Z"]
