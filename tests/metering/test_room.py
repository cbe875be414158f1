"""After a write that found no room, another is tried; `tests.faults.test_disk_full` has a full disk."""

from __future__ import annotations

import sqlalchemy as sa

from metering.room import has_room, room_of


def test_where_there_is_room_it_is_found_and_nothing_is_left(engine: sa.Engine) -> None:
    room = room_of(engine)
    assert room is not None and has_room(engine)
    before = sa.inspect(engine).get_table_names()
    room.wanting = True
    assert has_room(engine) and not room.wanting
    assert sa.inspect(engine).get_table_names() == before
