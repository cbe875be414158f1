"""Changes of terms as operations: what an invoiced month lets through, and what is refused whole."""

from __future__ import annotations

from datetime import date
from threading import Barrier, Thread
from typing import Any

import pytest
import sqlalchemy as sa

from billing.accounts import account_data, add_account, set_plan, show_account
from billing.closing import close_account, reopen_account, what_is_left
from billing.contracts import (
    add_contract,
    add_grant,
    amend_contract,
    contract_data,
    list_contracts,
    show_contract,
    withdraw_contract,
)
from billing.errors import BillingError, Invalid, NotFound, Refused
from billing.grandfathering import protect
from billing.plan_migration import migrate_plan
from billing.plans import load_plan_text
from billing.pricing.contract_file import contract_from_data
from billing.programs import apply_program, leave_program, refer
from billing.run_balance import contract_with_balance, record_contract_runs, record_runs
from billing.terms import list_terms
from metering.period import Month
from tests.events import runs
from tests.world import OCTOBER, World

BY = "operator"
TERM = {
    "id": "acme-2027", "account": "acme", "start": "2027-01-01", "end": "2028-01-01",
    "plan": "standard", "currency": "USD", "instalments": "quarterly",
    "grants": [{"id": "g1", "runs": 1000, "price": "900.00"}],
}  # fmt: skip


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """An account on each engine, invoiced for October; it is November."""
    world = World(engine)
    world.account("acme", since="2026-10")
    world.send(runs(3))
    world.service.run_month(OCTOBER)
    return world


def contract(world: World, **changes: Any) -> None:
    add_contract(world.engine, contract_from_data(TERM | changes), by=BY, now=world.instant)


def test_what_ends_later_does_not_change_an_invoiced_month(world: World) -> None:
    """A program or a protection that covers an invoiced month may be ended after it, without an amendment."""
    engine, now = world.engine, world.instant
    facts: dict[str, Any] = {"percent": "50", "until": date(2028, 1, 1), "by": BY, "now": now}
    apply_program(engine, "acme", "academia", starts_on=date(2026, 1, 1), amend=True, **facts)
    protect(
        engine, "acme", "10.00", date(2028, 1, 1), from_month=OCTOBER, amend=True, by=BY, now=now
    )  # fmt: skip
    leave_program(engine, "acme", "academia", date(2026, 12, 1), by=BY, now=now)
    protect(engine, "acme", "10.00", date(2026, 12, 1), from_month=OCTOBER, by=BY, now=now)
    with pytest.raises(Refused, match="invoiced for 2026-10 already") as refused:
        leave_program(engine, "acme", "academia", date(2026, 10, 1), by=BY, now=now)
    assert refused.value.field == "on"
    amendments = [(each["kind"], each["amendment"]) for each in list_terms(engine, "acme")]
    assert amendments[1:] == [
        ("program", True), ("protection", True), ("program_end", False), ("protection", False),
    ]  # fmt: skip


def test_a_protection_does_not_end_before_it_begins(world: World) -> None:
    for until in (date(2026, 11, 1), date(2025, 1, 1)):
        with pytest.raises(Invalid, match="before it begins") as refused:
            protect(world.engine, "acme", "1", until, by=BY, now=world.instant)
        assert refused.value.field == "until"
    with pytest.raises(Invalid, match="before it begins") as refused:
        migrate_plan(
            world.engine, world.store, "standard", Month(2027, 1), protect_until=date(2027, 1, 1),
            by=BY, now=world.instant,
        )  # fmt: skip
    assert refused.value.field == "protect_until"


@pytest.mark.parametrize("reason", ["\0", "\ud800", "x" * 201, "two\nlines", "\x1b[2J", "a\u2028b"])
def test_a_reason_that_cannot_be_kept(world: World, reason: str) -> None:
    now = world.instant
    with pytest.raises(Invalid, match="reason"):
        set_plan(world.engine, "acme", "standard", Month(2027, 1), now=now, reason=reason)
    with pytest.raises(Invalid, match="reason"):
        close_account(world.engine, world.store, "acme", by=BY, now=now, reason=reason)
    facts: dict[str, Any] = {"percent": "5", "until": date(2028, 1, 1), "by": BY, "now": now}
    with pytest.raises(Invalid, match="reason"):  # before the application is judged, and kept
        apply_program(
            world.engine, "acme", "startups", reason=reason, founded_on=date(2001, 1, 1), raised="1", **facts
        )
    assert len(list_terms(world.engine, "acme")) == 1


