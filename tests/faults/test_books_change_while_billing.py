"""Terms change, credit is granted and runs arrive while several processes bill a month: nothing is missed,
nothing is doubled, and every invoice can be computed again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from functools import partial

import sqlalchemy as sa

from billing.accounts import add_account, set_plan
from billing.billing_run import run_month
from billing.contracts import add_contract, add_grant
from billing.credits import add_credit, show_credit
from billing.grandfathering import protect
from billing.invoices import list_invoices
from billing.plans import load_plan_text
from billing.pricing.contract import Contract, Grant, Instalments
from billing.pricing.line import LineKind
from billing.programs import apply_program
from billing.reporting.proof import verify
from billing.repository.invoices import Invoice
from metering.database import make_engine
from metering.period import Month, parse_instant
from metering.store.sql import SqlEventStore
from tests.conftest import NewDatabase
from tests.events import runs

SEPTEMBER, OCTOBER, NOVEMBER = (Month(2026, number) for number in (9, 10, 11))
NOW = parse_instant("2026-12-05T00:00:00Z")
ACCOUNTS = ("amended", "contract", "credited", "late", "program")
CREDITS = 40

_PLANS = """[
    {"plan": "dime", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
     "brackets": [{"up_to": null, "unit_price": "0.10"}]},
    {"plan": "dollar", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
     "brackets": [{"up_to": null, "unit_price": "1"}]}
]"""

Work = Callable[[sa.Engine, SqlEventStore], None]


def _bill(engine: sa.Engine, store: SqlEventStore) -> None:
    """Both months, in order, until every account is billed: who changes an account's books all the time can
    keep a billing run from it, which then says so."""
    for month in (SEPTEMBER, OCTOBER):
        for _ in range(50):
            report = run_month(engine, store, month, now=NOW, grace_hours=24)
            for _, message in report.failed:
                assert "run the month again" in message or "run it first" in message, message
            if not report.failed:
                break


def _credit(engine: sa.Engine, store: SqlEventStore) -> None:
    for _ in range(CREDITS):
        add_credit(engine, "credited", "0.10", "goodwill", by="test", now=NOW)


def _amend(engine: sa.Engine, store: SqlEventStore) -> None:
    set_plan(engine, "amended", "dollar", SEPTEMBER, now=NOW, amend=True)
    protect(engine, "amended", "7.00", date(2027, 1, 1), from_month=OCTOBER, now=NOW, by="test", amend=True)


def _join(engine: sa.Engine, store: SqlEventStore) -> None:
    for name, percent, start in (
        ("academia", "25", date(2026, 9, 1)),
        ("nonprofits", "50", date(2026, 10, 1)),
    ):
        apply_program(
            engine,
            "program",
            name,
            percent=percent,
            until=date(2027, 1, 1),
            starts_on=start,
            by="test",
            now=NOW,
            amend=True,
        )


def _grant(engine: sa.Engine, store: SqlEventStore) -> None:
    for day in (5, 15):
        add_grant(engine, "c", 4, "1.00", date(2026, 9, day), by="test", now=NOW, amend=True)


def _arrive(engine: sa.Engine, store: SqlEventStore) -> None:
    for number in range(5):
        store.append(runs(1, account="late", day="2026-09-20", prefix=f"s{number}"), NOW)
        store.append(runs(2, account="late", day="2026-10-20", prefix=f"o{number}"), NOW)


def test_nothing_is_missed_or_doubled(new_database: NewDatabase) -> None:
    engine = new_database()
    store = SqlEventStore(engine)
    _prepare(engine, store)
    everybody: list[Work] = [_bill, _bill, _bill, _bill, _credit, _amend, _join, _grant, _arrive]
    _at_once(engine, everybody)
    _bill(engine, store)
    # November has no runs: its invoices hold what is left to correct.
    report = run_month(engine, store, NOVEMBER, now=parse_instant("2026-12-06T00:00:00Z"), grace_hours=24)
    assert report.failed == []
    made = list_invoices(engine)
    assert _costs(made) == {
        # 10 runs of September and 20 of October each, at 0.10, but
        ("amended", SEPTEMBER): 10_00,  # at 1.00
        ("amended", OCTOBER): 7_00,  # at 1.00, protected
        ("contract", SEPTEMBER): 20,  # 8 drawn by what was granted on the 5th and the 15th
        ("contract", OCTOBER): 2_00,
        ("credited", SEPTEMBER): 1_00,
        ("credited", OCTOBER): 2_00,
        ("late", SEPTEMBER): 1_50,  # 5 more
        ("late", OCTOBER): 3_00,  # 10 more
        ("program", SEPTEMBER): 75,  # 25 % off
        ("program", OCTOBER): 1_00,  # 50 % off
    }
    for invoice in made:
        found = verify(engine, store, invoice.id)
        assert found.ok, found.to_data()
    for month in (SEPTEMBER, OCTOBER, NOVEMBER):
        numbers = sorted(each.number or "" for each in made if each.month == month)
        assert numbers == [f"{month}-{place:06d}" for place in range(1, len(numbers) + 1)]
    used = sum(-line.amount for each in made for line in each.lines if line.kind is LineKind.CREDIT)
    carried = sum(line.amount for each in made for line in each.lines if line.kind is LineKind.CARRIED)
    left = 0
    for account in ACCOUNTS:
        balance = show_credit(engine, account)["balance"]
        assert isinstance(balance, int) and balance >= 0
        left += balance
    assert used + left == CREDITS * 10 + carried


def _prepare(engine: sa.Engine, store: SqlEventStore) -> None:
    load_plan_text(engine, _PLANS, "plans.json", NOW)
    for account in ACCOUNTS:
        add_account(engine, account, now=NOW, currency="USD", plan="dime", billing_from=SEPTEMBER)
        store.append(runs(10, account=account, day="2026-09-20", prefix="s"), NOW)
        store.append(runs(20, account=account, day="2026-10-10", prefix="o"), NOW)
        # They cost nothing, and keep whoever bills busy for a moment.
        store.append(runs(2000, account=account, day="2026-10-11", prefix="f", state="FAILED"), NOW)
    grant = Grant("g1", 1, 0, date(2027, 1, 1), date(2027, 2, 1))
    term = (date(2026, 9, 1), date(2027, 9, 1))
    contract = Contract("c", "contract", *term, "dime", "USD", Instalments.UPFRONT, (grant,))
    add_contract(engine, contract, by="test", now=NOW)


def _costs(made: list[Invoice]) -> dict[tuple[str, Month], int]:
    """What was billed for each account and month, on whichever invoice."""
    found: dict[tuple[str, Month], int] = {}
    for invoice in made:
        for line in invoice.lines:
            if line.kind not in (LineKind.CREDIT, LineKind.CARRIED):
                place = (invoice.account, line.month or invoice.month)
                found[place] = found.get(place, 0) + line.amount
    return found


def _at_once(engine: sa.Engine, everybody: list[Work]) -> None:
    """Each with connections of its own, as processes have them."""
    gate = threading.Barrier(len(everybody))
    errors: list[BaseException] = []
    url = engine.url.render_as_string(hide_password=False)

    def work(do: Work) -> None:
        mine = make_engine(url)
        try:
            gate.wait()
            do(mine, SqlEventStore(mine))
        except BaseException as error:
            errors.append(error)
        mine.dispose()

    threads = [threading.Thread(target=partial(work, each)) for each in everybody]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
