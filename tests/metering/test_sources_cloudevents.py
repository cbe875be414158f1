"""CloudEvents 1.0, structured and batch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metering.sources import FINISHED_TYPE, Admission, decode
from tests.metering.wire import ABSENT, ADMISSION, NOW, native, one, read, refusal


def cloud(data: Any = None, **changes: Any) -> dict[str, Any]:
    envelope = {
        "specversion": "1.0",
        "id": "ce-1",
        "source": "https://prefect.example/api",
        "type": FINISHED_TYPE,
        "subject": "acme",
        "time": "2026-10-03T02:00:05Z",
        "datacontenttype": "application/json",
        "data": native(account=ABSENT) if data is None else data,
    } | changes
    return {name: value for name, value in envelope.items() if value is not ABSENT}


def test_structured_and_batch_give_the_native_event() -> None:
    assert one(cloud(), "cloudevents") == one(native())
    assert read([cloud(), cloud()], "cloudevents").events == [one(native())] * 2


def test_the_subject_is_the_account_and_an_account_in_the_data_counts_for_nothing() -> None:
    assert one(cloud(native(account="other")), "cloudevents").account == "acme"
    assert one(cloud(native(account=["\x00"])), "cloudevents").account == "acme"


def test_the_default_account_stands_in_for_a_subject() -> None:
    admission = Admission(now=NOW, default_account="from-the-key")
    assert one(cloud(subject=ABSENT), "cloudevents", admission).account == "from-the-key"
    assert one(cloud(), "cloudevents", admission).account == "acme"


def test_other_types_and_states_that_are_not_final_are_ignored() -> None:
    bare = {"type": "com.example.other"}
    running = cloud({"state": "RUNNING"}, id=ABSENT)
    decoded = read([bare, cloud(type="com.prefect.task-run.started"), running], "cloudevents")
    assert (decoded.received, decoded.ignored, decoded.rejected) == (3, 3, [])


def test_the_types_are_settable() -> None:
    body = json.dumps([cloud(type="mine"), cloud()]).encode()
    decoded = decode(
        body,
        format="cloudevents",
        framing="json",
        admission=ADMISSION,
        cloudevent_types=frozenset({"mine"}),
    )
    assert (len(decoded.events), decoded.ignored) == (1, 1)


@pytest.mark.parametrize(
    ("event", "field", "message"),
    [
        (cloud(specversion=ABSENT), "specversion", "is missing"),
        (cloud(specversion="0.3"), "specversion", '"1.0"'),
        (cloud(specversion=1.0), "specversion", "must be text"),
        (cloud(id=ABSENT), "id", "is missing"),
        (cloud(id=""), "id", "is empty"),
        (cloud(id=7), "id", "must be text"),
        (cloud(source=ABSENT), "source", "is missing"),
        (cloud(type=ABSENT), "type", "is missing"),
        (cloud(type=1), "type", "must be text"),
        (cloud(subject=ABSENT), "subject", "is missing"),
        (cloud(subject=None), "subject", "is missing"),
        (cloud(subject="a b"), "subject", "1 to 64"),
        (cloud(data=ABSENT), "data", "is missing"),
        (cloud(data="{}"), "data", "must be an object, not text"),
        (cloud(data=[native()]), "data", "must be an object, not an array"),
        (cloud(data=ABSENT, data_base64="e30="), "data", "is missing"),
        (cloud({}), "state", "is missing"),
        (cloud(native(ended_at="2026-10-03T02:00:04")), "ended_at", "has no offset"),
        (cloud(native(duration=-1)), "duration", "negative"),
    ],
)
def test_what_is_wrong_is_named(event: dict[str, Any], field: str, message: str) -> None:
    assert refusal(event, "cloudevents")[0] == field
    assert message in refusal(event, "cloudevents")[1]
    assert len(read([cloud(), event, cloud()], "cloudevents").events) == 2


@pytest.mark.parametrize("name", ["id", "type", "subject", "data", "specversion"])
def test_an_attribute_given_twice_is_rejected(name: str) -> None:
    text = json.dumps(cloud())
    twice = f'{text[:-1]},"{name}":{json.dumps(cloud()[name])}}}'.encode()
    assert refusal(twice, "cloudevents")[0] == name


def test_a_bound_key_writes_its_account_only() -> None:
    bound = Admission(now=NOW, only_account="acme")
    assert one(cloud(), "cloudevents", bound).account == "acme"
    assert refusal(cloud(subject="other"), "cloudevents", bound)[0] == "subject"
