"""The native format: what is taken, what is ignored, and each thing that is rejected, by field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metering.event import TaskRunEvent
from metering.period import DAY_US, SECOND_US, format_instant, parse_instant
from metering.sources import Admission
from tests.metering.wire import ABSENT, NOW, native, one, read, refusal


def test_every_field_arrives() -> None:
    assert one(native()) == TaskRunEvent(
        account="acme",
        task_run_id="0192d3a4-5b6c-7d8e-9f00-112233445566",
        state="COMPLETED",
        started_at=parse_instant("2026-10-03T02:00:00Z"),
        ended_at=parse_instant("2026-10-03T02:00:04.25Z"),
        duration_us=4_250_000,
        workspace="prod",
        flow="nightly-etl",
        flow_run_id="fr-1",
        task="load",
        source="prefect",
    )


@pytest.mark.parametrize("empty", [ABSENT, None, ""])
def test_absent_null_and_empty_labels_are_the_same(empty: Any) -> None:
    names = ("workspace", "flow", "flow_run_id", "task", "source")
    event = one(native(**dict.fromkeys(names, empty)))
    assert [getattr(event, name) for name in names] == [""] * 5


def test_unknown_fields_count_for_nothing_even_twice() -> None:
    text = json.dumps(native(tags=[1, {"account": "other"}])).replace("{", '{"x":NaN,"x":1,', 1)
    assert one(text.encode()) == one(native())


@pytest.mark.parametrize("duration", [ABSENT, None])
def test_without_a_duration_the_instants_give_it(duration: Any) -> None:
    assert one(native(duration=duration)).duration_us == 4_250_000


@pytest.mark.parametrize(
    ("written", "duration_us"),
    [
        ("1", 1_000_000),
        ("0", 0),
        ("-0.0", 0),
        ("1.000000", 1_000_000),
        ("1.0000009999999999999999", 1_000_000),
        ("1.000001", 1_000_001),
        ("0.9999999999999999999999999999", 999_999),
        ("4.25e0", 4_250_000),
        ("1e-6", 1),
        ("9.99e-7", 0),
        ("0.0000123E+3", 12_300),
        ("1e-999999999999999999999", 0),
        ("0e999999999999999999999", 0),
        ("1e" + "0" * 50_000 + "1", 10_000_000),
        ("999999999999.999999", 999_999_999_999_999_999),
    ],
)
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_duration_is_read_exactly_and_cut(written: str, duration_us: int, quote: str) -> None:
    text = json.dumps(native(duration="HERE")).replace('"HERE"', f"{quote}{written}{quote}")
    assert one(text.encode()).duration_us == duration_us


def test_an_instant_is_cut_not_rounded() -> None:
    event = one(native(ended_at="2026-10-03T02:00:01.0000009Z", duration=None))
    assert event.duration_us == SECOND_US


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "SCHEDULED", "completed", "COMPLETED ", "", "Übrig"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"account": ABSENT, "ended_at": ABSENT}, {"ended_at": 5, "duration": {}, "task_run_id": ["\x00"]}],
)
def test_a_state_that_is_not_final_is_ignored_whatever_else_the_event_holds(
    state: str, changes: dict[str, Any]
) -> None:
    decoded = read(native(state=state, **changes))
    assert (decoded.received, decoded.ignored, decoded.events, decoded.rejected) == (1, 1, [], [])


# An escape keeps the fast path away, so that a limit is tested on both.
PATHS = ["fast", "\\careful"]
LONG = "x" * 201
MISSING = "is missing"
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"state": ABSENT}, "state", MISSING),
    ({"state": None}, "state", MISSING),
    ({"state": 3}, "state", "must be text, not a number"),
    ({"state": {"type": "COMPLETED"}}, "state", "must be text, not an object"),
    ({"account": ABSENT}, "account", MISSING),
    ({"account": None}, "account", MISSING),
    ({"account": ""}, "account", "1 to 64"),
    ({"account": "a b"}, "account", "1 to 64"),
    ({"account": "ä"}, "account", "1 to 64"),
    ({"account": "acme\n"}, "account", "1 to 64"),
    ({"account": "a" * 65}, "account", "1 to 64"),
    ({"account": 10**5000}, "account", "must be text, not a number"),
    ({"account": True}, "account", "must be text, not true or false"),
    ({"account": ["acme"]}, "account", "must be text, not an array"),
    ({"account": "ac\x00me"}, "account", "NUL"),
    ({"task_run_id": ABSENT}, "task_run_id", MISSING),
    ({"task_run_id": ""}, "task_run_id", "empty"),
    ({"task_run_id": "a b"}, "task_run_id", "no spaces"),
    ({"task_run_id": "a\u00a0b"}, "task_run_id", "no spaces"),
    ({"task_run_id": "a\nb"}, "task_run_id", "printable"),
    ({"task_run_id": "a\x00"}, "task_run_id", "NUL"),
    ({"task_run_id": "a" * 129}, "task_run_id", "SHA-256 in hex"),
    ({"task_run_id": 10**400}, "task_run_id", "must be text, not a number"),
    ({"task_run_id": "\ud800"}, "task_run_id", "UTF-8"),
    ({"started_at": ABSENT}, "started_at", MISSING),
    ({"started_at": "2026-10-03T02:00:00"}, "started_at", "has no offset; end it with Z"),
    ({"started_at": "yesterday"}, "started_at", "RFC 3339"),
    ({"started_at": 1790992800}, "started_at", "must be text, not a number"),
    ({"started_at": "0001-01-01T00:00:00+14:00"}, "started_at", "before the year 1"),
    ({"ended_at": ABSENT}, "ended_at", MISSING),
    ({"ended_at": None}, "ended_at", MISSING),
    ({"ended_at": "2026-10-03T02:00:04.25"}, "ended_at", "has no offset; end it with Z"),
    ({"ended_at": "2026-02-30T00:00:00Z"}, "ended_at", "not a real instant"),
    ({"ended_at": "2026-10-03T02:00:60Z"}, "ended_at", "not a real instant"),
    ({"ended_at": "2026-10-03T02:00:04+99:00"}, "ended_at", "not a real instant"),
    ({"ended_at": "20261003T020004Z"}, "ended_at", "RFC 3339"),
    ({"ended_at": "٢٠٢٦-10-03T02:00:04Z"}, "ended_at", "RFC 3339"),
    ({"ended_at": "2026-10-03T02:00:04Z\x00"}, "ended_at", "NUL"),
    ({"ended_at": "0000-01-01T00:00:00Z"}, "ended_at", "not a real instant"),
    ({"ended_at": "0001-01-01T00:00:00+23:59"}, "ended_at", "before the year 2000"),
    ({"ended_at": "1999-12-31T23:59:59.999999Z"}, "ended_at", "before the year 2000"),
    ({"ended_at": "9999-12-31T23:59:59.999999-23:59"}, "ended_at", "in the future"),
    ({"ended_at": "2026-10-03T01:59:59.999999Z"}, "ended_at", "before started_at"),
    ({"duration": "-1"}, "duration", "negative"),
    ({"duration": -0.0000001}, "duration", "negative"),
    ({"duration": float("nan")}, "duration", "not a decimal number"),
    ({"duration": float("-inf")}, "duration", "not a decimal number"),
    ({"duration": "NaN"}, "duration", "not a decimal number"),
    ({"duration": "Infinity"}, "duration", "not a decimal number"),
    ({"duration": 10**12}, "duration", "too large"),
    ({"duration": "1e12"}, "duration", "too large"),
    ({"duration": 10**6000}, "duration", "too large"),
    ({"duration": "1e999999999"}, "duration", "too large"),
    ({"duration": "1e" + "9" * 50_000}, "duration", "too large"),
    ({"duration": "1e" + "0" * 500_000 + "x"}, "duration", "not a decimal number"),
    ({"duration": True}, "duration", "not true or false"),
    ({"duration": [1]}, "duration", "not an array"),
    ({"duration": ""}, "duration", "not a decimal number"),
    ({"duration": " 1"}, "duration", "not a decimal number"),
    ({"duration": "1_0"}, "duration", "not a decimal number"),
    ({"duration": "01.5"}, "duration", "not a decimal number"),
    ({"duration": "1."}, "duration", "not a decimal number"),
    ({"duration": "٤.٢"}, "duration", "not a decimal number"),
    ({"duration": "PT4S"}, "duration", "not a decimal number"),
]
BAD += [
    ({name: LONG}, name, "longer than 200") for name in ("workspace", "flow", "flow_run_id", "task", "source")
]
BAD += [({name: "a\x00b"}, name, "NUL") for name in ("workspace", "flow", "flow_run_id", "task", "source")]
BAD += [({name: "\udc80"}, name, "UTF-8") for name in ("workspace", "flow", "flow_run_id", "task", "source")]
BAD += [({name: 7}, name, "must be text") for name in ("workspace", "flow", "flow_run_id", "task", "source")]


@pytest.mark.parametrize(("changes", "field", "message"), BAD)
def test_what_is_wrong_is_named_and_costs_no_other_event(
    changes: dict[str, Any], field: str, message: str
) -> None:
    fine = [native(task_run_id=f"run-{number}") for number in range(3)]
    lines = [_dumps(event) for event in [*fine[:2], native(**changes), fine[2]]]
    decoded = read(f"[{','.join(lines)}]".encode())
    assert decoded.received == 4
    assert [event.task_run_id for event in decoded.events] == ["run-0", "run-1", "run-2"]
    assert [(rejection.index, rejection.field) for rejection in decoded.rejected] == [(2, field)]
    assert message in decoded.rejected[0].message
    assert decoded.rejected[0].message.startswith(field)
    assert len(decoded.rejected[0].message) < 200
    assert read("\n".join(lines).encode(), framing="ndjson") == decoded


def _dumps(event: dict[str, Any]) -> str:
    """JSON, with integers that Python itself refuses to write for their length."""
    plain = {name: value for name, value in event.items() if not _is_huge(value)}
    huge = {
        name: "1" + "0" * (value.bit_length() * 3 // 10) for name, value in event.items() if _is_huge(value)
    }
    text = json.dumps(plain)
    return text[:-1] + "".join(f',"{name}":{digits}' for name, digits in huge.items()) + "}"


def _is_huge(value: Any) -> bool:
    return isinstance(value, int) and value.bit_length() > 10_000


@pytest.mark.parametrize(
    "name", ["account", "task_run_id", "state", "started_at", "ended_at", "duration", "flow", "source"]
)
def test_a_field_given_twice_is_rejected_also_where_an_escape_hides_it(name: str) -> None:
    event = native()
    plain = json.dumps(event)
    hidden = "".join(f"\\u{ord(letter):04x}" for letter in name)
    for again in (name, hidden):
        twice = f'{plain[:-1]},"{again}":{json.dumps(event[name])}}}'.encode()
        assert refusal(twice) == (name, f"{name} is given more than once; give it once")


def test_an_escape_in_a_name_is_the_same_name() -> None:
    assert one(json.dumps(native()).replace('"account"', '"acco\\u0075nt"').encode()) == one(native())


@pytest.mark.parametrize(
    ("after_us", "taken"), [(0, True), (300 * SECOND_US, True), (300 * SECOND_US + 1, False)]
)
@pytest.mark.parametrize("flow", PATHS)
def test_five_minutes_in_the_future_is_the_limit(after_us: int, taken: bool, flow: str) -> None:
    decoded = read(native(ended_at=format_instant(NOW + after_us), flow=flow))
    assert bool(decoded.events) is taken


@pytest.mark.parametrize("flow", PATHS)
def test_the_first_instant_of_2000_is_taken(flow: str) -> None:
    assert one(native(started_at="1999-12-31T23:00:00Z", ended_at="2000-01-01T00:00:00Z", flow=flow))


@pytest.mark.parametrize("flow", PATHS)
def test_a_run_may_start_and_end_in_one_instant(flow: str) -> None:
    event = one(native(started_at="2026-10-03T02:00:00Z", ended_at="2026-10-03T04:00:00+02:00", flow=flow))
    assert event.started_at == event.ended_at


@pytest.mark.parametrize(("before_us", "taken"), [(62 * DAY_US, True), (62 * DAY_US + 1, False)])
@pytest.mark.parametrize("flow", PATHS)
def test_an_ingest_key_may_be_so_late_and_no_later(before_us: int, taken: bool, flow: str) -> None:
    late = native(started_at="2026-01-01T00:00:00Z", ended_at=format_instant(NOW - before_us), flow=flow)
    assert one(late)
    decoded = read(late, admission=Admission(now=NOW, late_us=62 * DAY_US))
    assert bool(decoded.events) is taken
    if not taken:
        assert decoded.rejected[0].field == "ended_at"
        assert "more than 62 days ago" in decoded.rejected[0].message


def test_a_bound_key_writes_its_account_only() -> None:
    bound = Admission(now=NOW, only_account="acme")
    assert one(native(), admission=bound).account == "acme"
    assert refusal(native(account="other"), admission=bound) == (
        "account",
        "account: this key may write events of acme only",
    )
    assert refusal(native(account=None), admission=bound)[0] == "account"


def test_the_default_account_is_for_events_that_name_none() -> None:
    admission = Admission(now=NOW, default_account="acme")
    assert one(native(account=ABSENT), admission=admission).account == "acme"
    assert one(native(account=None), admission=admission).account == "acme"
    assert one(native(account="other"), admission=admission).account == "other"


@pytest.mark.parametrize("account", ["", "a b", "x" * 65, "ä"])
def test_an_admission_knows_what_an_account_is(account: str) -> None:
    with pytest.raises(ValueError, match="an account is 1 to 64"):
        Admission(now=NOW, default_account=account)


def test_the_longest_fields_and_unicode_are_taken() -> None:
    event = one(native(account="a" * 64, task_run_id="ü" * 128, flow="日" * 200, task='a "quoted"\nname \\'))
    assert (len(event.account), len(event.task_run_id), event.flow) == (64, 128, "日" * 200)
    assert event.task == 'a "quoted"\nname \\'
