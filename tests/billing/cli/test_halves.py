"""billing ingest --format openlineage, over several files; billing sources halves; Airflow's files, gzip."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.billing.cli.conftest import Cli
from tests.metering.test_sources_openlineage import SAMPLE, lineage

START, COMPLETE = lineage("START", "2024-03-05T02:00:00Z"), lineage(at="2024-03-05T02:00:04Z")


def test_halves_in_two_files(cli_on_both: Cli, folder: Path) -> None:
    cli = cli_on_both
    cli.done("accounts", "add", "acme", "--plan", "starter")
    (folder / "ends.json").write_text(json.dumps([COMPLETE]))
    (folder / "starts.ndjson.gz").write_bytes(gzip.compress(json.dumps(START).encode() + b"\n"))
    ingest = ("ingest", "--format", "openlineage", "--account", "acme")
    assert cli.json(*ingest, "ends.json")["accepted"] == 1
    alone = cli("sources", "halves")
    assert alone.code == 1
    assert "1 ends without a start" in alone.err and lineage()["run"]["runId"] in alone.out
    assert cli.json(*ingest, "starts.ndjson.gz", "ends.json")["duplicate"] == 1
    assert cli.json("sources", "halves") == []
    assert cli.json("usage", "acme", "--month", "2024-03")["billable"] == 1


def test_the_format_is_told_from_the_first_event(cli: Cli) -> None:
    said = cli.json("ingest", SAMPLE, "--account", "acme")
    assert (said["received"], said["accepted"], said["ignored"]) == (21, 11, 10)
    assert cli("ingest", SAMPLE).code == 1  # whose are they?


@pytest.mark.parametrize("is_cut", [False, True])
def test_airflows_files_may_be_compressed(cli: Cli, folder: Path, is_cut: bool) -> None:
    rows = b"dag_id,run_id,task_id,start_date,end_date,state\n" + b"".join(
        b"etl,r,t%d,2024-03-05 00:00:00,2024-03-05 00:00:02,success\n" % number for number in range(500)
    )
    body = gzip.compress(rows)
    (folder / "tasks.csv.gz").write_bytes(body[:-12] if is_cut else body)
    done = cli("ingest", "tasks.csv.gz", "--format", "airflow", "--account", "acme")
    assert done.code == int(is_cut)
    if is_cut:
        assert "the gzip data ends too early" in done.err
    else:
        assert cli.json("usage", "acme", "--month", "2024-03")["billable"] == 500
