"""Collecting from sources: one after the other, each for a while; what goes wrong with one is stored with it
and never keeps another waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from billing.app import Service
from billing.repository.due import came
from billing.sources import list_sources, server_asked
from metering.collecting import state
from metering.collecting.checking import check
from metering.collecting.collector import Collected, Meter, Progress, collect
from metering.collecting.completeness import EVERY_US
from metering.collecting.errors import Busy, PrefectError
from metering.collecting.prefect_http import ATTEMPTS as PATIENCE
from metering.collecting.prefect_server import PrefectServer
from metering.collecting.recovery import recover
from metering.collecting.source import Source, source_data
from metering.database import reading, writing
from metering.period import MINUTE_US, SECOND_US

log = structlog.get_logger()

# How long one source is worked on while others wait.
TURN_US = 4 * MINUTE_US
# A source that is asked again soon anyway is not asked over and over.
ATTEMPTS = 2
# However long a server says that it wants to be left alone.
LONGEST_AWAY_S = 3600


@dataclass(slots=True)
class Visit:
    """What came of asking a source: how it stands afterwards, and the error where it could not be asked."""

    source: Source
    collected: Collected
    recovered: int = 0
    error: str | None = None

    @property
    def needs_attention(self) -> bool:
        """Whether a person must look at it."""
        rejected = self.collected.ingested.rejected
        return bool(self.error or self.source.missing or self.collected.lost or self.recovered or rejected)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        counted = self.collected.ingested.to_data()
        del counted["errors"]
        more = {"finished": self.collected.finished, "recovered": self.recovered}
        return {**more, **counted, **source_data(self.source)}


def collect_due(
    service: Service, *, stop: Callable[[], bool] = lambda: False, wait: Callable[[float], None] = time.sleep
) -> list[Visit]:
    """Visit every source that is asked and has not told us to stay away until later."""
    visits = []
    for source in list_sources(service.engine):
        if stop():
            break
        away = LONGEST_AWAY_S * SECOND_US
        if source.server is None or not came(source.retry_at or 0, service.now(), away):
            continue
        try:
            visits.append(visit(service, source, stop=stop, wait=wait, attempts=ATTEMPTS))
        except sa.exc.DBAPIError:
            raise  # without the database nothing can be collected
        except Exception as error:  # one source never keeps the others waiting
            log.exception("source not read", source=source.id, account=source.account)
            _note_attempt(service, source, f"unexpected {type(error).__name__}: {error}; please report it")
    return visits


def visit(
    service: Service,
    source: Source,
    *,
    always_check: bool = False,
    stop: Callable[[], bool] = lambda: False,
    wait: Callable[[float], None] = time.sleep,
    attempts: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Visit:
    """Collect what is new, and look at whether it is complete if that is due. With `attempts` given, its turn
    ends after some minutes; what is left is done the next time."""
    assert source.server is not None, "only sources that are asked are visited"
    meter = Meter(service.engine, service.store, service.now)
    ends = service.now() + TURN_US

    def over() -> bool:
        return stop() or (attempts is not None and service.now() >= ends)

    key_name = source.server.key_name
    key = service.settings.prefect_key(key_name)
    done, recovered, error, retry_at = Collected(), 0, None, None
    try:
        with PrefectServer(
            source.server.url, key, key_name=key_name, attempts=attempts or PATIENCE, wait=wait
        ) as server:
            collect(meter, source, server, done, stop=over, progress=progress)
            if done.finished and done.until is not None and (always_check or _check_is_due(source, service)):
                recovered = check(meter, _current(service, source), server, done.until).recovered
    except PrefectError as failed:
        error = str(failed)
        if isinstance(failed, Busy) and failed.retry_after_s is not None:
            retry_at = service.now() + int(min(failed.retry_after_s, LONGEST_AWAY_S) * SECOND_US)
        log.error("source not read", source=source.id, account=source.account, error=error)
    _note_attempt(service, source, error, retry_at)
    return Visit(_current(service, source), done, recovered, error)


def _note_attempt(service: Service, source: Source, error: str | None, retry_at: int | None = None) -> None:
    with writing(service.engine) as connection:
        state.save_attempt(connection, source, service.now(), error, retry_at)


def recover_source(service: Service, source: Source) -> tuple[int, Visit]:
    """Meter what a source gives no events of from its records, and look at how complete it is then. Answers
    how many task runs they were. Raises PrefectError, and Refused for a source that is not asked."""
    asked = server_asked(source)
    meter = Meter(service.engine, service.store, service.now)
    key = service.settings.prefect_key(asked.key_name)
    with PrefectServer(asked.url, key, key_name=asked.key_name) as server:
        recovered = recover(meter, source, server)
    return recovered, visit(service, source, always_check=True)


def _check_is_due(source: Source, service: Service) -> bool:
    """Every so often, and at each visit while something is wrong: a server that was away may have been
    killed, and have lost events."""
    if source.error is not None or source.missing:
        return True
    last = None if source.claim is None else source.claim.checked_at
    return last is None or not 0 <= service.now() - last < EVERY_US


def _current(service: Service, source: Source) -> Source:
    with reading(service.engine) as connection:
        return state.get(connection, source.account, source.id) or source
