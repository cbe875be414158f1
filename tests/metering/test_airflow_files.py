"""Files of Airflow's task instances that are broken in places: the rest of them is read."""

from __future__ import annotations

import io
import json

import pytest

from metering.airflow_files import instances
from metering.sources import Admission, Decoded, decode
from tests.metering.wire import NOW

HEADER = "dag_id,task_id,run_id,start_date,end_date,state"
TIMES = "2026-10-03T02:00:00+00:00,2026-10-03T02:00:05+00:00"


def row(number: int) -> str:
    return f"etl,load,r{number},{TIMES},success"


def read(text: str) -> Decoded:
    lines = b"".join(instances(io.BytesIO(text.encode())))
    admission = Admission(NOW, None, "acme", None)
    return decode(lines, format="airflow", framing="ndjson", admission=admission)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("etl,load,r9", "line 4 has 3 fields, and the header 6"),
        (f"{row(9)},more", "line 4 has 7 fields, and the header 6"),
        ('etl,load,r9,"t"x', "line 4 is not valid CSV"),
        ("etl,load,r9," + 200_000 * "x", "line 4 is not valid CSV: field larger than field limit"),
    ],
)
def test_a_broken_row_is_named_and_the_others_are_read(broken: str, said: str) -> None:
    found = read("\n".join([HEADER, row(1), row(2), broken, row(3)]) + "\n")
    assert (len(found.events), found.ignored, found.refused) == (3, 0, 1)
    assert (found.rejected[0].index, found.rejected[0].field) == (2, "row")
    assert found.rejected[0].message.startswith(said)


def test_a_quote_that_is_not_closed_is_never_silent() -> None:
    lines = [HEADER, *map(row, range(10))]
    lines[4] = 'etl,load,r9,"t'
    lines[7] = 'etl,load,"r9",x'
    found = read("\n".join(lines) + "\n")
    assert found.refused >= 1
    assert "lines 5 to 8" in found.rejected[0].message
    assert len(found.events) == 6
    assert read(f'{HEADER}\n{row(1)}\netl,load,"r').refused == 1


def test_a_broken_first_line_of_json_costs_no_other() -> None:
    good = [
        json.dumps(dict(zip(HEADER.split(","), row(number).split(","), strict=True))) for number in range(3)
    ]
    found = read("\n".join([good[0][:40], *good]))
    assert (len(found.events), found.refused) == (3, 1)
