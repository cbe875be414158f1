"""Sends what is spooled, a segment at a time, until the service has it. Nothing leaves the spool before."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from metering.client.answers import Later, Reply, Taken, Verdict, judge, pause
from metering.client.errors import SpoolError
from metering.client.post import NoAnswer
from metering.client.spool import REJECTED, Spool

_log = logging.getLogger("metering.client")


@dataclass(slots=True)
class Tally:
    """What the service said of the events that it was sent, since the client was made. `problem` is why it
    takes none now; None while all is well."""

    accepted: int = 0
    duplicate: int = 0
    ignored: int = 0
    rejected: int = 0
    problem: str | None = None


class Courier:
    """`post` sends one body; `wait` lets seconds pass, and answers True if there is no more time for another
    attempt; `chance` answers a number from 0 to 1; `now` the time."""

    def __init__(
        self,
        spool: Spool,
        post: Callable[[bytes], Reply],
        *,
        wait: Callable[[float], bool],
        now: Callable[[], datetime],
        chance: Callable[[], float],
    ) -> None:
        self.tally = Tally()
        self._spool = spool
        self._post = post
        self._wait = wait
        self._now = now
        self._chance = chance
        self._failures = 0

    def deliver(self) -> bool:
        """Send all that waits. True once nothing does; False when `wait` says to stop: it stays spooled."""
        while True:
            try:
                segment = self._spool.next()
                if segment is None:
                    return True
                if not self._send(self._spool.read(segment)):
                    return False
                self._spool.remove(segment)
            except SpoolError as error:
                if self._try_later(Later(str(error), loud=True)):
                    return False

    def _send(self, lines: Sequence[bytes]) -> bool:
        """Whether the service has these events, or will never take those of them that it does not have."""
        while lines:
            verdict = self._ask(lines)
            if isinstance(verdict, Later):
                if self._try_later(verdict):
                    return False
                continue
            self._is_well()
            if isinstance(verdict, Taken) and verdict.rejected <= len(verdict.errors):
                self._count(lines, verdict)
                return True
            # Too large, or more rejected than were named: in halves. What was taken counts once.
            if len(lines) == 1:
                self._reject([(lines[0], "body", "the event alone is too large for the service")])
                self.tally.rejected += 1
                return True
            half = len(lines) // 2
            if not self._send(lines[:half]):
                return False
            lines = lines[half:]
        return True

    def _ask(self, lines: Sequence[bytes]) -> Verdict:
        try:
            reply = self._post(b"".join(lines))
        except NoAnswer as error:
            return Later(f"it cannot be reached ({error})")
        return judge(reply, len(lines), self._now())

    def _try_later(self, verdict: Later) -> bool:
        self._failures += 1
        if verdict.problem != self.tally.problem:
            level = logging.ERROR if verdict.loud else logging.WARNING
            _log.log(level, "the service takes no events: %s. They wait in the spool", verdict.problem)
        self.tally.problem = verdict.problem
        return self._wait(pause(self._failures, verdict.asked_s, self._chance()))

    def _is_well(self) -> None:
        if self.tally.problem is not None:
            _log.info("the service takes events again")
        self.tally.problem = None
        self._failures = 0

    def _count(self, lines: Sequence[bytes], taken: Taken) -> None:
        self.tally.accepted += taken.accepted
        self.tally.duplicate += taken.duplicate
        self.tally.ignored += taken.ignored
        self.tally.rejected += taken.rejected
        said = [
            (lines[int(each["index"])], str(each.get("field")), str(each.get("message")))
            for each in taken.errors
        ]
        if said:
            self._reject(said)

    def _reject(self, said: Sequence[tuple[bytes, str, str]]) -> None:
        """Said loudly, and kept beside the spool: events, each with the field at fault and what to do, may be
        mended and sent again."""
        path = self._spool.folder / REJECTED
        _log.error("%d events were rejected and are in %s; the first: %s", len(said), path, said[0][2])
        for line, field, message in said:
            event = line.decode("utf-8", "replace").rstrip("\n")
            noted = json.dumps({"field": field, "message": message, "event": event}).encode() + b"\n"
            if not self._spool.keep_rejected(noted):
                _log.error("%s is full; this event is in no file: %s", path, event)
