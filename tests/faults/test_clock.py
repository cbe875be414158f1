"""The clock of a service is wrong and is put right: it was ahead by more than a year. What waited does not
wait for as long; what was billed too early is right in the end. And the clocks of people are none of the
service's: in nights in which they jump by an hour, and in other time zones, all is as in UTC."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from billing.invoices import list_invoices
from billing.jobs import DAILY, OUTBOX, TRIGGERS, Jobs, Schedule, due_month
from billing.notification_tables import deliveries, webhook_endpoints
from billing.operator_tables import operator_jobs as operator_jobs_table
from billing.payments.rate import REST_US, Rate, believed, reserve
from billing.plans import load_plan_text
from billing.reporting.everything import prove
from billing.repository import idempotency, notifications, operator_jobs
from billing.repository import jobs as leases
from billing.repository.operator_jobs import Job
from billing.schema import upgrade
from billing.tables import jobs as jobs_table
from billing.tables import outbox as outbox_table
from metering.database import make_engine, reading, writing
from metering.period import DAY_US, HOUR_US, MINUTE_US, Month, parse_instant, to_datetime
from tests.billing.months import DOLLAR_A_RUN
from tests.billing.payments.till import Till
from tests.conftest import NewDatabase
from tests.events import runs
from tests.test_readme import ROOT
from tests.world import OCTOBER, World

YEAR_US = 400 * DAY_US
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
# Nights in which the clocks of these zones change, and a day on either side.
NIGHTS = ("2026-03-08", "2026-03-29", "2026-10-25", "2026-11-01", "2026-04-05", "2026-10-04")


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return World(engine)


def test_a_lease_of_who_died_while_the_clock_was_ahead_is_taken_over(world: World) -> None:
    world.account(since="2026-10")
    world.send(runs(3))
    ahead = world.instant + YEAR_US
    with writing(world.engine) as connection:
        assert leases.take(connection, "billing-run", "dead", ahead, ahead + 15 * MINUTE_US) is not None
    assert Jobs(world.service, "alive").billing_run() == [OCTOBER]
    # One whose clock is some minutes ahead is not taken for wrong.
    near = world.instant + 20 * MINUTE_US
    with writing(world.engine) as connection:
        assert leases.take(connection, OUTBOX, "other", near, near + 15 * MINUTE_US) is not None
        assert leases.take(connection, OUTBOX, "alive", world.instant, world.instant + 1) is None


def test_an_invoice_that_waits_for_another_attempt_is_sent(engine: sa.Engine) -> None:
    till = Till(engine)
    ahead = till.world.instant + YEAR_US
    with writing(engine) as connection:
        waits = outbox_table.update().values(status="pending", next_attempt_at=ahead, claimed_until=ahead)
        connection.execute(waits)
    till.world.service.send_due()
    with reading(engine) as connection:
        assert connection.scalars(sa.select(outbox_table.c.status)).all() == ["done"]


@pytest.mark.behind_the_back
def test_a_delivery_that_waits_is_made(world: World) -> None:
    now, ahead = world.instant, world.instant + YEAR_US
    with writing(world.engine) as connection:
        endpoint = {
            "id": "whe_1", "url": "https://x.test", "description": "", "event_types": "[]",
            "status": "enabled", "failures": 3, "paused_until": ahead, "author": "x", "created_at": now,
        }  # fmt: skip
        connection.execute(webhook_endpoints.insert().values(endpoint))
        event = notifications.Event("evt_1", "k", "webhook.test", None, "{}", now)
        notifications.add_events(connection, [event])
        waits = notifications.Delivery(
            "dlv_1", "evt_1", "webhook.test", "webhook", "whe_1", "whe_1", None, "pending", 1, ahead, now
        )
        notifications.add_deliveries(connection, [waits])
        connection.execute(deliveries.update().values(claimed_until=ahead, next_attempt_at=ahead))
        assert notifications.due_targets(connection, now) == ["whe_1"]
        assert notifications.due(connection, "whe_1", now, 10) == ["dlv_1"]
        assert notifications.claim(connection, "dlv_1", now) is not None
        # Once it is claimed it is not due again; and in a day it is.
        assert notifications.due(connection, "whe_1", now, 10) == []


def test_work_and_requests_that_were_cut_short_are_begun_again(world: World) -> None:
    now, ahead = world.instant, world.instant + YEAR_US
    with writing(world.engine) as connection:
        dead = operator_jobs.start(connection, Job("job_1", "run", "2026-10", "ada", ahead, ahead), ahead)
        fresh = Job("job_2", "run", "2026-10", "ada", now, now)
        assert operator_jobs.start(connection, fresh, now - MINUTE_US).id == "job_2"
        assert operator_jobs.get(connection, dead.id).error is not None  # type: ignore[union-attr]
        assert idempotency.claim(connection, "key", "once", "digest", ahead, ahead - HOUR_US) is None
        assert idempotency.claim(connection, "key", "once", "digest", now, now - HOUR_US) is None
        connection.execute(operator_jobs_table.delete())


def test_what_is_known_of_stripes_rate_by_a_wrong_clock_is_forgotten() -> None:
    ahead = reserve(Rate(resume_at=YEAR_US), "dead", 10, YEAR_US)
    assert believed(ahead, 0) == Rate()
    again = reserve(ahead, "alive", 10, 0)
    assert (again.shares["alive"].size, again.resume_at, again.shares.keys()) == (10, 0, {"alive"})
    assert reserve(Rate(resume_at=REST_US), "alive", 10, 0).resume_at == REST_US


def test_jobs_have_their_next_times_anew_when_the_clock_went_back(sqlite_databases: NewDatabase) -> None:
    schedule = Schedule(World(sqlite_databases()).service)
    scheduler = schedule.watch._scheduler
    scheduler.start(paused=True)
    try:
        now = parse_instant("2026-11-20T12:00:00Z")
        ahead = now + YEAR_US
        schedule.watch._seen = 0
        assert not schedule.watch.look(ahead)
        for each in scheduler.get_jobs():
            scheduler.modify_job(each.id, next_run_time=to_datetime(ahead))
        with capture_logs() as logs:
            assert schedule.watch.look(now)
        assert [each["event"] for each in logs] == [
            "the clock went back; all jobs have their next times anew"
        ]
        times = {each.id: each.next_run_time for each in scheduler.get_jobs()}
        assert times[OUTBOX] == to_datetime(now)
        assert max(times.values()) <= to_datetime(now + DAY_US)
        assert not schedule.watch.look(now + 1)
    finally:
        scheduler.shutdown()


def test_a_month_that_was_billed_too_early_is_right_in_the_end(world: World) -> None:
    """On 20 October the clock says 5 November: the month is billed with what came. The rest comes, and the
    next invoice has it: the same in sum as by a clock that was right."""
    load_plan_text(world.engine, DOLLAR_A_RUN, "plan.json", world.instant)
    world.account(since="2026-10", plan="dollar")
    world.instant = parse_instant("2026-11-05T00:00:00Z")
    world.send(runs(20, day="2026-10-05"))
    assert Jobs(world.service, "one").billing_run() == [OCTOBER]
    world.instant = parse_instant("2026-10-20T00:00:00Z")
    assert Jobs(world.service, "one").billing_run() == []
    world.send(runs(30, day="2026-10-25", prefix="rest"))
    world.instant = parse_instant("2026-12-02T00:00:00Z")
    world.send(runs(10, day="2026-11-25", prefix="next"))
    assert Jobs(world.service, "one").billing_run() == [OCTOBER.next()]
    right = World(world.engine)
    right.account("right", since="2026-10", plan="dollar")
    right.send(runs(20, day="2026-10-05", account="right"))
    right.send(runs(30, day="2026-10-25", prefix="rest", account="right"))
    right.send(runs(10, day="2026-11-25", prefix="next", account="right"))
    right.service.run_month(OCTOBER)
    right.instant = world.instant
    right.service.run_month(OCTOBER.next())
    totals = {
        account: sum(each.total for each in list_invoices(world.engine, account=account))
        for account in ("acme", "right")
    }
    assert totals["acme"] == totals["right"] > 0
    assert prove(world.engine, world.store).ok


def test_nothing_is_forgotten_by_a_clock_that_leaps(world: World) -> None:
    """Answers to requests, and starts of runs whose end is to come, are forgotten after some time: but not on
    the day after a long sleep, in which the clock may have been set wrong."""
    work = Jobs(world.service, "one")
    work.daily()
    with writing(world.engine) as connection:
        idempotency.claim(connection, "key", "once", "digest", world.instant, 0)
    world.instant += YEAR_US
    assert work.daily() == 0
    world.instant += DAY_US
    assert work.daily() == 1
    with reading(world.engine) as connection:
        query = sa.select(jobs_table.c.done_through).where(jobs_table.c.name == DAILY)
        assert connection.scalar(query) == str(to_datetime(world.instant).date())


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("night", NIGHTS)
def test_jobs_run_once_in_a_night_in_which_the_clocks_of_people_change(zone: str, night: str) -> None:
    """Seen from anywhere: daily jobs once each day of UTC, hourly ones every hour, whatever the wall says."""
    begin = datetime.fromisoformat(night).replace(tzinfo=UTC) - timedelta(days=1)
    end = begin + timedelta(days=3)
    for name, each_hours in ((DAILY, 24), ("reconcile", 24), ("billing-run", 1), ("stripe-events", 1)):
        fired, now = [], begin.astimezone(ZoneInfo(zone))
        while (following := TRIGGERS[name].get_next_fire_time(None, now)) < end:
            fired.append(following)
            now = (following + timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
        assert len(fired) == 72 // each_hours
        assert {b - a for a, b in pairwise(fired)} == {timedelta(hours=each_hours)}
        assert all(each.utcoffset() == timedelta(0) for each in fired)


SCRIPT = """
import json
from billing.cli.output import print_json
from billing.jobs import TRIGGERS, due_month
from billing.api.quotas import Quota
from metering import clock
from metering.period import Month, day_of, format_instant, parse_instant, to_datetime

