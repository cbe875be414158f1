"""Task runs of which a server gives no events, metered from its records of them.

A server that is killed may have kept the record of a task run and lost its last event; one that was not read
for a week has forgotten its events. A record says what the last event would have: state, times,
`total_run_time`. It is a second best, since what came before the last state is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import structlog

from metering.collecting.collector import Meter
from metering.collecting.completeness import SETTLE_US, is_held
from metering.collecting.errors import PrefectError
from metering.collecting.prefect_rows import Row, event_of, flow_run_of
from metering.collecting.prefect_server import PAGE, PrefectServer
from metering.collecting.reading import latest
from metering.collecting.source import Source
from metering.sources.fields import FieldError

log = structlog.get_logger()


def recover(meter: Meter, source: Source, server: PrefectServer) -> int:
    """Meter every task run of the server's, from where the source is complete on, that is not held. Answers
    how many they were. Raises PrefectError."""
    now = meter.now()
    until = latest(now, server.ask_time(now)) - SETTLE_US
    rows = server.rows(source.since if source.complete_to is None else source.complete_to, until)
    recovered = 0
    while page := list(islice(rows, PAGE)):
        recovered += meter_records(meter, source, server, not_held(meter, source, page))
    return recovered


def not_held(meter: Meter, source: Source, rows: Sequence[Row]) -> list[Row]:
    """Those that the meter does not hold, or not with their outcome, in their order."""
    held = meter.store.held(source.account, [row.task_run_id for row in rows])
    return [row for row in rows if row.run is not None and not is_held(row.run, held)]


def meter_records(meter: Meter, source: Source, server: PrefectServer, rows: Sequence[Row]) -> int:
    """Meter task runs from their records. Answers how many were not held. Raises PrefectError."""
    recovered = 0
    for start in range(0, len(rows), PAGE):
        recovered += _meter(meter, source, server, rows[start : start + PAGE])
    if recovered:
        log.error(
            "task runs without events were metered from the source's records",
            source=source.id,
            account=source.account,
            quantity=recovered,
            task_runs=[row.task_run_id for row in rows[:3]],
        )
    return recovered


def _meter(meter: Meter, source: Source, server: PrefectServer, rows: Sequence[Row]) -> int:
    assert source.server is not None, "only sources that are asked have records"
    try:
        flow_runs = {row.task_run_id: flow_run_of(row) for row in rows}
        names = server.flow_names(each for each in flow_runs.values() if each)
        events = [
            event_of(row, source.account, source.server.workspace, names.get(flow_runs[row.task_run_id], ""))
            for row in rows
        ]
    except FieldError as error:
        raise PrefectError(f"{server.url} gives a task run that cannot be read: {error}") from None
    return sum(meter.store.append(events, meter.now()))
