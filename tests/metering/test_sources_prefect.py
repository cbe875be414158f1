"""Prefect's events: a real capture against its known truth, and the cases that decide a bill."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from metering.outcome import Outcome, winner
from metering.period import parse_instant
from metering.sources import Admission, Decoded, UndecodableBody, decode, detect
from tests.metering.wire import NOW, one, read, refusal

ROOT = Path(__file__).parents[2]
CAPTURE = (ROOT / "metering/sources/samples/prefect-events.ndjson").read_bytes()
TRUTH = json.loads((ROOT / "tests/data/prefect-truth.json").read_text())
AFTER = Admission(now=parse_instant("2026-11-23T00:00:00Z"), default_account="acme")
ACME = Admission(now=NOW, default_account="acme")
RUN = "01a203a8-7b4a-73d6-898c-6083cab2001b"


def captured() -> Decoded:
    return decode(CAPTURE, format="prefect", framing="ndjson", admission=AFTER)


def test_every_event_of_the_capture_is_counted_once() -> None:
    decoded = captured()
    assert decoded.received == TRUTH["events"]
    assert decoded.ignored == TRUTH["not_final_or_not_task_run"]
    assert decoded.rejected == []
    assert len(decoded.events) == decoded.received - decoded.ignored


def test_every_task_run_of_the_capture_has_its_true_outcome_and_duration() -> None:
    statements = defaultdict(list)
    for event in captured().events:
        statements[event.task_run_id].append(event.statement)
    held = {run: winner(said) for run, said in statements.items()}
    assert {
        run: {"outcome": statement.outcome.reason, "duration_us": statement.duration_us}
        for run, statement in held.items()
    } == TRUTH["task_runs"]
    assert len(held) == TRUTH["task_runs_with_a_final_event"]
    assert Counter(statement.outcome.reason for statement in held.values()) == TRUTH["outcomes"]
    billable = Counter(statement.flow for statement in held.values() if statement.outcome is Outcome.BILLABLE)
    assert billable == TRUTH["billable_by_flow"]


def test_the_capture_is_recognized() -> None:
    assert detect(CAPTURE) == ("prefect", "ndjson")
    assert decode(CAPTURE, format="auto", framing="ndjson", admission=AFTER) == captured()


def test_a_json_array_gives_the_same() -> None:
    array = b"[" + b",".join(CAPTURE.splitlines()) + b"]"
    assert decode(array, format="prefect", framing="json", admission=AFTER) == captured()


def prefect(
    state: str = "COMPLETED", name: str = "Completed", event: dict[str, Any] | None = None, **task_run: Any
) -> dict[str, Any]:
    """A final event in the shape of the capture's."""
    times = {
        "name": "load-3a0",
        "start_time": "2026-10-03T02:00:00.000001Z",
        "end_time": "2026-10-03T02:00:04.250001Z",
        "total_run_time": 4.25,
    }
    return {
        "occurred": "2026-10-03T02:00:09Z",
        "event": f"prefect.task-run.{name}",
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{RUN}",
            "prefect.state-name": name,
            "prefect.state-type": state,
            "prefect.state-timestamp": "2026-10-03T02:00:08+00:00",
        },
        "related": [
            {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.x"},
            {"prefect.resource.role": "flow-run", "prefect.resource.id": "prefect.flow-run.fr-1"},
            {"prefect.resource.role": "flow", "prefect.resource.id": "f", "prefect.resource.name": "etl"},
        ],
        "payload": {"task_run": {**times, **task_run}},
    } | (event or {})


def test_every_field_arrives() -> None:
    event = one(prefect(), "prefect", ACME)
    assert (event.account, event.task_run_id, event.state) == ("acme", RUN, "COMPLETED")
    assert event.ended_at - event.started_at == event.duration_us == 4_250_000
    assert (event.workspace, event.flow, event.flow_run_id) == ("", "etl", "fr-1")
    assert (event.task, event.source) == ("load-3a0", "prefect")


@pytest.mark.parametrize(
    ("state", "name", "ours"),
    [
        ("COMPLETED", "Completed", "COMPLETED"),
        ("COMPLETED", "Cached", "CACHED"),
        ("COMPLETED", "RolledBack", "ROLLED_BACK"),
        ("COMPLETED", "Skipped", "COMPLETED"),
        ("COMPLETED", "Failed", "COMPLETED"),
        ("COMPLETED", "cached", "COMPLETED"),
        ("COMPLETED", "Terminé à moitié", "COMPLETED"),
        ("FAILED", "Failed", "FAILED"),
        ("FAILED", "TimedOut", "FAILED"),
        ("FAILED", "Completed", "FAILED"),
        ("FAILED", "Cached", "FAILED"),
        ("CRASHED", "RolledBack", "CRASHED"),
        ("CANCELLED", "Cancelled", "CANCELLED"),
    ],
)
def test_the_type_decides_and_two_names_of_completions(state: str, name: str, ours: str) -> None:
    assert one(prefect(state, name), "prefect", ACME).state == ours


def test_where_the_state_name_is_absent_the_event_name_has_it() -> None:
    event = prefect(name="Cached")
    del event["resource"]["prefect.state-name"]
    assert one(event, "prefect", ACME).state == "CACHED"


