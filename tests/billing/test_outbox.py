"""Which of an invoice's intents may be worked on, and when; on both engines."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billing.credit_notes import credit_note
from billing.repository import outbox
from metering.database import reading, writing
from metering.period import MINUTE_US
from tests.billing.months import bill, dollars
from tests.events import runs
from tests.world import World


class Desk:
    """An invoice that is to be sent, credited, and (`ask_void`) voided."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.send = bill(world).id
        self.void = outbox.void_id(self.send)
        now = world.instant
        self.note = credit_note(world.engine, self.send, "1", "goodwill", "sorry", by="o", now=now).id

    def ask_void(self) -> None:
        with writing(self.world.engine) as connection:
            outbox.add_void(connection, self.send, by="o", reason="r", now=self.world.instant)

    def claim(self, intent_id: str) -> bool:
        now = self.world.instant
        with writing(self.world.engine) as connection:
            return outbox.claim(connection, intent_id, now, now + MINUTE_US) is not None

    def finish(self, intent_id: str) -> bool:
        with writing(self.world.engine) as connection:
            return outbox.finish(connection, intent_id)

    def due(self) -> list[str]:
        with reading(self.world.engine) as connection:
            return outbox.due(connection, self.world.instant)


@pytest.fixture
def desk(engine: sa.Engine) -> Desk:
    world = dollars(engine)
    world.send(runs(5))
    return Desk(world)


def test_a_note_waits_until_its_invoice_is_sent(desk: Desk) -> None:
    assert desk.due() == [desk.send, desk.note]
    assert not desk.claim(desk.note)
    assert desk.claim(desk.send)
    assert not desk.claim(desk.send)
    desk.finish(desk.send)
    assert desk.claim(desk.note)


def test_a_sending_waits_for_a_void_that_takes_its_place(desk: Desk) -> None:
    desk.ask_void()
    assert desk.due() == [desk.send, desk.note, desk.void]
    assert not desk.claim(desk.send)
    assert not desk.claim(desk.note)
    assert desk.claim(desk.void)


@pytest.mark.parametrize("first", ["send", "note"])
def test_one_process_at_a_time_works_on_an_invoice(desk: Desk, first: str) -> None:
    if first == "note":
        assert desk.claim(desk.send)
        desk.finish(desk.send)
    assert desk.claim(getattr(desk, first))
    desk.ask_void()
    assert not desk.claim(desk.void)
    desk.world.instant += MINUTE_US  # that process died
    assert desk.claim(desk.void)
    assert not desk.claim(desk.note)


def test_an_intent_is_done_once(desk: Desk) -> None:
    assert desk.claim(desk.send)
    assert [desk.finish(desk.send), desk.finish(desk.send)] == [True, False]


def test_a_step_is_begun_while_the_intent_is_pending(desk: Desk) -> None:
    until = desk.world.instant + MINUTE_US
    with writing(desk.world.engine) as connection:
        before = outbox.begin(connection, desk.send, desk.world.instant, until)
        again = outbox.begin(connection, desk.send, desk.world.instant + 1, until)
    assert before is not None
    assert again is not None
    assert (before.step_since, again.step_since) == (0, desk.world.instant)
    with writing(desk.world.engine) as connection:
        outbox.settle_void(connection, desk.send)
        assert outbox.begin(connection, desk.send, desk.world.instant, until) is None
