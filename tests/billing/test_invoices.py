"""Going through invoices: all of them, however many there are, and without looking for each page anew."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billing.errors import Invalid
from billing.invoices import each_invoice, list_invoices
from tests.events import runs
from tests.world import OCTOBER, World

# More than a page has.
ACCOUNTS = 120


@pytest.mark.behind_the_back
def test_invoices_are_gone_through_a_page_at_a_time(engine: sa.Engine) -> None:
    """Each as it is when its page is read; what is no longer so is left out."""
    world = World(engine)
    for number in range(ACCOUNTS):
        world.account(f"a{number:03d}")
        world.send(runs(2, account=f"a{number:03d}", prefix=f"{number}-run"))
    world.service.run_month(OCTOBER, send=False)
    every = list_invoices(engine)
    assert len(every) == ACCOUNTS
    told: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *said: told.append(said[2]))
    assert list(each_invoice(engine, month=OCTOBER)) == every
    where_month_is = [each for each in told if "invoices.month =" in each]
    assert len(where_month_is) == 1, "the month is looked through once"
    assert list(each_invoice(engine, account="a007")) == [each for each in every if each.account == "a007"]
    for status in ("draft", every[0].status):
        assert list(each_invoice(engine, status=status)) == [each for each in every if each.status == status]
    assert list(each_invoice(engine, month=OCTOBER.next())) == []
    with pytest.raises(Invalid, match="is not one of draft"):
        list(each_invoice(engine, status="sent"))
    going = each_invoice(engine, status=every[0].status)
    first = [next(going) for _ in range(3)]
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE invoices SET status = 'uncollectible' WHERE id = :id"), {"id": every[-1].id}
        )
    assert [*first, *going] == every[:-1]
