"""What others do to an account's books while a month is being billed; on both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from billing.billing_run import finalize
from billing.invoices import list_invoices, show_invoice
from billing.repository import accounts
from billing.repository.invoices import Invoice
from metering.database import reading
from tests.events import runs
from tests.world import OCTOBER, World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return World(engine)


def _draft(world: World) -> tuple[Invoice, int]:
    """The draft of an early run, and the number of the last entry in the account's books."""
    draft = world.service.run_month(OCTOBER, early=True).invoices[0]
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
