"""How commands print."""

from __future__ import annotations

import json
from typing import Any

import pytest

from billing.cli.output import print_json, print_json_rows

ROWS: list[list[Any]] = [[], [{"a": 1}], [{"a": "ä\n"}, {}, ["b", {"c": [1, None]}], "text"]]


@pytest.mark.parametrize("rows", ROWS)
def test_a_list_that_is_read_as_it_is_printed_looks_like_any(
    rows: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_json_rows(iter(rows))
    assert capsys.readouterr().out == json.dumps(rows, indent=2) + "\n"
    print_json({"month": "2026-10", "rows": rows})
    whole = capsys.readouterr().out
    print_json_rows(iter(rows), of={"month": "2026-10"}, name="rows")
    assert capsys.readouterr().out == whole
