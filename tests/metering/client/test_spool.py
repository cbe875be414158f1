"""Events on disk: what is there after a crash, who sends it, and how much may wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from metering.client import SpoolError, SpoolFull
from metering.client.spool import SEGMENT_EVENTS, Spool

LIMIT = 1 << 20


def drained(spool: Spool) -> list[bytes]:
    """All that waits, as if the service took it."""
    found = []
    while (segment := spool.next()) is not None:
        found += spool.read(segment)
        spool.remove(segment)
    return found


def test_what_was_kept_is_sent_once_in_the_order_of_calls(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new" / "spool", LIMIT)
    spool.append([b"1\n", b"2\n"])
    spool.append([b"3\n"])
    assert drained(spool) == [b"1\n", b"2\n", b"3\n"]
    assert drained(spool) == []
    assert spool.size == 0


def test_what_comes_while_a_segment_is_sent_waits_for_the_next(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    spool.append([b"1\n"])
    first = spool.next()
    assert first is not None
    spool.append([b"2\n"])
    assert spool.read(first) == [b"1\n"]
    assert spool.next() == first  # until it is removed
    spool.remove(first)
    assert drained(spool) == [b"2\n"]


def test_a_long_call_makes_batches(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    lines = [b"%d\n" % number for number in range(SEGMENT_EVENTS * 2 + 1)]
    spool.append(lines)
    first = spool.next()
    assert first is not None and len(spool.read(first)) == SEGMENT_EVENTS
    assert drained(spool) == lines


def test_another_takes_over_what_a_process_left(tmp_path: Path) -> None:
    """Not while it lives: nothing is sent by two."""
    gone, heir = Spool(tmp_path, LIMIT), Spool(tmp_path, LIMIT)
    gone.append([b"1\n"])
    assert heir.next() is None
    gone.disown()  # its locks end, as with the process
    assert drained(heir) == [b"1\n"]
    heir.close()
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_was_cut_short_is_of_a_call_that_never_returned(tmp_path: Path) -> None:
    gone = Spool(tmp_path, LIMIT)
    gone.append([b"1\n"])
    gone.disown()
    (segment,) = tmp_path.glob("*.ndjson")
    segment.write_bytes(segment.read_bytes() + b'{"account":')
    assert drained(Spool(tmp_path, LIMIT)) == [b"1\n"]


def test_a_closed_spool_leaves_the_rest(tmp_path: Path) -> None:
    first = Spool(tmp_path, LIMIT)
    first.append([b"1\n"])
    first.close()
    second = Spool(tmp_path, LIMIT)
    assert second.size == 2
    assert drained(second) == [b"1\n"]


def test_a_full_spool_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10)
    spool.append([b"12345678\n"])
    with pytest.raises(SpoolFull, match=r"is full \(9 of 10 bytes\); see the log for why"):
        spool.append([b"1\n"])
    assert drained(spool) == [b"12345678\n"]
    spool.append([b"1\n"])
    assert drained(spool) == [b"1\n"]


def test_room_that_another_process_makes_is_seen(tmp_path: Path) -> None:
    first, second = Spool(tmp_path, 10), Spool(tmp_path, 10)
    first.append([b"12345678\n"])
    second.append([b"1\n"])  # sees the rest of the folder when it has to
    third = Spool(tmp_path, 10)
    with pytest.raises(SpoolFull):
        third.append([b"1\n"])
    drained(first)
    third.append([b"1\n"])


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match=r"cannot be used: (not a directory|file exists)"):
        Spool(tmp_path / "file", LIMIT)
