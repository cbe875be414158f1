"""Ingesting files: whole, broken, compressed, from a pipe, and in pieces."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from metering.ingestion import IngestReport
from metering.sources import UndecodableBody
from metering.streams import PIECE_BYTES, ingest_stream
from tests.billing.cli.conftest import Cli, event, lines
from tests.world import World

NO_ERRORS: dict[str, object] = {"errors": []}
CAPTURE = Path(__file__).parents[3] / "metering" / "sources" / "samples" / "prefect-events.ndjson"


def counted(received: int, accepted: int, duplicate: int, ignored: int, rejected: int) -> dict[str, int]:
    return {
        "received": received,
        "accepted": accepted,
        "duplicate": duplicate,
        "ignored": ignored,
        "rejected": rejected,
    }


def test_every_event_is_counted_once(cli_on_both: Cli) -> None:
    cli = cli_on_both
    body = lines(event(1), event(2), event(1), event(3, state="RUNNING"))
    assert cli.json("ingest", "-", stdin=body) == counted(4, 2, 1, 1, 0) | NO_ERRORS
    assert cli.json("ingest", "-", stdin=body) == counted(4, 0, 3, 1, 0) | NO_ERRORS


def test_a_broken_line_costs_the_others_nothing(cli: Cli) -> None:
    body = lines(event(1)) + b'{"account": \n\n' + lines(event(2, ended_at="2024-03-05T10:00:00"), event(3))
    outcome = cli("ingest", "-", "--json", stdin=body)
    assert outcome.code == 1
    assert {name: outcome.data[name] for name in counted(0, 0, 0, 0, 0)} == counted(4, 2, 0, 0, 2)
    first, second = outcome.data["errors"]
    assert first.keys() == {"index", "field", "message"}
    assert (first["index"], first["field"]) == (1, "event")
    assert (second["index"], second["field"]) == (2, "ended_at")
    assert cli.json("usage", "acme", "--month", "2024-03")["billable"] == 2
    shown = cli("ingest", "-", stdin=body)
    assert shown.code == 1
    assert "stdin, event 1 (from 0), event: " in shown.err
    assert "stdin, event 2 (from 0), ended_at: " in shown.err


def test_at_most_a_hundred_errors_are_named_and_ten_are_shown(cli: Cli) -> None:
    body = b"{}\n" * 150 + lines(event(1))
    outcome = cli("ingest", "-", "--json", stdin=body)
    assert (outcome.data["rejected"], outcome.data["accepted"]) == (150, 1)
    assert [each["index"] for each in outcome.data["errors"]] == list(range(100))
    shown = cli("ingest", "-", stdin=body).err.splitlines()
    assert len(shown) == 11
    assert "140 more" in shown[-1]


def test_files_plain_and_compressed(cli: Cli, folder: Path) -> None:
    (folder / "a.ndjson").write_bytes(lines(event(1), event(2)))
    (folder / "b.json.gz").write_bytes(gzip.compress(json.dumps([event(3), event(2)]).encode()))
    (folder / "c.gz").write_bytes(gzip.compress(lines(event(4))) + gzip.compress(lines(event(5))))
    (folder / "bad.ndjson").write_bytes(b"\n" + lines({"state": "FAILED"}, event(6)))
    outcome = cli("ingest", "a.ndjson", "b.json.gz", "c.gz", "bad.ndjson", "--json")
    assert outcome.code == 1
    assert outcome.data == counted(8, 6, 1, 0, 1) | {"errors": outcome.data["errors"]}
    (error,) = outcome.data["errors"]
    assert (error["file"], error["index"]) == ("bad.ndjson", 0)
    assert "bad.ndjson, event 0" in cli("ingest", "a.ndjson", "bad.ndjson").err


def test_nothing_is_kept_where_a_file_is_missing(cli: Cli, folder: Path) -> None:
    (folder / "a.ndjson").write_bytes(lines(event(1)))
    assert cli("ingest", "a.ndjson", "missing.ndjson").code == 2
    assert cli.json("ingest", "a.ndjson")["accepted"] == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"[1, 2", "not valid JSON"),
        (gzip.compress(lines(event(1)), mtime=0)[:-9], "too early"),
        (b"\x1f\x8bnothing", "gzip"),
    ],
)
def test_what_cannot_be_read_at_all_is_said_and_the_rest_is_kept(
    cli: Cli, folder: Path, body: bytes, says: str
) -> None:
    (folder / "bad").write_bytes(body)
    (folder / "good").write_bytes(lines(event(1)))
    outcome = cli("ingest", "bad", "good", "--json")
    assert outcome.code == 1
    assert outcome.data["accepted"] == 1
    (line,) = outcome.err.splitlines()
    assert line.startswith("billing: bad: ")
    assert says in line


def test_the_capture_of_prefect(cli: Cli) -> None:
    assert "account" in cli("ingest", CAPTURE, "--json").err
    assert cli.json("ingest", CAPTURE, "--account", "lab") == counted(965, 262, 0, 703, 0) | NO_ERRORS
    again = cli.json("ingest", CAPTURE, "--account", "lab", "--format", "prefect")
    assert again == counted(965, 0, 262, 703, 0) | NO_ERRORS
    assert cli.json("usage", "lab", "--month", "2026-11")["billable"] == 111


def test_old_events_may_come_from_an_operator_and_accounts_may_be_named(cli: Cli) -> None:
    old = event(1, started_at="2001-01-01T00:00:00Z", ended_at="2001-01-01T00:00:05Z")
    del old["account"]
    assert cli.json("ingest", "-", "--account", "acme", stdin=lines(old))["accepted"] == 1
    assert cli.json("usage", "acme", "--month", "2001-01")["billable"] == 1


class TestPieces:
    """A file longer than a piece, without the command around it."""

    BROKEN = 80_000

    def body(self) -> bytes:
        made = lines(*(event(number) for number in range(100_000))).split(b"\n")
        made[self.BROKEN] = b"broken"
        return b"\n".join(made)

    def ingest(self, world: World, body: bytes) -> IngestReport:
        report = IngestReport()
        seen: list[int] = []
        ingest_stream(
            world.store, io.BytesIO(body), report, clock=lambda: world.instant, progress=seen.append
        )
        assert seen == sorted(seen)
        assert seen[-1] == len(body)
        return report

    @pytest.mark.parametrize("compressed", [False, True])
    def test_indexes_run_on(self, sqlite_databases: object, compressed: bool) -> None:
        world = World(sqlite_databases())  # type: ignore[operator]
        body = self.body()
        assert len(body) > 3 * PIECE_BYTES
        report = self.ingest(world, gzip.compress(body, 1) if compressed else body)
        assert (report.received, report.accepted, report.rejected) == (100_000, 99_999, 1)
        assert [each.index for each in report.errors] == [self.BROKEN]

    def test_an_array_longer_than_a_piece(self, sqlite_databases: object) -> None:
        world = World(sqlite_databases())  # type: ignore[operator]
        body = json.dumps([event(number) for number in range(30_000)], indent=1).encode()
        assert len(body) > PIECE_BYTES
        assert self.ingest(world, body).accepted == 30_000

    def test_what_was_read_before_the_break_is_counted(self, sqlite_databases: object) -> None:
        world = World(sqlite_databases())  # type: ignore[operator]
        report = IngestReport()
        cut = gzip.compress(self.body(), 1)[:-1000]
        with pytest.raises(UndecodableBody):
            ingest_stream(world.store, io.BytesIO(cut), report, clock=lambda: world.instant)
        assert 0 < report.accepted < 100_000
        assert world.store.usage("acme", 0, world.instant).counts.billable == report.accepted
