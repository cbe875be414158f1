"""Work that takes longer than a page may: it goes on in a thread of `serve`, and how far it is stands in the
database, so that every service can show it. Whatever is started here may be killed and started again, as from
the command line."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from billing.app import Service
from billing.audit.actor import act, actor
from billing.billing_run import Progress
from billing.errors import BillingError
from billing.ids import new_id
from billing.payments.errors import PaymentError
from billing.pricing.errors import PricingError
from billing.repository import operator_jobs
from billing.repository.operator_jobs import CUT_SHORT, Job
from metering.database import reading, writing
from metering.period import MINUTE_US

_log = logging.getLogger("billing.console")

# A job that was not heard of for so long is over: its service ended without a word.
DEAD_AFTER_US = 15 * MINUTE_US
# A report is shown on a page: of long lists it keeps the first.
MOST_ROWS = 200

# A maker of progress, by the name of a stage.
Stages = Callable[[str], Progress]
# Does the work, and answers what it reports.
Do = Callable[[Stages], Mapping[str, Any]]


class Work:
    """The work of this service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._threads: list[threading.Thread] = []

    def start(self, kind: str, subject: str, by: str, do: Do) -> Job:
        """Begin, unless the same is under way: then that is answered."""
        now = self._service.now()
        fresh = Job(new_id("job", now), kind, subject, by, now, now)
        with writing(self._service.engine) as connection:
            job = operator_jobs.start(connection, fresh, now - DEAD_AFTER_US)
        if job.id == fresh.id:
            # The thread acts for who started it: it begins with a context of its own.
            of = actor().request
            thread = threading.Thread(target=self._run, args=(job.id, by, of, do), name=f"console-{kind}")
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]
            thread.start()
        return job

    def close(self) -> None:
        """Wait for what is under way, as the schedule does."""
        for each in self._threads:
            each.join()

    def last(self, kind: str, subject: str) -> Job | None:
        """The one of this kind and subject that was started last."""
        with reading(self._service.engine) as connection:
            return self.seen(operator_jobs.last(connection, kind, subject))

    def get(self, job_id: str) -> Job | None:
        with reading(self._service.engine) as connection:
            return self.seen(operator_jobs.get(connection, job_id))

    def seen(self, job: Job | None) -> Job | None:
        """A job as it is to be shown: one that is dead has failed, whatever it says of itself."""
        if job is None or job.finished_at is not None:
            return job
        dead = job.seen_at < self._service.now() - DEAD_AFTER_US
        return replace(job, finished_at=job.seen_at, error=CUT_SHORT) if dead else job

    def _run(self, job_id: str, by: str, request: str | None, do: Do) -> None:
        act(by, request)
        report: str | None = None
        error: str | None = None
        try:
            report = json.dumps(_cut(do(lambda stage: self._progress(job_id, stage))))
        except (BillingError, PricingError, PaymentError) as wrong:
            error = str(wrong)
        except Exception as wrong:
            _log.exception("work of the console failed, job %s", job_id)
            error = f"unexpected {type(wrong).__name__}; the log of the service has more under {job_id}"
        try:
            with writing(self._service.engine) as connection:
                operator_jobs.finish(connection, job_id, self._service.now(), report, error)
        except Exception:  # without the database it is over when it was not heard of for a while
            _log.exception("what came of a job was not kept, job %s", job_id)

    def _progress(self, job_id: str, stage: str) -> Progress:
        told = -1

        def tell(done: int, total: int) -> None:
            nonlocal told
            part = 100 if done >= total else done * 50 // total * 2
            if part == told:
                return  # fifty times at most: each is a transaction
            told = part
            with writing(self._service.engine) as connection:
                operator_jobs.progress(connection, job_id, stage, done, total, self._service.now())

        return tell


def report_of(job: Job | None) -> dict[str, Any] | None:
    """What came of it; None where nothing did, or not yet."""
    if job is None or job.report is None:
        return None
    found: dict[str, Any] = json.loads(job.report)
    return found


def _cut(report: Mapping[str, Any]) -> dict[str, Any]:
    """With the first rows of each list, and under `counts` how many there were."""
    lists = {name: each for name, each in report.items() if isinstance(each, list)}
    short = {name: each[:MOST_ROWS] for name, each in lists.items()}
    return {**report, **short, "counts": {name: len(each) for name, each in lists.items()}}