@pytest.mark.parametrize("percent", ["NaN", "Infinity", "fifty", "1e-999999999", "5 0", ""])
def test_a_percentage_that_is_none(world: World, percent: str) -> None:
    with pytest.raises(Invalid, match="is not a number such as 50") as refused:
        apply_program(
            world.engine, "acme", "academia", percent=percent, until=date(2028, 1, 1),
            by=BY, now=world.instant,
        )  # fmt: skip
    assert refused.value.field == "percent"


def test_contracts_that_meet_are_refused_as_a_state_of_things(world: World) -> None:
    contract(world)
    with pytest.raises(Refused, match="overlaps with contract acme-2027") as refused:
        contract(world, id="second", start="2027-12-01", end="2028-12-01")
    assert refused.value.field == "start"
    with pytest.raises(Refused, match="there is a contract acme-2027 already, of account acme"):
        contract(world, start="2029-01-01", end="2030-01-01")
    assert [each.id for each in list_contracts(world.engine)] == ["acme-2027"]
    assert len(list_terms(world.engine, "acme")) == 2


def test_a_contract_shows_the_plans_of_its_months_and_what_is_left(world: World) -> None:
    contract(world)
    amended = amend_contract(
        world.engine, "acme-2027", plan="starter", from_month=Month(2027, 7), by=BY, now=world.instant
    )
    data: Any = contract_data(world.engine, amended)
    assert data["plans"] == [
        {"from": "2027-01", "plan": "standard@2021-02"},
        {"from": "2027-07", "plan": "starter@2021-02"},
    ]
    assert (data["grants"][0]["left"], data["balance"]) == (0, 0)  # not granted yet
    world.instant = Month(2027, 2).start
    shown: Any = contract_with_balance(world.engine, world.store, "acme-2027", world.instant)
    assert (shown["grants"][0]["left"], shown["balance"], len(shown["ledger"])) == (1000, 1000, 1)
    assert show_account(world.engine, "acme").terms.plan_ids() == {"starter@2021-02", "standard@2021-02"}
    with pytest.raises(NotFound):
        contract_with_balance(world.engine, world.store, "acme-2027", world.instant, account="other")


def test_grants_are_extended_with_the_term_alone(world: World) -> None:
    contract(world)
    with pytest.raises(Invalid, match="its new end as well") as refused:
        amend_contract(world.engine, "acme-2027", extend_grants=True, by=BY, now=world.instant)
    assert refused.value.field == "end"
    changes: dict[str, Any] = {"plan": "starter", "from_month": Month(2029, 1)}
    with pytest.raises(Invalid, match="not in its term") as refused:
        amend_contract(
            world.engine, "acme-2027", end=date(2028, 7, 1), **changes, by=BY, now=world.instant
        )  # fmt: skip
    assert refused.value.field == "from"
    assert show_contract(world.engine, "acme-2027").end == date(2028, 1, 1)  # not half of it


def test_a_contract_whose_months_are_invoiced_is_not_withdrawn(world: World) -> None:
    contract(world)
    withdraw_contract(world.engine, "acme-2027", by=BY, now=world.instant, reason="a slip")
    assert record_contract_runs(world.engine, world.store, "acme-2027", world.instant) == []
    contract(world, start="2026-11-01", end="2027-11-01")
    world.send(runs(3, prefix="n", day="2026-11-05"))
    world.instant = Month(2027, 1).start
    world.service.run_month(Month(2026, 11))
    assert record_runs(world.engine, world.store, world.instant) == 2
    with pytest.raises(Refused, match="contract acme-2027 was invoiced; end it instead"):
        withdraw_contract(world.engine, "acme-2027", by=BY, now=world.instant)
    data = contract_from_data(TERM | {"id": "back", "start": "2026-10-01", "end": "2026-11-01"})
    add_contract(world.engine, data, amend=True, by=BY, now=world.instant)
    with pytest.raises(
        Refused, match="is invoiced for 2026-10, in the term of contract back; end it instead"
    ):
        withdraw_contract(world.engine, "back", by=BY, now=world.instant)
    assert show_contract(world.engine, "acme-2027").grants[0].runs == 1000


