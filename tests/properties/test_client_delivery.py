"""Whatever happens on the way, and whenever the producer is killed, the meter has every event whose call
returned, once, and nothing that was not sent; an event that was called too large, alone, is kept apart."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from metering.client.answers import Reply
from metering.client.courier import Courier
from metering.client.post import NoAnswer
from metering.client.spool import REJECTED, Spool
from tests.metering.client.test_courier import NOW, FakeService

# What happens to a request: it is taken, or not taken, or taken and the answer is lost.
_FATES = st.sampled_from(["taken", "lost before", "lost after", "503", "401", "413", "cut", "sign in"])
# What a producer does: hand in so many events, deliver through so many waits, or be killed; while it writes,
# it leaves a line that is cut short.
_DEEDS = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 6)),
    st.tuples(st.just("deliver"), st.integers(1, 4)),
    st.tuples(st.just("killed"), st.just(0)),
    st.tuples(st.just("killed while it writes"), st.just(0)),
)


class _Killed(BaseException):
    pass


class _Line:
    """Between the courier and a service that takes three events at once."""

    def __init__(self, service: FakeService, fates: Sequence[str]) -> None:
        self._service = service
        self._fates = list(fates)
        self.called_too_large: set[bytes] = set()

    def __call__(self, body: bytes) -> Reply:
        fate = self._fates.pop(0) if self._fates else "taken"
        if fate == "lost before":
            raise NoAnswer("refused")
        if fate == "413" and len(body.splitlines()) == 1:
            self.called_too_large.add(body.rstrip())
        if fate in ("503", "401", "413"):
            return Reply(int(fate), {}, b"")
        if fate == "sign in":
            return Reply(200, {}, b"<html>")
        reply = self._service(body)
        if fate == "lost after":
            raise NoAnswer("timed out")
        if fate == "cut" and reply.status == 200:
            raise _Killed  # the service has it, and the producer is gone
        return reply


@given(st.lists(_DEEDS, max_size=12), st.lists(_FATES, max_size=25))
def test_what_was_sent_is_there_once(deeds: list[tuple[str, int]], fates: list[str]) -> None:
    folder = Path(tempfile.mkdtemp())
    service = FakeService(largest=3)
    line = _Line(service, fates)
    sent: set[bytes] = set()
    spool = Spool(folder, 1 << 20)
    try:
        for deed, quantity in deeds:
            if deed == "send":
                lines = [b"%d" % (len(sent) + number) for number in range(quantity)]
                spool.append([each + b"\n" for each in lines])
                sent.update(lines)
                continue
            try:
                if deed == "deliver":
                    _deliver(spool, line, quantity)
                    continue
            except _Killed:
                pass
            spool = _started_again(spool, folder, torn=deed == "killed while it writes")
        assert _deliver(spool, _Line(service, []), 1)
        assert _kept_apart(folder) == line.called_too_large
        assert service.held <= sent
        assert service.held | line.called_too_large == sent
        assert not list(folder.glob("*.ndjson"))
    finally:
        spool.disown()
        shutil.rmtree(folder)


def _deliver(spool: Spool, line: _Line, waits: int) -> bool:
    left = iter(range(waits))
    courier = Courier(spool, line, wait=lambda _: next(left, None) is None, now=lambda: NOW, chance=lambda: 0)
    return courier.deliver()


def _kept_apart(folder: Path) -> set[bytes]:
    file = folder / REJECTED
    lines = file.read_text().splitlines() if file.exists() else []
    return {json.loads(line)["event"].encode() for line in lines}


def _started_again(spool: Spool, folder: Path, *, torn: bool) -> Spool:
    spool.disown()
    segments = sorted(folder.glob("*.ndjson"))
    if torn and segments:
        with segments[-1].open("ab") as file:
            file.write(b'{"never": "returned')
    return Spool(folder, 1 << 20)
