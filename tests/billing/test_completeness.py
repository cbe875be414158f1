"""A month is billed once the account's sources are complete to its end."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

import billing.tables
from billing.approvals import approve_month
from billing.audit.trail import changing
from billing.billing_run import run_month
from billing.completeness import account_watermark
from billing.invoices import list_invoices
from billing.repository import runs as billing_runs
from billing.run_report import RunReport, run_data
from billing.sources import add_source, declare, remove_source, server_of
from metering.collecting.source import Source
from metering.database import reading, writing
from metering.period import DAY_US, HOUR_US, format_instant
from tests.events import runs
from tests.world import NOVEMBER_2, OCTOBER, World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """Two accounts with task runs in October; the first one has a source."""
    world = World(engine)
    for account in ("acme", "globex"):
        world.account(account)
        world.send(runs(3, account=account))
    return world


def say(world: World, complete_to: int, *, source: str = "airflow", account: str = "acme") -> Source:
    return declare(world.engine, world.store, account, source, complete_to=complete_to, now=world.instant)


def run(world: World, *, early: bool = False, bill_incomplete: bool = False) -> RunReport:
    return run_month(
        world.engine,
        world.store,
        OCTOBER,
        now=world.instant,
        grace_hours=24,
        early=early,
        bill_incomplete=bill_incomplete,
    )


def statuses(world: World) -> dict[str, str]:
    return {each.account: each.status for each in list_invoices(world.engine)}


def test_an_account_without_sources_is_billed_as_before(world: World) -> None:
    report = run(world)
    assert (report.finalized, report.drafted, report.incomplete) == (2, 0, [])
    assert account_watermark(world.engine, "acme") == {}


def test_an_account_whose_source_is_not_complete_is_named_and_left_as_a_draft(world: World) -> None:
    say(world, OCTOBER.end - 1)
    report = run(world)
    assert statuses(world) == {"acme": "draft", "globex": "paid"}
    assert (report.finalized, report.drafted) == (1, 1)
    assert [each.to_data() for each in report.incomplete] == [
        {"account": "acme", "source": "airflow", "complete_to": "2026-10-31T23:59:59.999999Z"}
    ]
    with reading(world.engine) as connection:
        stored = billing_runs.get(connection, report.id)
    assert stored is not None
    assert run_data(world.engine, stored)["incomplete"] == [each.to_data() for each in report.incomplete]


def test_once_it_is_complete_the_next_run_bills_it(world: World) -> None:
    say(world, OCTOBER.end - HOUR_US)
    run(world)
    world.send(runs(2, day="2026-10-31", prefix="late"))
    say(world, OCTOBER.end)
    report = run(world)
    assert (report.finalized, report.incomplete) == (1, [])
    billed = {each.account: each.billable for each in list_invoices(world.engine)}
    assert billed == {"acme": 5, "globex": 3}
    assert statuses(world)["acme"] == "paid"


def test_told_otherwise_it_is_billed_and_still_named(world: World) -> None:
    say(world, OCTOBER.start)
    report = run(world, bill_incomplete=True)
    assert statuses(world) == {"acme": "paid", "globex": "paid"}
    assert [each.account for each in report.incomplete] == ["acme"]


def test_the_draft_may_be_approved(world: World) -> None:
    say(world, OCTOBER.start)
    run(world)
    approve_month(world.engine, world.store, OCTOBER, by="somebody", now=world.instant, grace_hours=24)
    assert statuses(world)["acme"] == "paid"
    assert run(world).incomplete == []


def test_every_source_has_to_be_complete(world: World) -> None:
    say(world, OCTOBER.end)
    say(world, OCTOBER.end - DAY_US, source="dagster")
    assert [each.source for each in run(world).incomplete] == ["dagster"]
    found = account_watermark(world.engine, "acme")
    assert found["watermark"]["complete_to"] == "2026-10-31T00:00:00Z"


def test_a_source_that_was_never_read_is_not_complete(world: World) -> None:
    server = server_of("http://prefect:4200")
    added = add_source(world.engine, "acme", "eu", server, since=OCTOBER.start, now=world.instant)
    assert [each.complete_to for each in run(world).incomplete] == [None]
    found = account_watermark(world.engine, "acme")
    assert found["watermark"]["complete_to"] is None
    remove_source(world.engine, added, now=world.instant)
    assert run(world).finalized == 1


def test_a_source_that_began_after_the_month_has_no_say_in_it(world: World) -> None:
    server = server_of("http://prefect:4200")
    add_source(world.engine, "acme", "eu", server, since=OCTOBER.end, now=world.instant)
    assert run(world).incomplete == []


def test_what_was_said_after_the_cutoff_does_not_count_for_a_run_that_resumes(world: World) -> None:
    """It was cut short when the source was not complete; what completes it lies beyond its cutoff."""
    say(world, OCTOBER.start)
    first = run(world)
    cut = changing(world.engine, "billing_run.cut", "billing_run", first.id, now=world.instant)
    with cut as connection:
        connection.execute(sa.text("UPDATE billing_runs SET finished_at = NULL"))
    world.send(runs(2, day="2026-10-31", prefix="late"))
    say(world, OCTOBER.end)
    again = run(world)
    assert again.id == first.id
    assert [each.account for each in again.incomplete] == ["acme"]
    assert run(world).finalized == 1
    assert {each.account: each.billable for each in list_invoices(world.engine)}["acme"] == 5


def test_an_account_that_is_named_may_have_nothing_to_bill_yet(world: World) -> None:
    """Its source is down, and nothing of the month was handed in at all."""
    world.account("initech")
    say(world, OCTOBER.start, account="initech")
    report = run(world)
    assert [each.account for each in report.incomplete] == ["initech"]
    assert (report.finalized, report.drafted) == (2, 0)


def test_many_accounts_are_sorted_out_within_a_batch(world: World) -> None:
    for number in range(20):
        account = f"a{number:02d}"
        world.account(account)
        world.send(runs(1, account=account))
        if number % 2:
            say(world, OCTOBER.start, account=account)
    report = run(world)
    assert (report.finalized, report.drafted, len(report.incomplete)) == (12, 10, 10)
    found = statuses(world)
    assert all((found[f"a{each:02d}"] == "draft") == bool(each % 2) for each in range(20))


def test_an_early_run_makes_drafts_and_names_nobody(world: World) -> None:
    say(world, OCTOBER.start)
    report = run(world, early=True)
    assert (report.drafted, report.incomplete) == (2, [])
    assert format_instant(NOVEMBER_2) == format_instant(world.instant)


@pytest.mark.behind_the_back
def test_an_account_that_is_billed_alone_is_left_as_a_draft_all_the_same(world: World) -> None:
    """One account's books cannot be read, so that each of the batch is billed by itself."""
    world.account("broken")
    world.send(runs(1, account="broken"))
    terms = billing.tables.account_terms
    with writing(world.engine) as connection:
        connection.execute(terms.update().where(terms.c.account_id == "broken").values(data="{"))
    say(world, OCTOBER.start)
    report = run(world)
    assert [account for account, _ in report.failed] == ["broken"]
    assert statuses(world) == {"acme": "draft", "globex": "paid"}
