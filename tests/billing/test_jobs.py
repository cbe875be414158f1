"""What the service does by itself, with the clock frozen at the moments that matter."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from freezegun import freeze_time
from structlog.testing import capture_logs

import billing.tables
from billing.app import Service
from billing.invoices import list_invoices
from billing.jobs import (
    COLLECT,
    DAILY,
    EVENTS,
    MONTHLY,
    NOTIFY,
    OUTBOX,
    RECONCILE,
    Jobs,
    Schedule,
    due_month,
    next_billing_run,
)
from billing.payments.stripe_sandbox import Fault, FaultKind, FaultSchedule
from billing.repository import jobs as leases
from billing.sources import add_source, list_sources, server_of
from metering import clock
from metering.database import reading, writing
from metering.period import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Month, format_instant, parse_instant
from tests.billing.misuse import HONEST, send_months
from tests.billing.payments.till import Till
from tests.conftest import NewDatabase
from tests.events import runs
from tests.metering.prefect_double import prefect_double
from tests.world import World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """Its service lives by the real clock, which the tests freeze."""
    world = World(engine, now=parse_instant("2023-11-15T00:00:00Z"))
    settings, store = world.service.settings, world.store
    world.service = Service(settings, engine, store, clock.now_instant, None)
    return world


def _jobs(world: World, holder: str = "one") -> Jobs:
    return Jobs(world.service, holder)


def _months(months: list[Month]) -> list[str]:
    return [str(month) for month in months]


@pytest.mark.parametrize(
    ("now", "grace_hours", "due"),
    [
        ("2026-11-01T23:59:59.999999Z", 24, "2026-09"),
        ("2026-11-02T00:00:00Z", 24, "2026-10"),
        ("2026-11-30T23:59:59Z", 24, "2026-10"),
        ("2026-01-01T00:00:00Z", 0, "2025-12"),
        ("2026-01-01T12:00:00Z", 24, "2025-11"),
        ("2024-03-01T23:59:59Z", 24, "2024-01"),
        ("2024-03-02T00:00:00Z", 24, "2024-02"),
        ("2023-03-02T00:00:00Z", 24, "2023-02"),
        ("2026-11-04T00:00:00Z", 72, "2026-10"),
        ("2026-11-03T23:00:00Z", 72, "2026-09"),
    ],
)
def test_the_month_that_is_due(now: str, grace_hours: int, due: str) -> None:
    assert str(due_month(parse_instant(now), grace_hours)) == due


def test_a_month_is_billed_by_itself_once_its_grace_period_is_over(world: World) -> None:
    world.account(since="2024-02")
    world.send(runs(3, day="2024-02-29"), runs(2, day="2024-03-01", prefix="m"))
    with freeze_time("2024-03-01T23:59:59Z"):
        assert _months(_jobs(world).billing_run()) == []
    with freeze_time("2024-03-02T00:00:30Z"):
        assert _months(_jobs(world).billing_run()) == ["2024-02"]
        assert _months(_jobs(world).billing_run()) == []
    (invoice,) = list_invoices(world.engine)
    assert (str(invoice.month), invoice.billable) == ("2024-02", 3)


def test_a_service_that_slept_through_its_time_runs_the_months_it_missed_in_order(world: World) -> None:
    world.account(since="2023-11")
    for month, quantity in (("2023-11", 1), ("2023-12", 2), ("2024-01", 3), ("2024-02", 4), ("2024-03", 5)):
        world.send(runs(quantity, day=f"{month}-28", prefix=month))
    with freeze_time("2023-12-02T00:00:30Z"):
        assert _months(_jobs(world).billing_run()) == ["2023-11"]
    with freeze_time("2024-03-17T09:30:00Z"):
        assert _months(_jobs(world).billing_run()) == ["2023-12", "2024-01", "2024-02"]
    billed = [(str(invoice.month), invoice.billable) for invoice in list_invoices(world.engine)]
    assert sorted(billed) == [("2023-11", 1), ("2023-12", 2), ("2024-01", 3), ("2024-02", 4)]


def test_of_several_services_one_acts(world: World) -> None:
    world.account(since="2023-11")
    world.send(runs(1, day="2023-11-20"))
    with freeze_time("2023-12-05T00:00:30Z") as frozen:
        now = clock.now_instant()
        with writing(world.engine) as connection:
            assert leases.take(connection, MONTHLY, "another", now, now + 15 * MINUTE_US) is not None
        assert _jobs(world).billing_run() == []
        # The other one died: its lease runs out, and the work is taken over.
        frozen.move_to(datetime(2023, 12, 5, 0, 15, 30, tzinfo=UTC))
        assert _months(_jobs(world).billing_run()) == ["2023-11"]
        with reading(world.engine) as connection:
            assert leases.done_through(connection, MONTHLY) == "2023-11"


def test_a_lease_is_given_back_also_after_an_error(world: World) -> None:
    world.account(since="2023-11")
    world.send(runs(1, day="2023-11-20"))
    with freeze_time("2023-12-05T00:00:30Z"):
        broken = Jobs(Service(world.service.settings, world.engine, None, clock.now_instant, None), "one")  # type: ignore[arg-type]
        with pytest.raises(AttributeError):
            broken.billing_run()
        assert _months(_jobs(world, "two").billing_run()) == ["2023-11"]


def test_nothing_is_marked_as_done_before_there_is_anything_to_do(world: World) -> None:
    """A service that was started on an empty database, and got its history and accounts later."""
    with freeze_time("2023-12-02T00:00:30Z"):
        assert _jobs(world).billing_run() == []
    world.account(since="2023-10")
    world.send(runs(1, day="2023-10-20"), runs(2, day="2023-11-20", prefix="n"))
    with freeze_time("2023-12-05T00:00:30Z"):
        assert _months(_jobs(world).billing_run()) == ["2023-10", "2023-11"]
    world.account("late", since="2023-09")
    world.send(runs(1, account="late", day="2023-09-20"))
    with freeze_time("2024-01-02T00:00:30Z"):
        assert _months(_jobs(world).billing_run()) == ["2023-09"]
    assert len(list_invoices(world.engine)) == 3


def test_a_month_in_which_an_account_failed_is_run_again(world: World) -> None:
    world.account(since="2023-11")
    world.send(runs(1, day="2023-11-20"))
    terms = billing.tables.account_terms
    with writing(world.engine) as connection:
        agreed = connection.scalar(sa.select(terms.c.data))
        connection.execute(terms.update().values(data=agreed.replace("2021-02", "none")))
    with freeze_time("2023-12-02T00:00:30Z"):
        assert _months(_jobs(world).billing_run()) == ["2023-11"]
    assert list_invoices(world.engine) == []
    with writing(world.engine) as connection:
        connection.execute(terms.update().values(data=agreed))
    with freeze_time("2023-12-02T01:00:30Z"):
        assert _months(_jobs(world).billing_run()) == ["2023-11"]
        assert _jobs(world).billing_run() == []
    assert len(list_invoices(world.engine)) == 1


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-02-29T12:00:00Z", "2024-03-02T00:00:30Z"),
        ("2024-01-31T23:00:00Z", "2024-02-02T00:00:30Z"),
        ("2024-12-15T00:00:00Z", "2025-01-02T00:00:30Z"),
    ],
)
def test_the_next_times_are_known(world: World, now: str, expected: str) -> None:
    world.account(since="2023-11")
    with freeze_time(now):
        assert format_instant(next_billing_run(world.service)) == expected


def test_a_month_that_was_missed_is_run_at_the_next_full_hour(world: World) -> None:
    world.account(since="2023-11")
    world.send(runs(1, day="2023-11-20"))
    with freeze_time("2024-03-05T00:07:00Z"):
        assert format_instant(next_billing_run(world.service)) == "2024-03-05T01:00:30Z"


def test_the_schedule_starts_says_its_next_times_and_stops(world: World) -> None:
    schedule = Schedule(world.service)
    schedule.start()
    try:
        times = schedule.next_times()
    finally:
        schedule.stop()
    assert times.keys() == {MONTHLY, OUTBOX, DAILY, EVENTS, RECONCILE, COLLECT, NOTIFY}
    assert all(parse_instant(time) >= clock.now_instant() - MINUTE_US for time in times.values())
    assert times[DAILY].endswith("T00:10:00Z")


def test_lost_webhooks_are_taken_in_every_hour_from_where_the_last_look_ended(engine: sa.Engine) -> None:
    till = Till(engine)
    work = Jobs(till.world.service, "one")
    work.stripe_events()  # the events of sending
    till.world.instant += HOUR_US
    till.pay()
    assert work.stripe_events() > 0
    assert till.invoice.status == "paid"
    till.world.instant += HOUR_US
    till.sandbox.log.clear()
    assert work.stripe_events() == 0
    (asked,) = till.sandbox.log
    assert int(asked.params["created"]["gte"]) == (till.world.instant - 3 * HOUR_US) // SECOND_US


def test_while_stripe_cannot_be_asked_the_next_look_begins_where_this_one_did(engine: sa.Engine) -> None:
    till = Till(engine)
    work = Jobs(till.world.service, "one")
    work.stripe_events()
    till.pay()
    till.world.instant += 5 * DAY_US
    route = "/v1/events"
    faults = [Fault("GET", route, nth=nth, kind=FaultKind.CLOSED_BEFORE_APPLYING) for nth in (1, 2, 3)]
    till.sandbox.faults = FaultSchedule(faults)
    assert work.stripe_events() == 0
    assert till.invoice.status == "open"
    till.world.instant += HOUR_US
    assert work.stripe_events() > 0
    assert till.invoice.status == "paid"


class _Hurried(threading.Event):
    """Time passes at once."""

    def wait(self, timeout: float | None = None) -> bool:
        return False


def test_sources_are_collected_from_and_one_that_fails_keeps_no_other_waiting(world: World) -> None:
    with prefect_double() as double, freeze_time("2026-10-03T12:00:15Z") as frozen:
        double.clock = clock.now_instant
        double.finish(1, end="2026-10-03T11:00:00Z")
        since = parse_instant("2026-10-03T00:00:00Z")
        now = clock.now_instant()
        for name, url in (("a", "http://127.0.0.1:1"), ("b", double.url)):
            add_source(world.engine, "acme", name, server_of(url), since=since, now=now)
        double.answers = [(429, {"Retry-After": "90"}, b"")] * 2
        work = Jobs(world.service, "one", _Hurried())
        assert work.collect() == 2
        first, second = list_sources(world.engine)
        assert "cannot be reached" in (first.error or "")
        assert "answers 429" in (second.error or "")
        # One is asked again each minute; the other when it said.
        frozen.tick(60)
        assert work.collect() == 1
        frozen.tick(60)
        assert work.collect() == 2
        first, second = list_sources(world.engine)
        assert (second.error, second.complete_to) == (None, parse_instant("2026-10-03T11:56:45Z"))
        assert world.store.has_account("acme")
        with reading(world.engine) as connection:
            assert leases.done_through(connection, COLLECT) == "2026-10-03T12:02:15Z"


def test_a_source_with_which_something_unforeseen_is_wrong_keeps_no_other_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLING_PREFECT_API_KEY_A", "clé")  # no header can hold it
    with prefect_double() as double, freeze_time("2026-10-03T12:00:15Z"):
        double.clock = clock.now_instant
        now = clock.now_instant()
        broken = server_of("http://127.0.0.1:1", key_name="BILLING_PREFECT_API_KEY_A")
        for name, server in (("a", broken), ("b", server_of(double.url))):
            add_source(world.engine, "acme", name, server, since=now - HOUR_US, now=now)
        _jobs(world).collect()
        first, second = list_sources(world.engine)
        assert "unexpected UnicodeEncodeError" in (first.error or "")
        assert (second.error, second.tried_at) == (None, now)


def test_nothing_is_collected_once_the_service_stops(world: World) -> None:
    now = world.service.now()
    add_source(world.engine, "acme", "a", server_of("http://127.0.0.1:1"), since=now, now=now)
    work = _jobs(world)
    work.stopping.set()
    assert work.collect() == 0


def test_accounts_that_show_signs_of_misuse_are_counted_once_a_day(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    world.service = replace(world.service, now=clock.now_instant)
    send_months(world.store, (*HONEST, "cacher", "latecomer"))
    with freeze_time("2026-10-05T00:10:00Z"), capture_logs() as logs:
        _jobs(world).daily()
    (warning,) = [each for each in logs if each["log_level"] == "warning"]
    assert warning["event"] == "accounts show signs of misuse"
    assert (warning["accounts"], warning["accounts_of_month_before"]) == (2, 0)
    assert warning["look"] == "billing anomalies --month 2026-10"
    with freeze_time("2026-11-15T00:10:00Z"), capture_logs() as logs:
        _jobs(world).daily()
    (warning,) = [each for each in logs if each["log_level"] == "warning"]
    assert (warning["accounts"], warning["look"]) == (0, "billing anomalies --month 2026-10")
    with freeze_time("2027-02-15T00:10:00Z"), capture_logs() as logs:
        _jobs(world).daily()
    assert all(each["log_level"] == "info" for each in logs)
