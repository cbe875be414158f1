"""What holds for any body: the two paths of the native format agree, pieces give what the whole gives, every
event is counted once, and numbers are exact."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metering.period import DAY_US
from metering.sources import Admission, BodyTooLarge, Decoded, Format, Framing, UndecodableBody, decode
from metering.sources.decoding import read_with_care
from metering.sources.duration import parse_duration
from metering.sources.task_run import read_task_run
from metering.sources.task_run_batch import read_batch
from metering.sources.task_run_pieces import read_pieces
from tests.metering.test_sources_cloudevents import cloud
from tests.metering.test_sources_prefect import prefect
from tests.metering.wire import ABSENT, NOW, native

slow = settings(deadline=None)

TEXTS = [
    "",
    "a",
    "acme",
    "other",
    "run-1",
    '"',
    "\\",
    "ü",
    "日",
    "\x00",
    "\ud800",
    "x" * 129,
    "x" * 201,
    "state",
]
INSTANTS = [
    "2026-10-03T02:00:00Z",
    "2026-10-03T02:00:04.25Z",
    "2026-10-03t02:00:05.1234567z",
    "2026-10-03T04:00:05+02:00",
    "2026-10-03T02:00:00",
    "2026-10-03T12:05:00Z",
    "2026-10-03T12:05:00.000001Z",
    "2026-08-02T12:00:00Z",
    "2026-08-02T11:59:59.999999Z",
    "2000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "2026-06-01T00:00:00Z",
    "1999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59Z",
    "soon",
]
DURATIONS = [
    "0",
    "1",
    "4.25",
    "-1",
    "01",
    "1e3",
    "1E-9",
    "1e999999999",
    "999999999999.9999999",
    "1000000000000",
]
STATES = ["COMPLETED", "CACHED", "FAILED", "CRASHED", "CANCELLED", "ROLLED_BACK", "RUNNING", "", "completed"]
JUNK = ["null", "true", "5", "1e400", "NaN", "[]", '{"account":"a","account":"b"}', '[["x"]]', '"\\u0041"']
NAMES = {
    "account": ["acme", *TEXTS],
    "task_run_id": ["run-1", "run 2", *TEXTS],
    "state": STATES,
    "started_at": INSTANTS,
    "ended_at": INSTANTS,
    "workspace": TEXTS,
    "flow": TEXTS,
    "flow_run_id": TEXTS,
    "task": TEXTS,
    "source": TEXTS,
    "unknown": TEXTS,
}
ADMISSIONS = [
    Admission(now=NOW),
    Admission(now=NOW, only_account="acme"),
    Admission(now=NOW, default_account="acme"),
    Admission(now=NOW, default_account="acme", only_account="acme", late_us=62 * DAY_US),
]
admissions = st.sampled_from(ADMISSIONS)
framings: st.SearchStrategy[Framing] = st.sampled_from(["json", "ndjson"])


@st.composite
def field_texts(draw: st.DrawFn) -> tuple[str, str]:
    """A name and a value of the native format, as JSON text, more often odd than a sender's would be."""
    name = draw(st.sampled_from([*NAMES, "duration"]))
    if draw(st.integers(0, 9)) == 0:
        value = draw(st.sampled_from(JUNK))
    elif name == "duration":
        value = draw(st.sampled_from(DURATIONS))
        value = f'"{value}"' if value == "01" or draw(st.booleans()) else value
    else:
        value = json.dumps(draw(st.sampled_from(NAMES[name])), ensure_ascii=draw(st.booleans()))
    written = json.dumps(name) if draw(st.integers(0, 19)) else f'"\\u{ord(name[0]):04x}{name[1:]}"'
    return written, value


@st.composite
def event_texts(draw: st.DrawFn) -> bytes:
    """A valid event with a few of its fields changed, left out, repeated or reordered."""
    fields = [(json.dumps(name), json.dumps(value)) for name, value in native().items()]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 4]))):
        place = draw(st.integers(0, len(fields)))
        replaced = draw(st.integers(0, 1))  # or else added, perhaps a second time
        fields[place : place + replaced] = [draw(field_texts())]
    for _ in range(draw(st.integers(0, 1))):
        fields.pop(draw(st.integers(0, len(fields) - 1)))
    if draw(st.booleans()):
        fields = draw(st.permutations(fields))
    colon, comma = draw(st.sampled_from([(":", ","), (": ", ", "), (" :\t", " ,\r")]))
    text = "{" + comma.join(name + colon + value for name, value in fields) + "}"
    return text.encode("utf-8", "surrogatepass")


