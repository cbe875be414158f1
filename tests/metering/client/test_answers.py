"""What answers mean to the client, and how long it waits."""

from __future__ import annotations

import doctest
import json
from datetime import UTC, datetime

import pytest

from metering.client import answers
from metering.client.answers import Later, Reply, Taken, TooLarge, judge, pause

NOW = datetime(2026, 10, 3, 2, tzinfo=UTC)


def _counts(**counts: object) -> bytes:
    plain = {"received": 3, "accepted": 0, "duplicate": 0, "ignored": 0, "rejected": 0, "errors": []}
    return json.dumps(plain | counts).encode()


def test_a_batch_that_was_counted_is_taken() -> None:
    reply = Reply(200, {}, _counts(accepted=1, duplicate=1, ignored=1))
    assert judge(reply, 3, NOW) == Taken(1, 1, 1, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b"[]",
        b"{}",
        b"null",
        _counts(accepted=2),
        _counts(accepted=4, ignored=-1),
    ],
)
def test_a_page_that_does_not_count_them_keeps_them_in_the_spool(body: bytes) -> None:
    verdict = judge(Reply(200, {}, body), 3, NOW)
    assert isinstance(verdict, Later) and verdict.loud


@pytest.mark.parametrize(
    ("status", "headers", "asked", "loud"),
    [
        (503, {"retry-after": "7"}, 7.0, False),
        (429, {"retry-after": "Sat, 03 Oct 2026 02:01:00 GMT"}, 60.0, False),
        (429, {"retry-after": "Sat, 03 Oct 2026 01:00:00 GMT"}, 0.0, False),
        (429, {"retry-after": "soon"}, None, False),
        (503, {"retry-after": "9" * 40}, 3600.0, False),
        (500, {}, None, False),
        (401, {}, None, True),
        (403, {}, None, True),
        (404, {}, None, True),
        (422, {}, None, True),
        (307, {}, None, True),
    ],
)
def test_whatever_else_is_answered_is_tried_again(
    status: int, headers: dict[str, str], asked: float | None, loud: bool
) -> None:
    verdict = judge(Reply(status, headers, b'{"detail": "this API key is unknown"}'), 3, NOW)
    assert isinstance(verdict, Later)
    assert (verdict.asked_s, verdict.loud) == (asked, loud)
    assert str(status) in verdict.problem and "this API key is unknown" in verdict.problem


def test_what_is_too_large_is_told_apart() -> None:
    assert judge(Reply(413, {}, b""), 3, NOW) == TooLarge()


def test_waits_grow_to_a_minute_and_differ() -> None:
    assert [pause(attempt, None, 1.0) for attempt in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause(5, None, 0.0) == 8
    assert pause(1, 20.0, 0.0) == 20 and pause(9, 20.0, 1.0) == 22  # never less than was asked for
    assert pause(3, 0.0, 1.0) == 4  # "at once" is not taken at its word


def test_the_examples_in_the_texts() -> None:
    assert doctest.testmod(answers).failed == 0
