"""The job that tells: figures every five minutes, deliveries every minute, by one service at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from structlog.testing import capture_logs

from billing.alerts.checking import list_alerts
from billing.jobs import NOTIFY, Jobs
from billing.notifications.endpoints import add_endpoint
from billing.repository import jobs
from metering.database import reading, writing
from metering.period import MINUTE_US
from tests.billing.alerts.receiver import Receiver
from tests.billing.alerts.small import small, use
from tests.world import World


@pytest.fixture
def world(engine: sa.Engine, receiver: Receiver) -> World:
    world = small(engine)
    settings = world.service.settings.model_copy(update={"webhook_private": "on"})
    world.service = replace(world.service, settings=settings)
    add_endpoint(engine, receiver.url, private=True, by="test", now=world.instant)
    return world


def test_figures_are_compared_every_five_minutes_and_deliveries_tried_every_minute(
    world: World, receiver: Receiver
) -> None:
    work = Jobs(world.service, "one")
    assert work.notify() == 0
    use(world, *range(5))
    receiver.status = 500
    for minute in range(1, 7):
        world.instant += MINUTE_US
        assert work.notify() == 0
        assert (len(list_alerts(world.engine)) == 1) is (minute >= 5)
        assert len(receiver.got) == max(0, minute - 4)
    receiver.status = 200
    world.instant += 5 * MINUTE_US
    assert work.notify() == 1
    assert work.notify() == 0
    assert len(set(receiver.ids)) == 1
    with reading(world.engine) as connection:
        assert jobs.done_through(connection, NOTIFY) is not None


def test_of_several_services_one_tells(world: World, receiver: Receiver) -> None:
    use(world, *range(5))
    with writing(world.engine) as connection:
        taken = jobs.take(connection, NOTIFY, "another", world.instant, world.instant + 15 * MINUTE_US)
    assert taken is not None
    assert Jobs(world.service, "one").notify() == 0
    world.instant += 15 * MINUTE_US
    assert Jobs(world.service, "one").notify() == 1
    assert len(receiver.got) == 1


def test_settings_of_mail_that_cannot_be_used_are_said_without_their_password(world: World) -> None:
    settings = world.service.settings.model_copy(
        update={"smtp_url": SecretStr("nowhere:s3cret"), "mail_from": "billing@example.com"}
    )
    with capture_logs() as logged:
        assert Jobs(replace(world.service, settings=settings), "one").notify() == 0
    assert [each["event"] for each in logged] == ["nothing is delivered"]
    assert "BILLING_SMTP_URL" in logged[0]["error"] and "s3cret" not in str(logged)


def test_secrets_are_in_no_log(world: World, receiver: Receiver, capfd: pytest.CaptureFixture[str]) -> None:
    use(world, *range(5))
    receiver.status = 500
    made = add_endpoint(world.engine, receiver.url, private=True, by="test", now=world.instant)
    with capture_logs() as logged:
        Jobs(world.service, "one").notify()
    printed = capfd.readouterr()
    assert len(receiver.got) == 2
    assert made.secret not in str(logged) + printed.out + printed.err
    assert [each["event"] for each in logged] == ["threshold reached", "not delivered"]