def framed(events: list[bytes], framing: Framing) -> bytes:
    return b"[" + b",".join(events) + b"]" if framing == "json" else b"\n".join(events)


def careful(body: bytes, framing: Framing, admission: Admission) -> Decoded | None:
    """What the careful path makes of a body; None where it cannot be decoded at all."""
    try:
        return read_with_care(body, framing, admission, read_task_run)
    except UndecodableBody:
        return None


def assert_both_paths_agree(body: bytes, framing: Framing, admission: Admission) -> None:
    batch = read_batch(body, framing, admission)
    if batch is not None:
        taken = Decoded(len(batch.events) + batch.ignored, batch.events, batch.ignored)
        assert careful(body, framing, admission) == taken


@slow
@given(st.lists(event_texts(), max_size=4), framings, admissions)
def test_the_fast_path_takes_nothing_that_the_careful_one_does_not(
    events: list[bytes], framing: Framing, admission: Admission
) -> None:
    assert_both_paths_agree(framed(events, framing), framing, admission)


@slow
@given(st.lists(event_texts(), max_size=8), framings, admissions, st.binary(max_size=3))
def test_a_batch_in_pieces_is_what_the_careful_path_makes_of_all(
    events: list[bytes], framing: Framing, admission: Admission, damage: bytes
) -> None:
    """Also where it cannot be decoded at all, since of that the whole is told."""
    for body in (framed(events, framing), framed(events, framing) + damage):
        found = read_pieces(
            body,
            framing,
            admission,
            lambda piece, at, framing=framing: read_with_care(piece, framing, admission, read_task_run, at),
            most=7,
            piece=2,
        )
        assert found is None or found == careful(body, framing, admission)
        if body is not None and len(events) in range(3, 8) and not damage and framing == "ndjson":
            assert found is not None


def test_of_pieces_the_first_rejections_are_named_and_all_are_counted() -> None:
    """In their places, whatever pieces they are in; more events than a body may have are refused as ever."""
    good, bad = json.dumps(native()).encode(), b'{"state":"COMPLETED"}'
    body = framed([good, *[bad] * 150, *[good] * 100, bad], "json")
    found = decode(body, format="task-run", framing="json", admission=ADMISSIONS[0], first_index=7)
    assert (found.received, len(found.events), found.refused) == (252, 101, 151)
    assert [each.index for each in found.rejected] == list(range(8, 108))
    with pytest.raises(BodyTooLarge, match="more than 251 events"):
        decode(body, format="task-run", framing="json", admission=ADMISSIONS[0], most=251)


@slow
@given(st.lists(event_texts(), min_size=1, max_size=3), framings, admissions, st.data())
def test_the_paths_agree_on_damaged_bodies_too(
    events: list[bytes], framing: Framing, admission: Admission, data: st.DataObject
) -> None:
    body = framed(events, framing)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body)))
        width = data.draw(st.integers(0, 12))
        body = body[:place] + data.draw(DAMAGE) + body[place + width :]
    assert_both_paths_agree(body, framing, admission)


DAMAGE = st.sampled_from(
    [b"", b'"', b"\\", b",", b":", b"{", b"}", b"\n", b"\x00", b"\x0b", b"\xff", b"\xc0\x80", b"\xed\xa0\x80",
     b'"account"', b'"state":"FAILED",', b"},{", b"}\n{", b"]", b"[", b"0", b"-", b"1e5"]
)  # fmt: skip


@slow
@given(
    st.lists(
        st.fixed_dictionaries(
            {"state": st.sampled_from(STATES[:7])},
            optional={
                "duration": st.sampled_from([0, 1.5, "2.25", ABSENT]),
                **{
                    name: st.sampled_from(["ü", "x", ABSENT])
                    for name in ("workspace", "flow", "flow_run_id", "task", "source")
                },
            },
        )
    ),
    framings,
)
def test_the_fast_path_takes_what_senders_send(changes: list[dict[str, Any]], framing: Framing) -> None:
    events = [json.dumps(native(**change), ensure_ascii=False).encode() for change in changes]
    assert read_batch(framed(events, framing), framing, ADMISSIONS[0]) is not None


