"""Where the search begins: what senders really send, by target."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from billing.api.examples import CLOUDEVENT, CONTRACT, EVENT, OPENLINEAGE, PLAN, PREFECT
from tests.metering.prefect_double import row
from tests.metering.wire import native

ROOT = Path(__file__).parent.parent.parent
FOUND = ROOT / "tests" / "data" / "fuzz"
_ODD = (b"", b"\xef\xbb\xbf", b"[]", b"null", b"\xff", b'{"a":', b"[" * 100, b'{"a":{"a":{}}}')
_INSTANCE = {
    "dag_id": "etl",
    "dag_run_id": "r1",
    "task_id": "load",
    "map_index": -1,
    "try_number": 1,
    "start_date": "2026-10-03T02:00:00+00:00",
    "end_date": "2026-10-03T02:00:05.5+00:00",
    "duration": 5.5,
    "state": "success",
}
_CSV = b"dag_id,run_id,task_id,start_date,end_date,state\netl,r1,load,2026-10-03 02:00:00+00,,success\n"


def _json(*values: object) -> list[bytes]:
    """Each alone, all in an array, and one a line."""
    each = [json.dumps(value).encode() for value in values]
    return [*each, b"[" + b",".join(each) + b"]", b"\n".join(each)]


def seeds(target: str) -> list[bytes]:
    """Also what made it fail before, and is mended."""
    made: dict[str, list[bytes]] = {
        "native": [
            *_json(native(), native(state="RUNNING"), EVENT, native(duration=4.25)),
            (ROOT / "examples" / "task-runs.ndjson").read_bytes(),
        ],
        "cloudevents": _json(CLOUDEVENT, CLOUDEVENT | {"type": "other"}),
        "prefect": _json(PREFECT, PREFECT | {"event": "prefect.flow-run.Completed"}),
        "openlineage": [
            *_json(*OPENLINEAGE),
            *(ROOT / "tests/metering/samples/openlineage.ndjson").read_bytes().splitlines(),
        ],
        "airflow": [*_json(_INSTANCE), *_json({"task_instances": [_INSTANCE], "total_entries": 1}), _CSV],
        "prefect_rows": _json(row(1, end="2026-10-03T11:30:00Z")),
        "numbers": [
            b"4.25", b"1e-7", b"1.5E+3", b"-0", b"0.0000009", b"2026-10-03T02:00:00Z",
            b"2026-10-03T02:00:00.25Z\n2026-02-28T23:59:59Z", b"2026-10-03t04:00:00.1234567+02:00",
        ],
        "documents": [
            *_json(PLAN, CONTRACT),
            b"plan: starter\nversion: 2021-02\ncurrency: USD\nbrackets:\n  - {up_to: 10, unit_price: 0.5}\n",
            b'plan = "starter"\nversion = "2021-02"\n[[brackets]]\nup_to = 10\nunit_price = "0.5"\n',
        ],
        "nesting": [b'{"a":"[[[\\"[["}', b"[" * 64 + b"]" * 64, b'"' + b"[" * 70 + b'"'],
    }  # fmt: skip
    everything = [each for some in made.values() for each in some]
    made["body"] = [*everything, *(gzip.compress(each, 1) for each in everything[::5])]
    folder = FOUND / target
    found = [each.read_bytes() for each in sorted(folder.iterdir())] if folder.is_dir() else []
    return [*_ODD, *made[target], *found]