@pytest.mark.parametrize(
    "event",
    [
        {"event": "prefect.flow-run.Completed"},
        {"event": "prefect.task-runner.Completed", "resource": 7},
        prefect("RUNNING", "Running"),
        prefect("RUNNING", "Completed", {"payload": None}),
        prefect("SCHEDULED", "AwaitingRetry"),
        prefect("CANCELLING", "Cancelling"),
        prefect("PAUSED", "Paused"),
        prefect(event={"event": "prefect.task-run.heartbeat", "resource": {}}),
    ],
)
def test_events_that_end_no_task_run_are_ignored(event: dict[str, Any]) -> None:
    decoded = read(event, "prefect", admission=ACME)
    assert (decoded.received, decoded.ignored, decoded.rejected) == (1, 1, [])


def test_the_server_s_own_figure_is_the_duration_also_after_retries() -> None:
    event = prefect(start_time="2026-10-03T01:00:00Z", total_run_time=1.0000009)
    assert one(event, "prefect", ACME).duration_us == 1_000_000


@pytest.mark.parametrize("state", ["FAILED", "CRASHED", "CANCELLED", "COMPLETED"])
def test_a_run_that_never_started_started_when_it_ended(state: str) -> None:
    event = one(prefect(state, start_time=None, total_run_time=None), "prefect", ACME)
    assert event.started_at == event.ended_at == parse_instant("2026-10-03T02:00:04.250001Z")
    assert event.duration_us == 0


def test_without_a_figure_the_times_give_the_duration() -> None:
    assert one(prefect(total_run_time=None), "prefect", ACME).duration_us == 4_250_000


def test_without_an_end_the_state_s_time_stands_in_then_the_event_s() -> None:
    event = prefect(end_time=None)
    assert one(event, "prefect", ACME).ended_at == parse_instant("2026-10-03T02:00:08Z")
    del event["resource"]["prefect.state-timestamp"]
    assert one(event, "prefect", ACME).ended_at == parse_instant("2026-10-03T02:00:09Z")
    del event["occurred"]
    assert refusal(event, "prefect", ACME)[0] == "end_time"


@pytest.mark.parametrize("related", [None, [], [{"prefect.resource.role": "deployment"}]])
def test_a_task_outside_any_flow_has_none(related: Any) -> None:
    event = one(prefect(event={"related": related}), "prefect", ACME)
    assert (event.flow, event.flow_run_id) == ("", "")


def test_a_name_too_long_for_a_label_is_cut() -> None:
    event = prefect()
    event["payload"]["task_run"]["name"] = "n" * 500
    assert one(event, "prefect", ACME).task == "n" * 200


RESOURCE = prefect()["resource"]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({}, "event"),
        (prefect(event={"event": 5}), "event"),
        (prefect(event={"resource": None}), "resource"),
        (prefect(event={"resource": []}), "resource"),
        (prefect(event={"resource": RESOURCE | {"prefect.state-type": 1}}), "prefect.state-type"),
        (prefect(event={"resource": RESOURCE | {"prefect.state-type": None}}), "prefect.state-type"),
        (prefect(event={"resource": RESOURCE | {"prefect.state-name": 1}}), "prefect.state-name"),
        (prefect(event={"resource": RESOURCE | {"prefect.resource.id": None}}), "prefect.resource.id"),
        (prefect(event={"resource": RESOURCE | {"prefect.resource.id": "x"}}), "prefect.resource.id"),
        (
            prefect(event={"resource": RESOURCE | {"prefect.resource.id": "prefect.task-run."}}),
            "prefect.resource.id",
        ),
        (prefect(event={"payload": None}), "payload"),
        (prefect(event={"payload": {}}), "task_run"),
        (prefect(event={"related": {}}), "related"),
        (prefect(event={"related": ["flow"]}), "related"),
        (prefect(start_time="2026-10-03T02:00:00"), "start_time"),
        (prefect(end_time="2026-10-03T02:00:00"), "end_time"),
        (prefect(end_time="2026-10-03T01:00:00Z"), "end_time"),
        (prefect(end_time="9999-01-01T00:00:00Z"), "end_time"),
        (prefect(total_run_time=-1), "total_run_time"),
        (prefect(total_run_time=True), "total_run_time"),
        (prefect(total_run_time=float("inf")), "total_run_time"),
    ],
)
def test_what_is_wrong_is_named(event: dict[str, Any], field: str) -> None:
    assert refusal(event, "prefect", ACME)[0] == field
    assert len(read([prefect(), event, prefect()], "prefect", admission=ACME).events) == 2


def test_a_field_given_twice_is_rejected() -> None:
    text = json.dumps(prefect()).replace('"total_run_time"', '"total_run_time": 0, "total_run_time"')
    assert refusal(text.encode(), "prefect", ACME)[0] == "total_run_time"


def test_the_account_is_never_the_payload_s() -> None:
    event = prefect() | {"account": "forged"}
    assert one(event, "prefect", Admission(now=NOW, only_account="mine")).account == "mine"
    both = Admission(now=NOW, only_account="mine", default_account="other")
    assert refusal(event, "prefect", both)[0] == "account"
    with pytest.raises(UndecodableBody, match="name the account"):
        read(event, "prefect", admission=Admission(now=NOW))
