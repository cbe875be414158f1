"""Task runs of which a server gives no events any more, metered from its records of them.

A record says what its last event would have: state, times, `total_run_time`. It is a second best, since what
came before the last state is not in it; so a person asks for it, when it is known what is missing.
"""

from __future__ import annotations

from itertools import islice

from metering.collecting.collector import Meter
from metering.collecting.completeness import SETTLE_US, is_held
from metering.collecting.errors import PrefectError
from metering.collecting.prefect_rows import Row, event_of, flow_run_of
from metering.collecting.prefect_server import PAGE, PrefectServer
from metering.collecting.reading import latest
from metering.collecting.source import Source
from metering.sources.fields import FieldError


def recover(meter: Meter, source: Source, server: PrefectServer) -> int:
    """Meter every task run of the server's, from where the source is complete on, that is not held. Answers
    how many they were. Raises PrefectError."""
    now = meter.now()
    until = latest(now, server.ask_time(now)) - SETTLE_US
    start = source.since if source.complete_to is None else source.complete_to
    rows = server.rows(start, until)
    recovered = 0
    while page := list(islice(rows, PAGE)):
        held = meter.store.held(source.account, [row.task_run_id for row in page])
        missing = [row for row in page if row.run is not None and not is_held(row.run, held)]
        recovered += _meter(meter, source, server, missing)
    return recovered


def _meter(meter: Meter, source: Source, server: PrefectServer, rows: list[Row]) -> int:
    assert source.server is not None, "only sources that are asked have records"
    if not rows:
        return 0
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
