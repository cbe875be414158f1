"""The month: who is billed, who is not and why, numbers, cutoffs, drafts; on both engines."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from billing.closing import close_account, what_is_left
from billing.errors import NotFound, Refused
from billing.invoices import invoice_data, list_invoices, preview, show_invoice
from billing.plans import load_plan_text
from billing.pricing.line import LineKind
from billing.reporting.proof import invoice_run_list, verify
from billing.repository import invoices
from billing.tables import invoices as invoices_table
from billing.unrun_months import unrun_months
from billing.voids import void_invoice
from metering.database import reading, writing
from metering.outcome import Outcome
from metering.period import HOUR_US, Month
from metering.store.sql import SqlEventStore
from metering.usage import Usage
from tests.events import event, runs
from tests.world import NOVEMBER_2, OCTOBER, World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return World(engine)


def test_a_month_of_runs_becomes_an_invoice(world: World) -> None:
    world.account()
    world.send(runs(10_400), runs(7, state="FAILED", prefix="f"), runs(3, state="ROLLED_BACK", prefix="b"))
    report = world.service.run_month(OCTOBER)
    assert (report.finalized, report.skipped, report.failed, report.unassigned) == (1, 0, [], [])
    invoice = show_invoice(world.engine, next(iter(report.invoices)).id)
    assert (invoice.number, invoice.status, invoice.plan) == (
        "2026-10-000001",
        "finalized",
        "starter@2021-02",
    )
    assert [(line.quantity, line.amount) for line in invoice.lines] == [(10_000, 0), (400, 100)]
    assert (invoice.total, invoice.billable) == (100, 10_400)
    assert invoice.not_billed == {
        "too_short": 0, "cached": 0, "failed": 7, "crashed": 0, "cancelled": 0, "reversed": 3
    }  # fmt: skip
    assert invoice.usage_by_day == {"2026-10-03": {"billable": 10_400, "failed": 7, "reversed": 3}}
    assert show_invoice(world.engine, "2026-10-000001") == invoice


def test_runs_over_a_soft_limit_are_shown_on_the_invoice_and_not_charged(world: World) -> None:
    world.account(plan="developer")
    world.send(runs(10_002))
    (invoice,) = world.service.run_month(OCTOBER).invoices
    shown = invoice_data(world.engine, invoice, world.instant)
    assert (shown["total"], shown["billable"], shown["over_soft_limit"]) == (0, 10_002, 2)
    assert shown["notes"] == [
        "2 task runs are over the plan's limit of 10,000 a month: counted, and not charged."
    ]


def test_the_run_list_proves_the_quantity(world: World) -> None:
    world.account()
    world.send(runs(12), runs(5, state="CRASHED", prefix="x"))
    (invoice,) = world.service.run_month(OCTOBER).invoices
    csv = b"".join(invoice_run_list(world.engine, world.store, invoice.id))
    assert hashlib.sha256(csv).hexdigest() == invoice.run_list_sha256
    lines = csv.decode().splitlines()
    assert lines[0] == "task_run_id,ended_at,duration_us"
    assert lines[1] == "run-0000000,2026-10-03T12:00:05Z,5000000"
    assert len(lines) == 1 + invoice.billable == 13


def test_running_again_changes_nothing(world: World) -> None:
    world.account()
    world.send(runs(20))
    first = world.service.run_month(OCTOBER)
    made = list(first.invoices)
    world.send(runs(5, prefix="late"))
    again = world.service.run_month(OCTOBER)
    assert (again.finalized, again.skipped) == (0, 1)
    assert list(again.invoices) == made
    assert again.id != first.id


def test_late_events_show_in_usage_and_leave_the_issued_invoice_as_it_is(world: World) -> None:
    world.account()
    world.send(runs(20))
    (invoice,) = world.service.run_month(OCTOBER).invoices
    world.send(runs(5, prefix="late"), [event("run-0000003", state="ROLLED_BACK")])
    assert world.store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == 24
    assert verify(world.engine, world.store, invoice.id).ok
    assert show_invoice(world.engine, invoice.id) == invoice


@pytest.mark.behind_the_back
def test_verify_names_what_was_tampered_with(world: World) -> None:
    world.account()
    world.send(runs(10_800))
    (invoice,) = world.service.run_month(OCTOBER).invoices
    with writing(world.engine) as connection:
        connection.execute(invoices_table.update().values(total=1, billable=7))
    found = verify(world.engine, world.store, invoice.id)
    assert not found.ok
    assert [(d.field, d.stored, d.recomputed) for d in found.differences] == [
        ("billable", 7, 10_800),
        ("total", 1, 200),
        ("total", 1, 200),
    ]


def test_an_account_that_billing_does_not_know_is_reported_and_not_billed(world: World) -> None:
    world.send(runs(3, account="stranger"), runs(2, account="stranger", state="FAILED", prefix="f"))
    report = world.service.run_month(OCTOBER)
    assert report.unassigned == [("stranger", 3)]
    assert list(report.invoices) == []
    world.account("stranger")
    assert world.service.run_month(OCTOBER).finalized == 1


def test_a_total_of_zero_is_numbered_and_paid(world: World) -> None:
    world.account()
    world.send(runs(2, state="FAILED"))
    (invoice,) = world.service.run_month(OCTOBER).invoices
    assert (invoice.status, invoice.total, invoice.number) == ("paid", 0, "2026-10-000001")


def test_an_account_without_a_task_run_in_the_month_gets_no_invoice(world: World) -> None:
    world.account("idle")
    world.account("earlier")
    world.account("moved")
    world.send(runs(3, account="earlier", day="2026-11-01"))
    # A run that counted in October, until an event that wins placed it in November.
    world.send([event(account="moved", state="FAILED")], [event(account="moved", end="2026-11-01T00:00:00Z")])
    report = world.service.run_month(OCTOBER)
    assert (report.finalized, list(report.invoices)) == (0, [])


def test_history_before_billing_from_is_not_billed(world: World) -> None:
    world.account(since="2026-11")
    world.send(runs(30_000))
    assert list(world.service.run_month(OCTOBER).invoices) == []


def test_months_are_run_in_order(world: World) -> None:
    world.account(since="2026-08")
    world.account("new", since="2026-10")
    for account in ("acme", "new"):
        world.send(runs(3, account=account, day="2026-08-05", prefix="a"), runs(3, account=account))
    report = world.service.run_month(OCTOBER)
    assert report.failed == [
        ("acme", "2026-08 has task runs and was not run; run it first: billing run 2026-08")
    ]
    assert [invoice.account for invoice in report.invoices] == ["new"]
    world.service.run_month(Month.parse("2026-08"))
    assert world.service.run_month(OCTOBER).finalized == 1


def test_a_month_is_run_only_when_it_and_its_grace_period_are_over(world: World) -> None:
    world.account()
    world.send(runs(3))
    world.instant = OCTOBER.end + 24 * HOUR_US - 1
    with pytest.raises(Refused, match="2026-10 can be billed from 2026-11-02T00:00:00Z on"):
        world.service.run_month(OCTOBER)
    world.instant += 1
    assert world.service.run_month(OCTOBER).finalized == 1


def test_an_early_run_makes_drafts_that_a_later_run_finalizes(world: World) -> None:
    world.account()
    world.send(runs(3))
    world.instant = OCTOBER.end - 1
    early = world.service.run_month(OCTOBER, early=True)
    assert [(i.status, i.number, i.billable) for i in early.invoices] == [("draft", None, 3)]
    world.send(runs(4, prefix="more"))
    again = world.service.run_month(OCTOBER, early=True)
    assert [(i.id, i.billable) for i in again.invoices] == [(next(iter(early.invoices)).id, 7)]
    assert (early.drafted, again.drafted, again.finalized) == (1, 1, 0)
    world.send(runs(10_200, prefix="rest"))
    world.instant = NOVEMBER_2
    (final,) = world.service.run_month(OCTOBER).invoices
    assert (final.status, final.number, final.billable, final.total) == (
        "finalized",
        "2026-10-000001",
        10_207,
        52,
    )


def test_a_draft_that_lost_its_runs_is_dropped(world: World) -> None:
    world.account()
    world.send([event(state="FAILED")])
    world.service.run_month(OCTOBER, early=True)
    world.send([event(end="2026-11-01T00:00:00Z")])
    assert list(world.service.run_month(OCTOBER).invoices) == []


def test_a_run_of_one_account(world: World) -> None:
    world.account("a")
    world.account("b")
    world.send(runs(3, account="a"), runs(3, account="b"))
    report = world.service.run_month(OCTOBER, account="b")
    assert [invoice.account for invoice in report.invoices] == ["b"]
    with pytest.raises(NotFound, match="there is no account 'c'"):
        world.service.run_month(OCTOBER, account="c")


def test_an_invoice_is_priced_by_the_version_the_account_is_enrolled_in(world: World) -> None:
    world.account(since="2026-09")
    dearer = """{"plan": "starter", "version": "2026-10", "effective_from": "2026-10-01", "currency": "USD",
        "brackets": [{"up_to": null, "unit_price": "1"}]}"""
    load_plan_text(world.engine, dearer, "dearer.json", world.instant)
    world.account("new", since="2026-10")
    world.send(runs(3), runs(3, account="new"))
    totals = {i.account: (i.plan, i.total) for i in world.service.run_month(OCTOBER).invoices}
    assert totals == {"acme": ("starter@2021-02", 0), "new": ("starter@2026-10", 300)}


def test_a_preview_is_the_invoice_to_come(world: World) -> None:
    world.account()
    world.send(runs(10_400), runs(7, state="FAILED", prefix="f"))
    before = preview(world.engine, world.store, "acme", OCTOBER)
    (invoice,) = world.service.run_month(OCTOBER).invoices
    assert before["lines"] == [line.to_data() for line in invoice.lines]
    assert (before["total"], before["billable"], before["not_billed"]) == (100, 10_400, invoice.not_billed)


def test_a_preview_counts_at_least_what_was_committed_by_its_cutoff(world: World) -> None:
    world.account()
    world.send(runs(10_400))

    class Busy(SqlEventStore):
        """Somebody writes to it while it is asked."""

        def usage(self, *asked: Any, **more: Any) -> Usage:
            found = super().usage(*asked, **more)
            self.append([event(f"late-{self.cutoff().position}")], world.instant)
            return found

    asked = world.store.cutoff()
    told = preview(world.engine, Busy(world.engine), "acme", OCTOBER)
    assert (told["billable"], told["cutoff"]) == (10_400, asked.position)
    assert world.store.cutoff().position > asked.position


def test_a_void_invoice_makes_room_for_a_new_one_with_a_new_number(world: World) -> None:
    world.account()
    world.send(runs(3))
    (first,) = world.service.run_month(OCTOBER).invoices
    void_invoice(world.engine, first.id, "wrong", by="operator", now=world.instant)
    (second,) = world.service.run_month(OCTOBER).invoices
    assert (second.id != first.id, second.number) == (True, "2026-10-000002")


def test_a_reissued_invoice_names_the_void_one(world: World) -> None:
    world.account()
    world.send(runs(3))
    (first,) = world.service.run_month(OCTOBER).invoices
    void_invoice(world.engine, first.id, "wrong", by="operator", now=world.instant)
    (second,) = world.service.run_month(OCTOBER).invoices
    assert (first.replaces, second.replaces) == (None, first.id)
    assert invoice_data(world.engine, second, world.instant)["replaces"] == first.id
    assert verify(world.engine, world.store, second.id).ok


DOLLAR_A_RUN = """{"plan": "dollar", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
    "brackets": [{"up_to": null, "unit_price": "1"}]}"""


def test_a_run_that_moved_to_an_earlier_month_is_billed_there_and_credited_here(world: World) -> None:
    """October is invoiced; then events say that one of its runs ended in September, which has no invoice yet.
    September bills it; what October billed for it comes back with November."""
    load_plan_text(world.engine, DOLLAR_A_RUN, "dollar.json", world.instant)
    world.account(since="2026-09", plan="dollar")
    world.send([event("a", end="2026-10-01T00:00:05Z"), event("b", end="2026-10-01T00:00:05Z")])
    assert [i.total for i in world.service.run_month(OCTOBER).invoices] == [200]
    world.send([event("a", end="2026-09-30T23:59:55Z")], runs(2, day="2026-09-05"))
    assert [i.total for i in world.service.run_month(OCTOBER.previous()).invoices] == [300]
    world.instant = OCTOBER.next().end + 24 * HOUR_US
    (november,) = world.service.run_month(OCTOBER.next()).invoices
    assert [(line.kind, line.month, line.quantity, line.amount) for line in november.lines] == [
        (LineKind.ADJUSTMENT, OCTOBER, -1, -100),
        (LineKind.CARRIED, None, 1, 100),
    ]
    assert verify(world.engine, world.store, november.id).ok
    assert world.service.run_month(OCTOBER.next()).skipped == 1


def test_one_account_that_cannot_be_billed_does_not_keep_the_others_from_it(world: World) -> None:
    absurd = """{"plan": "absurd", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
        "brackets": [{"up_to": null, "unit_price": "999999999999"}]}"""
    load_plan_text(world.engine, absurd, "absurd.json", world.instant)
    world.account("a", plan="absurd")
    world.account("b")
    world.send(runs(100_000, account="a"), runs(3, account="b"))
    report = world.service.run_month(OCTOBER)
    assert [invoice.account for invoice in report.invoices] == ["b"]
    (account, message) = report.failed[0]
    assert (account, "check the prices of plan absurd@1" in message) == ("a", True)


def test_the_database_itself_refuses_a_second_live_invoice(world: World) -> None:
    world.account()
    world.send(runs(3))
    (first,) = world.service.run_month(OCTOBER).invoices
    with writing(world.engine) as connection:
        assert not invoices.save(connection, replace(first, id="inv_other", number=None))
    assert len(list_invoices(world.engine)) == 1


def test_invoices_are_listed_page_by_page(world: World) -> None:
    """Listing goes page by page, in the order in which invoices were made."""
    for number in range(5):
        world.account(f"account-{number}")
        world.send(runs(1, account=f"account-{number}"))
    made = world.service.run_month(OCTOBER).invoices
    first = list_invoices(world.engine, limit=2)
    rest = list_invoices(world.engine, after=first[-1].id)
    assert [i.id for i in first + rest] == sorted(i.id for i in made)
    assert [i.account for i in list_invoices(world.engine, account="account-3")] == ["account-3"]


def test_outcomes_of_the_month_as_of_the_cutoff(world: World) -> None:
    """An event that arrives while the run is under way waits for the next month's adjustments."""
    world.account()
    world.send(runs(4))
    cutoff = world.store.cutoff()
    world.send([event("run-0000000", state="ROLLED_BACK")])
    with reading(world.engine):
        seen = [r.outcome for r in world.store.runs("acme", OCTOBER.start, OCTOBER.end, cutoff.position)]
    assert seen == [Outcome.BILLABLE] * 4


def test_a_closed_account_is_still_adjusted_when_a_stray_run_comes(world: World) -> None:
    """The stray run's month is reported and not billed; later months adjust what was billed before."""
    load_plan_text(world.engine, DOLLAR_A_RUN, "dollar.json", world.instant)
    world.account(since="2026-10", plan="dollar")
    world.send(runs(2))
    world.service.run_month(OCTOBER)
    close_account(world.engine, world.store, "acme", on=date(2026, 10, 31), by="ann", now=world.instant)
    world.send(runs(3, prefix="late"))
    assert what_is_left(world.engine, world.store, "acme")["adjustments_to_come"] == 300
    november, december = OCTOBER.next(), OCTOBER.next().next()
    world.instant = december.end + 24 * HOUR_US
    world.send([event("stray", end="2026-11-05T00:00:00Z")])
    assert [account for account, _ in world.service.run_month(november).failed] == ["acme"]
    assert unrun_months(world.engine, world.store, december, look_back=3) == []
    (invoice,) = world.service.run_month(december).invoices
    assert [(line.kind, line.amount) for line in invoice.lines] == [(LineKind.ADJUSTMENT, 300)]
    assert what_is_left(world.engine, world.store, "acme")["adjustments_to_come"] == 0