def test_a_contract_whose_plan_went_on_into_an_invoiced_month_is_not_withdrawn(world: World) -> None:
    """Of its term nothing was invoiced, but a month after it was, on its plan. What to do is said."""
    world.account("early", since="2026-09")
    contract(world, account="early", start="2026-08-01", end="2026-10-01", grants=[])
    world.send(runs(3, account="early"))
    world.service.run_month(OCTOBER)
    with pytest.raises(Refused) as refused:
        withdraw_contract(world.engine, "acme-2027", by=BY, now=world.instant)
    assert refused.value.field == "id"
    assert str(refused.value) == (
        "account early is invoiced for 2026-10 on plan standard@2021-02, which went on after contract "
        "acme-2027; void that invoice, or agree on the plan for itself first: "
        "billing accounts set-plan early standard@2021-02 --from 2026-10"
    )
    before = show_account(world.engine, "early").terms
    set_plan(world.engine, "early", "standard@2021-02", OCTOBER, by=BY, now=world.instant)
    withdraw_contract(world.engine, "acme-2027", by=BY, now=world.instant)
    after = show_account(world.engine, "early").terms
    assert after.contracts == () and after.in_month(OCTOBER) == before.in_month(OCTOBER)


def test_an_opening_balance_is_a_contract(world: World) -> None:
    opening: dict[str, Any] = {"now": world.instant, "currency": "USD", "billing_from": Month(2026, 12)}
    longest = "a" * 64
    for account_id in ("moved", longest):
        add_account(
            world.engine, account_id, opening_credit="12.50", opening_runs=500,
            opening_runs_until=date(2027, 6, 1), **opening,
        )  # fmt: skip
    assert account_data(show_account(world.engine, "moved"))["contracts"] == [
        {"id": "moved-opening", "start": "2026-12-01", "end": "2027-06-01"}
    ]
    assert len(show_account(world.engine, longest).terms.contracts[0].id) == 64
    for wrong, field in [
        ({"opening_runs": 5}, "opening_runs_until"),
        ({"opening_runs_until": date(2027, 6, 1)}, "opening_runs"),
        ({"opening_runs": 5, "opening_runs_until": date(2027, 6, 15)}, "opening_runs_until"),
        ({"opening_runs": 5, "opening_runs_until": date(2026, 12, 1)}, "opening_runs_until"),
        ({"opening_runs": 0, "opening_runs_until": date(2027, 6, 1)}, "opening_runs"),
        ({"opening_credit": "-1"}, "opening_credit"),
        ({"opening_credit": "NaN"}, "opening_credit"),
        ({"legacy_charge": "5"}, "protected_until"),
        ({"protected_until": date(2027, 6, 1)}, "legacy_charge"),
        ({"legacy_charge": "5", "protected_until": date(2026, 12, 1)}, "protected_until"),
        ({"legacy_charge": "-5", "protected_until": date(2027, 12, 1)}, "legacy_charge"),
    ]:
        with pytest.raises(Invalid) as refused:
            add_account(world.engine, "wrong", **opening, **wrong)
        assert refused.value.field == field, wrong
        with pytest.raises(NotFound):
            show_account(world.engine, "wrong")


def test_closing(world: World) -> None:
    contract(world, grants=[
        {"id": "early", "runs": 7, "price": "0", "expires_on": "2027-02-01"},
        {"id": "late", "runs": 9, "price": "0"},
    ])  # fmt: skip
    with pytest.raises(Refused, match="invoiced for 2026-10; close it on a day of that month") as refused:
        close_account(world.engine, world.store, "acme", on=date(2026, 9, 30), by=BY, now=world.instant)
    assert refused.value.field == "on"
    left = close_account(
        world.engine, world.store, "acme", on=date(2027, 3, 5), by=BY, now=world.instant, reason="moved on"
    )
    assert left["grants"] == [
        {"contract": "acme-2027", "grant": "late", "runs_left": 9, "expires_on": "2028-01-01"}
    ]
    with pytest.raises(Refused, match="reopen it first: billing accounts reopen acme"):
        close_account(world.engine, world.store, "acme", by=BY, now=world.instant)
    assert reopen_account(world.engine, "acme", by=BY, now=world.instant).closed_on is None
    entries = [(each["kind"], each["reason"]) for each in list_terms(world.engine, "acme")]
    assert entries[2:] == [("closed", "moved on"), ("reopened", "")]


