"""OpenLineage's run events: what each says, and what the two halves of a run come to. The sample is of the
real library (scripts/sample_openlineage.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metering.event import TaskRunEvent
from metering.pairing.half import STARTED, Half, pair
from metering.period import SECOND_US, parse_instant
from metering.sources import Admission, UndecodableBody, decode, detect
from metering.sources.fields import FieldError
from metering.sources.openlineage import read_openlineage
from tests.metering.wire import ABSENT, read

SAMPLE = Path(__file__).parent / "samples" / "openlineage.ndjson"
NOW = parse_instant("2026-10-03T12:00:00Z")
ADMISSION = Admission(now=NOW, default_account="acme")
RUN = "01999999-0000-7000-8000-000000000001"


def lineage(event_type: str | None = "COMPLETE", at: object = "2026-10-03T02:00:04.25Z", **job: Any) -> Any:
    return {
        "eventType": event_type,
        "eventTime": at,
        "run": {"runId": RUN},
        "job": {"namespace": "prod", "name": "etl.load"} | job,
        "producer": "https://example.com",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }


@pytest.mark.parametrize(
    ("event_type", "state"),
    [("START", STARTED), ("COMPLETE", "COMPLETED"), ("FAIL", "FAILED"), ("ABORT", "CANCELLED")],
)
def test_each_type_is_half_a_statement(event_type: str, state: str) -> None:
    half = read_openlineage(lineage(event_type), ADMISSION)
    at = parse_instant("2026-10-03T02:00:04.25Z")
    assert half == Half("acme", RUN, state, at, "prod", "etl.load", "", "openlineage")


@pytest.mark.parametrize("event_type", ["RUNNING", "OTHER", None, "SOMETHING_NEW"])
def test_what_neither_starts_nor_ends_a_run_says_nothing(event_type: str | None) -> None:
    assert read_openlineage(lineage(event_type), ADMISSION) is None


@pytest.mark.parametrize(
    ("integration", "kind", "is_task"),
    [
        ("AIRFLOW", "DAG", False),
        ("airflow", "dag", False),
        ("SPARK", "APPLICATION", False),
        ("DBT", "JOB", False),
        ("AIRFLOW", "TASK", True),
        ("DBT", "MODEL", True),
        ("FLINK", "JOB", True),
    ],
)
def test_a_run_that_holds_others_is_no_task_run(integration: str, kind: str, is_task: bool) -> None:
    facets = {"jobType": {"integration": integration, "jobType": kind, "processingType": "BATCH"}}
    assert (read_openlineage(lineage(facets=facets), ADMISSION) is not None) == is_task


@pytest.mark.parametrize(
    ("event", "field", "says"),
    [
        (lineage(at=None), "eventTime", "eventTime is missing"),
        (lineage(at="2026-10-03T02:00:04"), "eventTime", "offset"),
        (lineage(at="2026-10-03T13:00:00Z"), "eventTime", "5 minutes in the future"),
        (lineage() | {"run": None}, "run", "run is missing"),
        (lineage() | {"run": {"runId": "a b"}}, "runId", "no spaces"),
        (lineage() | {"run": {"runId": RUN, "facets": []}}, "facets", "must be an object, not an array"),
        (lineage(name=None), "name", "name is missing"),
        (lineage(namespace=7), "namespace", "must be text"),
        (lineage() | {"eventType": 7}, "eventType", "must be text"),
    ],
)
def test_what_cannot_be_read_is_named(event: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(FieldError, match=says) as refused:
        read_openlineage(event, ADMISSION)
    assert refused.value.field == field
    assert ABSENT not in event.values()


def test_the_account_is_never_in_the_event() -> None:
    with pytest.raises(UndecodableBody, match="OpenLineage's events carry no account; name the account"):
        read(lineage(), "openlineage", admission=Admission(NOW))
    late = Admission(NOW, default_account="acme", late_us=SECOND_US)
    (rejected,) = read(lineage(), "openlineage", admission=late).rejected
    assert rejected.field == "eventTime" and "too late for an ingest key" in rejected.message


def test_events_of_the_real_library() -> None:
    body = SAMPLE.read_bytes()
    assert detect(body) == ("openlineage", "ndjson")
    decoded = decode(body, format="auto", framing="ndjson", admission=ADMISSION)
    assert (decoded.received, len(decoded.halves), decoded.rejected) == (21, 11, [])
    assert decoded.ignored == 10  # a DAG's three, six of RUNNING, one of a job
    by_run: dict[str, list[Half]] = {}
    for half in decoded.halves:
        by_run.setdefault(half.task_run_id, []).append(half)
    found = {
        event.flow: (event.outcome.reason, event.duration_us)
        for halves in by_run.values()
        for event in pair(halves).events
    }
    assert found == {
        "nightly_etl.extract": ("billable", 4_250_000),
        "nightly_etl.check": ("too_short", 1_000_000),
        "nightly_etl.load": ("failed", 0),
        "nightly_etl.report": ("cancelled", 0),
        "plain_script": ("billable", 2_000_001),
    }
    extract = next(half for half in decoded.halves if half.flow == "nightly_etl.extract")
    assert extract.flow_run_id == "01999999-0000-7000-8000-000000000000"


def half(state: str, second: float) -> Half:
    return Half("acme", RUN, state, NOW + int(second * SECOND_US), flow="f" if state != STARTED else "")


def spans(events: list[TaskRunEvent]) -> set[tuple[float, float]]:
    """Start and end of each, in seconds."""
    return {((each.started_at - NOW) / SECOND_US, (each.ended_at - NOW) / SECOND_US) for each in events}


def test_a_start_and_an_end_make_a_run() -> None:
    start, end = half(STARTED, 0), half("COMPLETED", 3)
    for halves in ([start, end], [end, start]):
        found = pair(halves)
        (event,) = found.events
        assert (event.duration_us, event.outcome.reason, event.flow) == (3 * SECOND_US, "billable", "f")
        assert set(found.settled) == {start, end}


def test_one_half_waits() -> None:
    assert pair([half(STARTED, 0)]) == ([], [])
    assert pair([half("COMPLETED", 0)]) == ([], [])
    # A clock that was set back: this start is of no end that is held.
    assert pair([half("COMPLETED", 0), half(STARTED, 1)]) == ([], [])


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_what_did_not_complete_needs_no_start(state: str) -> None:
    """It is not billed however long it took; with a start or without, it says the same."""
    end = half(state, 3)
    alone, both = pair([end]), pair([half(STARTED, 0), end])
    assert alone.events == both.events and spans(alone.events) == {(3, 3)}
    assert len(both.settled) == 2


def test_of_several_starts_those_that_can_decide() -> None:
    """The latest, and the latest by which the run is longer than a second."""
    starts = [half(STARTED, at) for at in (0, 1, 8.5, 9, 9.5)]
    assert spans(pair([*starts, half("COMPLETED", 10)]).events) == {(9.5, 10), (8.5, 10)}
    assert spans(pair([*starts[:3], half("COMPLETED", 10)]).events) == {(8.5, 10)}
    # Exactly a second is not billed.
    assert spans(pair([half(STARTED, 9), half("COMPLETED", 10)]).events) == {(9, 10)}


def test_a_start_costs_few_events_however_often_it_is_stated() -> None:
    halves = [half(STARTED, number / 100) for number in range(1000)]
    halves += [half("COMPLETED", 20 + number) for number in range(100)]
    assert len(pair(halves).events) <= 200