@pytest.mark.parametrize("name", [*NAMES, "duration"])
@pytest.mark.parametrize("framing", ["json", "ndjson"])
def test_no_field_given_twice_or_null_escapes_the_fast_path(name: str, framing: Framing) -> None:
    event = json.dumps(native())
    value = json.dumps(native().get(name, "x"))
    other = json.dumps(native(flow=ABSENT, task=ABSENT)).encode()
    for again in (value, "null", '""'):
        doubtful = f'{event[:-1]},"{name}":{again}}}'.encode()
        assert read_batch(framed([doubtful, other], framing), framing, ADMISSIONS[0]) is None


def test_what_only_the_careful_path_can_judge_is_left_to_it() -> None:
    body = b'{"state":"RUNNING","duration":%s}'
    assert read_batch(body % b"1", "json", ADMISSIONS[0]) is not None
    assert read_batch(body % b"[1]", "json", ADMISSIONS[0]) is None
    assert read_batch(body % b'{"x":1}', "json", ADMISSIONS[0]) is None


@slow
@given(st.lists(event_texts(), min_size=1, max_size=6), st.sets(st.integers(1, 6)), admissions)
def test_pieces_and_framings_give_what_the_whole_gives(
    events: list[bytes], cuts: set[int], admission: Admission
) -> None:
    whole = decode(framed(events, "ndjson"), format="task-run", framing="ndjson", admission=admission)
    array = decode(framed(events, "json"), format="task-run", framing="json", admission=admission)
    assert array == whole
    pieces = Decoded()
    bounds = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    for start, end in pairwise(bounds):
        piece = decode(
            framed(events[start:end], "ndjson") + b"\n",
            format="task-run",
            framing="ndjson",
            admission=admission,
            first_index=start,
        )
        pieces.received += piece.received
        pieces.events += piece.events
        pieces.ignored += piece.ignored
        pieces.rejected += piece.rejected
        pieces.refused += piece.refused
    assert pieces == whole


SEEDS: dict[Format, Any] = {"task-run": native(), "cloudevents": cloud(), "prefect": prefect()}
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3) | st.sampled_from(INSTANTS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@slow
@given(st.sampled_from(sorted(SEEDS)), st.data(), framings)
def test_any_value_anywhere_is_taken_ignored_or_rejected(
    format: Format, data: st.DataObject, framing: Framing
) -> None:
    """One value in an event is replaced by any other: it is counted once, and its neighbour is kept."""
    event = json.loads(json.dumps(SEEDS[format]))
    node, key = data.draw(st.sampled_from(list(_places(event))))
    node[key] = data.draw(json_values)
    fine = json.dumps(SEEDS[format]).encode()
    body = framed([fine, json.dumps(event).encode()], framing)
    admission = Admission(now=NOW, default_account="acme")
    decoded = decode(body, format=format, framing=framing, admission=admission)
    assert decoded.received == len(decoded.events) + decoded.ignored + len(decoded.rejected) == 2
    assert decoded.events
    for rejection in decoded.rejected:
        assert rejection.index == 1
        assert rejection.message.startswith(rejection.field)
    for taken in decoded.events:
        assert taken.fingerprint
        assert 0 <= taken.duration_us < 10**18


def _places(node: Any) -> Any:
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


@slow
@given(st.binary(max_size=200), st.sampled_from([*SEEDS, "auto"]), framings)
@example(b"\xef\xbb\xbf{}", "auto", "json")
def test_no_bytes_do_anything_but_decode_or_say_why_not(
    body: bytes, format: Format, framing: Framing
) -> None:
    try:
        decoded = decode(body, format=format, framing=framing, admission=ADMISSIONS[2])
    except UndecodableBody as error:
        assert str(error)
    else:
        assert decoded.received == len(decoded.events) + decoded.ignored + len(decoded.rejected)


@slow
@given(
    st.from_regex(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
)
def test_a_duration_is_the_exact_value_cut_to_microseconds(text: str) -> None:
    exact = Fraction(text) * 10**6
    if exact < 10**18:
        assert parse_duration(text) == exact.__floor__()
    else:
        with pytest.raises(ValueError, match="too large"):
            parse_duration(text)