def test_no_invoice_is_to_come_of_months_before_billing(world: World) -> None:
    world.account("later", since="2027-01")
    world.send(runs(3, account="later"))
    close_account(world.engine, world.store, "later", on=date(2026, 10, 31), by=BY, now=world.instant)
    assert what_is_left(world.engine, world.store, "later")["invoices_to_come"] == []


def test_a_migration_says_before_what_would_fail(world: World) -> None:
    starter = '{"plan": "starter", "version": "2026-01", "effective_from": "2026-01-01", "currency": "USD",'
    starter += ' "soft_limit": null, "brackets": [{"up_to": null, "unit_price": "1"}]}'
    load_plan_text(world.engine, starter, "p.json", world.instant)
    add_account(
        world.engine, "moves", now=world.instant, currency="USD", plan="starter@2021-02", billing_from=OCTOBER
    )
    set_plan(world.engine, "moves", "standard", Month(2027, 5), now=world.instant)

    def migrate(month: Month, *, dry_run: bool) -> dict[str, Any]:
        report = migrate_plan(
            world.engine, world.store, "starter@2026-01", month, dry_run=dry_run, by=BY, now=world.instant
        )
        return report.to_data()

    for dry_run in (True, False):
        data = migrate(OCTOBER, dry_run=dry_run)
        assert [each["account"] for each in data["failed"]] == ["acme"]
        assert "invoiced for 2026-10 already" in data["failed"][0]["message"]
        assert "will be on standard@2021-02 from 2027-05 on" in data["skipped"][0]["message"]
    assert migrate(Month(2026, 12), dry_run=True)["accounts"] == [
        {
            "account": "acme", "from_plan": "starter@2021-02", "to_plan": "starter@2026-01",
            "currency": "USD", "now": 0, "then": 300, "change": 300, "protected_at": None,
        }
    ]  # fmt: skip
    assert show_account(world.engine, "acme").terms.plan(Month(2026, 12)) == "starter@2021-02"
    migrate(Month(2026, 12), dry_run=False)
    assert show_account(world.engine, "acme").terms.plan(Month(2026, 12)) == "starter@2026-01"


def test_several_at_once(engine: sa.Engine) -> None:
    """Whoever is late is told so in a sentence, or waits for its turn."""
    world = World(engine)
    world.account("acme", since="2026-10")
    contract(world)
    barrier, said = Barrier(4), list[str]()

    def at_once(number: int) -> None:
        barrier.wait()
        add_grant(engine, "acme-2027", 5, "1", date(2027, 3, 1), by=BY, now=world.instant)
        for attempt in (
            lambda: add_account(engine, "same", now=world.instant, currency="USD"),
            lambda: contract(world, id="twin", start=f"20{30 + number}-01-01", end=f"20{31 + number}-01-01"),
            lambda: close_account(engine, world.store, "acme", by=BY, now=world.instant),
        ):
            try:
                attempt()
            except BillingError as error:
                said.append(type(error).__name__)

    threads = [Thread(target=at_once, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["Refused"] * 9
    assert [each.id for each in show_contract(engine, "acme-2027").grants] == ["g1", "g2", "g3", "g4", "g5"]
    assert [each["kind"] for each in list_terms(engine, "acme")].count("closed") == 1


def test_referrals_are_refused_in_a_sentence(world: World) -> None:
    for each in ("b", "c"):
        world.account(each)
    with pytest.raises(NotFound, match="there is no account 'ghost'"):
        refer(world.engine, "acme", "ghost", by=BY, now=world.instant)
    refer(world.engine, "acme", "b", by=BY, now=world.instant)
    refer(world.engine, "b", "c", by=BY, now=world.instant)
    for referrer, referred, says, field in [
        ("acme", "acme", "cannot refer itself", "referred"),
        ("c", "b", "was referred by acme already; an account has one referrer", "referred"),
        ("c", "acme", "referrals do not go in a circle", "referrer"),
    ]:
        with pytest.raises(Refused, match=says) as refused:
            refer(world.engine, referrer, referred, by=BY, now=world.instant)
        assert refused.value.field == field
