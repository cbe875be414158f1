"""From the spool to the service: worked examples with a service that answers as it is told."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metering.client.answers import Reply
from metering.client.courier import Courier
from metering.client.post import NoAnswer
from metering.client.spool import REJECTED, Spool

NOW = datetime(2026, 10, 3, 2, tzinfo=UTC)
GIVE_UP = 40


class FakeService:
    """Holds lines by their text, once each. `faults` are answered first, one a request. `largest` is how many
    lines it takes at once; a line with `bad` in it is rejected."""

    def __init__(self, *faults: Reply | NoAnswer, largest: int = 10_000) -> None:
        self.held: set[bytes] = set()
        self.requests: list[int] = []
        self.faults = list(faults)
        self.largest = largest

    def __call__(self, body: bytes) -> Reply:
        lines = body.splitlines()
        self.requests.append(len(lines))
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, NoAnswer):
                raise fault
            return fault
        if len(lines) > self.largest:
            return Reply(413, {}, b"")
        return self.take(lines)

    def take(self, lines: list[bytes]) -> Reply:
        bad = [place for place, line in enumerate(lines) if b"bad" in line]
        good = [line for line in lines if b"bad" not in line]
        new = len(set(good) - self.held)
        self.held |= set(good)
        errors = [{"index": place, "field": "state", "message": "state is odd"} for place in bad[:100]]
        counts = {"accepted": new, "duplicate": len(good) - new, "ignored": 0, "rejected": len(bad)}
        return Reply(200, {}, json.dumps(counts | {"received": len(lines), "errors": errors}).encode())


class Waits:
    """Remembers how long was waited; gives up in the end."""

    def __init__(self, give_up_after: int = GIVE_UP) -> None:
        self.seconds: list[float] = []
        self._left = give_up_after

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        self._left -= 1
        return self._left <= 0


def courier(
    folder: Path, service: Callable[[bytes], Reply], waits: Waits | None = None
) -> tuple[Spool, Courier]:
    spool = Spool(folder, 1 << 20)
    return spool, Courier(spool, service, wait=waits or Waits(), now=lambda: NOW, chance=lambda: 1.0)


def test_a_service_that_is_away_is_asked_again_less_and_less_often(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service, waits = FakeService(*[NoAnswer("refused")] * 4), Waits()
    spool, sender = courier(tmp_path, service, waits)
    spool.append([b"1\n"])
    with caplog.at_level(logging.INFO, "metering.client"):
        assert sender.deliver()
    assert (service.held, waits.seconds) == ({b"1"}, [1, 2, 4, 8])
    assert sender.tally.accepted == 1 and sender.tally.problem is None
    # Said once, and once more when it is over.
    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO"]


def test_a_service_that_says_when_is_asked_then(tmp_path: Path) -> None:
    faults = [Reply(429, {"retry-after": "30"}, b""), Reply(503, {"retry-after": "2"}, b"")]
    waits = Waits()
    spool, sender = courier(tmp_path, FakeService(*faults), waits)
    spool.append([b"1\n"])
    assert sender.deliver()
    assert waits.seconds == [33.0, 2.2]


def test_a_refused_key_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = FakeService(*[Reply(401, {}, b'{"detail": "this API key is unknown or revoked"}')] * 3)
    spool, sender = courier(tmp_path, service, Waits(give_up_after=3))
    spool.append([b"1\n"])
    assert not sender.deliver()
    assert sender.tally.problem is not None and "check the key" in sender.tally.problem
    assert [each.levelname for each in caplog.records] == ["ERROR"]
    assert sender.deliver()
    assert service.held == {b"1"}


def test_a_batch_that_is_too_large_goes_in_parts(tmp_path: Path) -> None:
    service = FakeService(largest=3)
    spool, sender = courier(tmp_path, service)
    spool.append([b"%d\n" % number for number in range(10)])
    assert sender.deliver()
    assert len(service.held) == 10
    assert service.requests == [10, 5, 2, 3, 5, 2, 3]


def test_one_event_that_is_too_large_costs_the_others_nothing(tmp_path: Path) -> None:
    service = FakeService()
    spool, sender = courier(tmp_path, lambda body: Reply(413, {}, b"") if b"huge" in body else service(body))
    spool.append([b"1\n", b"huge\n", b"3\n"])
    assert sender.deliver()
    assert service.held == {b"1", b"3"}
    assert (sender.tally.accepted, sender.tally.rejected) == (2, 1)
    assert json.loads((tmp_path / REJECTED).read_text())["event"] == "huge"


def test_what_is_rejected_is_said_and_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool, sender = courier(tmp_path, FakeService())
    spool.append([b"1\n", b"bad\n"])
    assert sender.deliver()
    assert (sender.tally.accepted, sender.tally.rejected) == (1, 1)
    noted = json.loads((tmp_path / REJECTED).read_text())
    assert noted == {"field": "state", "message": "state is odd", "event": "bad"}
    assert "state is odd" in caplog.text
    assert sender.deliver()  # not sent again
    assert spool.size == 0


def test_every_rejected_event_is_kept_aside_however_many(tmp_path: Path) -> None:
    """An answer names a hundred."""
    spool, sender = courier(tmp_path, FakeService())
    lines = [b"bad%d\n" % number if number % 3 else b"%d\n" % number for number in range(600)]
    spool.append(lines)
    assert sender.deliver()
    noted = {json.loads(line)["event"] for line in (tmp_path / REJECTED).read_text().splitlines()}
    assert noted == {line.decode().rstrip() for line in lines if b"bad" in line}
    assert sender.tally.rejected == 400
    assert sender.tally.accepted + sender.tally.duplicate == 200


def test_a_page_that_is_not_the_service_takes_nothing(tmp_path: Path) -> None:
    service = FakeService(Reply(200, {}, b"<html>Sign in</html>"))
    spool, sender = courier(tmp_path, service)
    spool.append([b"1\n"])
    assert sender.deliver()
    assert service.held == {b"1"} and len(service.requests) == 2
