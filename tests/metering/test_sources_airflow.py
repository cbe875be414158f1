"""Airflow's task instances, in the shapes in which they come."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pytest

from metering.airflow_files import Lines, instances
from metering.outcome import Outcome
from metering.period import parse_instant
from metering.sources import Admission, UndecodableBody, decode
from metering.sources.airflow import read_airflow
from metering.sources.fields import FieldError

NOW = parse_instant("2026-11-02T00:00:00Z")
ADMISSION = Admission(now=NOW, default_account="acme")
SUCCESS: dict[str, Any] = {
    "dag_id": "etl",
    "task_id": "load",
    "run_id": "scheduled__2026-10-01T00:00:00+00:00",
    "map_index": "-1",
    "start_date": "2026-10-01T00:00:01+00:00",
    "end_date": "2026-10-01T00:00:05.25+00:00",
    "duration": "3.5",
    "state": "success",
}


def read(**changes: Any) -> Any:
    given = {name: value for name, value in (SUCCESS | changes).items() if value is not None}
    return read_airflow(given, ADMISSION)


def test_a_task_instance_is_a_task_run() -> None:
    event = read()
    assert (event.account, event.source) == ("acme", "airflow")
    assert (event.flow, event.task, event.workspace) == ("etl", "load", "")
    assert event.task_run_id == "etl/scheduled__2026-10-01T00:00:00+00:00/load/-1"
    assert event.ended_at == parse_instant("2026-10-01T00:00:05.25Z")
    assert (event.duration_us, event.outcome) == (3_500_000, Outcome.BILLABLE)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"duration": "1.000001"}, Outcome.BILLABLE),
        ({"duration": "1.0000009"}, Outcome.TOO_SHORT),
        ({"duration": None}, Outcome.BILLABLE),
        ({"duration": "", "start_date": "2026-10-01T00:00:04.25+00:00"}, Outcome.TOO_SHORT),
        ({"start_date": None, "duration": None}, Outcome.TOO_SHORT),
        ({"state": "failed"}, Outcome.FAILED),
        ({"state": "upstream_failed"}, Outcome.FAILED),
    ],
)
def test_what_counts(changes: dict[str, Any], outcome: Outcome) -> None:
    assert read(**changes).outcome is outcome


@pytest.mark.parametrize(
    "changes",
    [
        *({"state": state} for state in ("skipped", "removed", "running", "up_for_retry", "", None)),
        {"state": "upstream_failed", "end_date": None},
    ],
)
def test_what_ran_nothing_or_is_not_over_is_ignored(changes: dict[str, Any]) -> None:
    assert read(**changes) is None


def test_another_try_is_the_same_task_run() -> None:
    assert read(try_number="1").task_run_id == read(try_number="2", state="failed").task_run_id


def test_ids_that_could_be_mistaken_or_are_too_long_are_hashed() -> None:
    mapped = [read(map_index=index).task_run_id for index in (None, "", "-1", "0", "7")]
    assert len(set(mapped)) == 3
    a, b = read(dag_id="a/b", task_id="c"), read(dag_id="a", task_id="b/c")
    assert a.task_run_id != b.task_run_id
    parts = ["a/b", SUCCESS["run_id"], "c", "-1"]
    assert a.task_run_id == hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    assert len(read(dag_id="d" * 200).task_run_id) == 64
    assert len(read(task_id="with space").task_run_id) == 64


@pytest.mark.parametrize(
    "text",
    [
        "2026-10-01 00:00:05.25",
        "2026-10-01 00:00:05.25+00",
        "2026-10-01 00:00:05.250000+00:00",
        "2026-10-01T02:00:05.25+0200",
        "2026-09-30T19:00:05.25-05:00",
        "2026-10-01T00:00:05.25Z",
    ],
)
def test_times_as_databases_write_them(text: str) -> None:
    assert read(end_date=text, start_date=None).ended_at == parse_instant("2026-10-01T00:00:05.25Z")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"dag_id": None}, "dag_id"),
        ({"task_id": None}, "task_id"),
        ({"run_id": None}, "run_id"),
        ({"end_date": None}, "end_date"),
        ({"end_date": "yesterday"}, "end_date"),
        ({"end_date": "2026-13-01T00:00:00Z"}, "end_date"),
        ({"end_date": "2027-01-01T00:00:00Z"}, "end_date"),
        ({"start_date": "2026-10-02T00:00:00Z"}, "end_date"),
        ({"duration": "long"}, "duration"),
        ({"map_index": "first"}, "map_index"),
        ({"state": 1}, "state"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        read(**changes)
    assert caught.value.field == field


def events_of(content: bytes) -> Any:
    body = b"".join(instances(io.BytesIO(content)))
    return decode(body, format="airflow", framing="ndjson", admission=ADMISSION)


def test_every_shape_of_file_says_the_same() -> None:
    second = SUCCESS | {"task_id": "check", "state": "failed"}
    both = [SUCCESS | {"duration": 3.5, "map_index": -1}, second]
    header = ",".join(SUCCESS)
    rows = "".join(",".join(each.values()) + "\r\n" for each in (SUCCESS, second))
    answers = [json.dumps({"task_instances": [each], "total_entries": 2}) for each in both]
    shapes = [
        f"{header}\r\n{rows}",
        f"\ufeff{header}\n{rows}",
        json.dumps(both),
        json.dumps(both, indent=2),
        "\n".join(json.dumps(each) for each in both),
        json.dumps({"task_instances": both, "total_entries": 2}, indent=2),
        "\n".join(answers),
    ]
    found = [events_of(shape.encode()) for shape in shapes]
    assert all(each.events == found[0].events and not each.rejected for each in found)
    assert [event.outcome for event in found[0].events] == [Outcome.BILLABLE, Outcome.FAILED]


def test_a_duration_keeps_its_digits() -> None:
    text = json.dumps([SUCCESS]).replace('"3.5"', "1.00000099999999999999999")
    (event,) = events_of(text.encode()).events
    assert event.duration_us == 1_000_000


def test_a_broken_line_costs_no_other_its_place() -> None:
    found = events_of(b"\n".join([json.dumps(SUCCESS).encode(), b"{broken", json.dumps(SUCCESS).encode()]))
    assert (len(found.events), [each.index for each in found.rejected]) == (2, [1])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"a,b,c\n1,2,3\n", "dag_id"),
        (b"[1, 2", "not valid JSON"),
    ],
)
def test_a_file_that_is_none_of_them_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(UndecodableBody, match=says):
        list(instances(io.BytesIO(content)))


def test_lines_are_read_as_a_file() -> None:
    lines = [b"a" * size + b"\n" for size in (0, 1, 5, 70_000)]
    assert io.BufferedReader(Lines(iter(lines)), 1000).read() == b"".join(lines)
