"""Watches the clock for the schedule. When it goes back, the times that jobs wait for are as far away as it
went: a clock that was a day ahead, and is put right, would stop all jobs for a day."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import structlog
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.base import BaseTrigger

from metering import clock
from metering.period import format_instant, to_datetime

log = structlog.get_logger()

_LOOK_S = 20


class ClockWatch:
    """Looks at the clock every some seconds until `stopping`."""

    def __init__(
        self, scheduler: BaseScheduler, triggers: Mapping[str, BaseTrigger], stopping: threading.Event
    ) -> None:
        self._scheduler = scheduler
        self._triggers = triggers
        self._stopping = stopping
        self._seen = clock.now_instant()
        self._thread = threading.Thread(target=self._watch, name="clock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            self.look(clock.now_instant())

    def look(self, now: int) -> bool:
        """Whether the clock went back since the last look: then all jobs get their next times anew."""
        went_back = now < self._seen
        self._seen = now
        if went_back:
            log.warning("the clock went back; all jobs have their next times anew", now=format_instant(now))
            for name, trigger in self._triggers.items():
                following = trigger.get_next_fire_time(None, to_datetime(now))
                self._scheduler.modify_job(name, next_run_time=following)
        return went_back