said = []
for text in ("2026-11-01T04:30:00Z", "2026-11-01T00:00:00Z", "2026-10-25T00:59:59Z", "2026-03-29T01:00:00Z",
             "2026-12-31T23:30:00-05:00", "2026-04-01T00:30:00+02:00"):
    now = parse_instant(text)
    said.append([format_instant(now), str(Month.of(now)), str(day_of(now)), str(due_month(now, 24))])
    said.append([str(each.get_next_fire_time(None, to_datetime(now))) for each in TRIGGERS.values()])
assert clock.now().utcoffset().total_seconds() == 0
print(json.dumps(said))
"""


def _in_zone(zone: str, folder: Path, *command: str, **settings: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    env = {**inherited, "TZ": zone, "PYTHONPATH": str(ROOT), **settings}
    done = subprocess.run(
        [sys.executable, *command], env=env, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_is_the_same_in_every_zone(tmp_path: Path) -> None:
    """Instants, months, days, jobs; and a month that is billed, by a process in each zone."""
    said = {_in_zone(zone, tmp_path, "-c", SCRIPT) for zone in ZONES[:3]}
    assert len(said) == 1
    month = Month.parse("2026-03")
    state = {"account": "acme", "state": "COMPLETED"}
    events = "".join(
        json.dumps(state | {"task_run_id": f"r{number}", "started_at": at, "ended_at": end}) + "\n"
        for number, (at, end) in enumerate(
            [
                ("2026-02-28T23:59:50Z", "2026-02-28T23:59:59.999999Z"),
                ("2026-02-28T23:59:50Z", "2026-03-01T00:00:00Z"),
                ("2026-03-08T01:59:50-05:00", "2026-03-08T03:00:00-04:00"),
                ("2026-03-29T01:59:50+01:00", "2026-03-29T03:00:00+02:00"),
                ("2026-03-31T23:59:50Z", "2026-03-31T23:59:59.999999Z"),
                ("2026-03-31T23:59:50Z", "2026-04-01T00:00:00Z"),
            ]
        )
    )
    (tmp_path / "events.ndjson").write_text(events)
    found = set()
    for zone in ZONES[:2]:
        url = {"BILLING_DATABASE_URL": f"sqlite:///{tmp_path / zone.replace('/', '-')}.db"}
        cli = ("-m", "billing.cli")
        engine = make_engine(url["BILLING_DATABASE_URL"])
        upgrade(engine)
        World(engine).account(since="2026-02")
        engine.dispose()
        _in_zone(zone, tmp_path, *cli, "ingest", "events.ndjson", **url)
        usage = ("usage", "acme", "--month", str(month), "--by", "hour", "--json")
        found.add(_in_zone(zone, tmp_path, *cli, *usage, **url))
    (only,) = found
    assert json.loads(only)["billable"] == 4


def test_the_month_that_is_due_is_one_of_utc() -> None:
    """In New York it is still October, in Berlin November for an hour already."""
    boundary = OCTOBER.end + DAY_US
    assert (due_month(boundary - 1, 24), due_month(boundary, 24)) == (OCTOBER.previous(), OCTOBER)
