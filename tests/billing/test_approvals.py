"""Drafts, reviewed and approved; on both engines."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billing.approvals import approve_draft, approve_month
from billing.credits import add_credit
from billing.errors import NotFound, Refused
from billing.invoices import invoice_data
from billing.reporting.proof import verify
from billing.repository.invoices import Invoice
from metering.period import HOUR_US
from tests.billing.months import bill, dollars, void
from tests.events import runs
from tests.world import NOVEMBER_2, OCTOBER, World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return dollars(engine)


def draft(world: World, at: int = OCTOBER.end) -> Invoice:
    world.instant = at
    return next(iter(world.service.run_month(OCTOBER, early=True).invoices))


def approve(world: World, invoice: Invoice) -> Invoice:
    return approve_draft(
        world.engine, world.store, invoice.id, by="operator", now=world.instant, grace_hours=24
    )


def test_a_draft_is_issued_as_it_was_reviewed(world: World) -> None:
    """With its cutoff: what came later waits for the next month's adjustment."""
    world.send(runs(5))
    reviewed = draft(world)
    world.send(runs(2, prefix="late"))
    world.instant = NOVEMBER_2
    issued = approve(world, reviewed)
    assert (issued.id, issued.number, issued.status) == (reviewed.id, "2026-10-000001", "finalized")
    assert (issued.lines, issued.total, issued.cutoff) == (reviewed.lines, 500, reviewed.cutoff)
    assert (issued.approved_by, reviewed.approved_by) == ("operator", None)
    assert invoice_data(world.engine, issued, world.instant)["approved_by"] == "operator"
    assert verify(world.engine, world.store, issued.id).ok
    with pytest.raises(Refused, match="invoice 2026-10-000001 is no draft: it is finalized"):
        approve(world, issued)


def test_not_before_the_month_and_its_grace_period_are_over(world: World) -> None:
    world.send(runs(5))
    reviewed = draft(world)
    world.instant = NOVEMBER_2 - 1
    with pytest.raises(Refused, match="2026-10 can be billed from 2026-11-02T00:00:00Z on"):
        approve(world, reviewed)
    with pytest.raises(Refused, match="2026-10 can be billed from"):
        approve_month(world.engine, world.store, OCTOBER, by="o", now=world.instant, grace_hours=24)


def test_not_if_it_was_drafted_before_the_month_was_over(world: World) -> None:
    world.send(runs(5))
    reviewed = draft(world, OCTOBER.end - 1)
    world.instant = NOVEMBER_2
    with pytest.raises(Refused, match="was drafted before the month was over; draft it again"):
        approve(world, reviewed)
    approve(world, draft(world, NOVEMBER_2))


def test_not_if_it_would_have_other_lines_now(world: World) -> None:
    world.send(runs(5))
    reviewed = draft(world)
    world.instant = NOVEMBER_2
    add_credit(world.engine, "acme", "1.00", "sorry", by="operator", now=world.instant)
    with pytest.raises(Refused, match="has changed since it was drafted; draft it again and review it"):
        approve(world, reviewed)
    assert approve(world, draft(world, NOVEMBER_2)).total == 400


def test_a_month_of_drafts(world: World) -> None:
    world.account("other", plan="dollar")
    world.send(runs(5), runs(2, account="other"))
    draft(world)
    world.instant = NOVEMBER_2
    add_credit(world.engine, "other", "1.00", "sorry", by="operator", now=world.instant)
    done = world.service.approve_month(OCTOBER, by="operator")
    assert [(each.account, each.total) for each in done.approved] == [("acme", 500)]
    assert [account for account, _ in done.failed] == ["other"]
    world.service.run_month(OCTOBER, early=True)
    assert [each.total for each in world.service.approve_month(OCTOBER, by="operator").approved] == [100]
    with pytest.raises(NotFound, match="2026-10 has no drafts"):
        world.service.approve_month(OCTOBER, by="operator")


def test_a_run_without_early_finalizes_drafts_that_nobody_approved(world: World) -> None:
    world.send(runs(5))
    reviewed = draft(world)
    issued = bill(world)
    assert (issued.id, issued.status, issued.approved_by) == (reviewed.id, "finalized", None)


def test_a_draft_instead_of_a_void_invoice(world: World) -> None:
    world.send(runs(5))
    made = bill(world)
    void(world, made)
    again = approve(world, draft(world, world.instant + HOUR_US))
    assert (again.replaces, again.number) == (made.id, "2026-10-000002")
