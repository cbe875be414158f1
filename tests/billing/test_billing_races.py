"""What others do to an account's books while a month is being billed; on both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from billing.audit.trail import changing
from billing.billing_run import finalize
from billing.credits import add_credit
from billing.invoices import list_invoices, show_invoice
from billing.reporting.proof import verify
from billing.repository import accounts
from billing.repository import runs as billing_runs
from billing.repository.invoices import Invoice
from billing.repository.runs import BillingRun
from metering.database import reading
from metering.period import HOUR_US
from tests.events import runs
from tests.world import OCTOBER, World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return World(engine)


def _draft(world: World) -> tuple[Invoice, int]:
    """The draft of an early run, and the number of the last entry in the account's books."""
    (draft,) = world.service.run_month(OCTOBER, early=True).invoices
    with reading(world.engine) as connection:
        account = accounts.get(connection, "acme")
    assert account is not None
    return draft, account.entries


def test_a_draft_that_comes_up_meanwhile_is_no_error(world: World) -> None:
    """An early run stores a draft after a billing run has looked: the billing run looks again, and makes the
    draft final."""
    world.account()
    world.send(runs(10_400))
    draft, entries = _draft(world)
    computed = replace(draft, id="inv_other", status="finalized", issued_at=world.instant)
    assert finalize(world.engine, computed, entries, world.instant) is False
    assert [(each.id, each.status) for each in list_invoices(world.engine)] == [(draft.id, "draft")]
    assert world.service.run_month(OCTOBER).finalized == 1
    final = show_invoice(world.engine, "2026-10-000001")
    assert (final.id, final.total) == (draft.id, 100)


def test_an_invoice_of_books_that_have_changed_is_not_stored(world: World) -> None:
    """Credit is granted after a billing run has read the books: it reads them again, and uses it."""
    world.account()
    world.send(runs(10_400))
    draft, entries = _draft(world)
    add_credit(world.engine, "acme", "0.40", "goodwill", by="test", now=world.instant)
    computed = replace(draft, status="finalized", issued_at=world.instant)
    assert finalize(world.engine, computed, entries, world.instant) is False
    assert show_invoice(world.engine, draft.id) == draft
    (final,) = world.service.run_month(OCTOBER).invoices
    assert (final.number, final.total) == ("2026-10-000001", 60)
    assert finalize(world.engine, replace(computed, id="inv_other"), entries + 1, world.instant) is False


def test_a_run_that_resumes_adjusts_earlier_months_as_of_its_own_cutoff(world: World) -> None:
    """October's run was killed after it had begun. What arrived for September since waits for November."""
    world.account(since="2026-09")
    world.send(runs(10_400, day="2026-09-10", prefix="s"))
    world.service.run_month(OCTOBER.previous())
    world.send(runs(400, day="2026-09-11", prefix="late"), runs(10_400))
    cutoff = world.store.cutoff()
    begun = BillingRun("run_0", OCTOBER, None, False, cutoff.position, cutoff.committed_at, world.instant)
    with changing(
        world.engine, "billing_run.started", "billing_run", begun.id, now=world.instant
    ) as connection:
        billing_runs.start_or_resume(connection, begun)
    world.send(runs(800, day="2026-09-12", prefix="later"), runs(400, prefix="later-too"))
    report = world.service.run_month(OCTOBER)
    (invoice,) = report.invoices
    assert (report.id, invoice.cutoff) == ("run_0", cutoff.position)
    assert [(line.quantity, line.amount) for line in invoice.lines] == [(10_000, 0), (400, 100), (400, 100)]
    assert verify(world.engine, world.store, invoice.id).ok
    world.instant = OCTOBER.next().end + 24 * HOUR_US
    (november,) = world.service.run_month(OCTOBER.next()).invoices
    assert [(str(line.month), line.quantity, line.amount) for line in november.lines] == [
        ("2026-09", 800, 200),
        ("2026-10", 400, 100),
    ]
