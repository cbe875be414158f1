"""Our invoices and Stripe's: every cause, and agreement."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.payments.stripe_objects import StripeLine
from billing.reconciliation.difference import Difference
from billing.reconciliation.drafts import is_our_draft
from billing.reconciliation.with_stripe import Listed, Ours, compare_with_stripe, month_of
from metering.period import Month
from tests.billing.reconciliation.values import NOVEMBER, OCTOBER, listed, ours, theirs

Said = tuple[str, int | None, str | None]


def page(invoice: str, time: int) -> str:
    """An address as Stripe makes them."""
    token = base64.b64encode(f"acct_1032D82eZvKYlo2C,{invoice},{time}".encode()).decode().rstrip("=")
    return f"https://invoice.stripe.com/i/acct_1032D82eZvKYlo2C/test_{token}0200PpCSFbLd?s=ap"


PAGE, LATER, OTHER = (
    page("_MtLESKEPu6CI", 46902768),
    page("_MtLESKEPu6CI", 46902999),
    page("_Another", 46902768),
)


def compare(mine: list[Ours], held: list[Listed], month: Month = OCTOBER) -> list[Difference]:
    found = compare_with_stripe(month, mine, held)
    assert all(each.between == "invoice-stripe" for each in found)
    return found


def said(found: list[Difference]) -> list[Said]:
    return [(each.cause, each.amount, each.fix) for each in found]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"status": "paid", "amount_paid": 500},
        {"status": "paid", "amount_paid": 0},  # below the least that is charged, or credited in full
        {"status": "uncollectible"},
        {"status": "void"},
        {"credited": 200},
        {"status": "paid", "amount_paid": 500, "waiting": {"void": "was paid meanwhile"}},
    ],
)
def test_what_agrees(changes: dict[str, Any]) -> None:
    mine = ours(**changes)
    assert compare([mine], [listed(mine)]) == []


@pytest.mark.parametrize(
    "mine",
    [
        ours(status="draft", number="", stripe_invoice_id=None),
        ours(status="void", stripe_invoice_id=None),
        ours(status="paid", total=0, lines=(), stripe_invoice_id=None),
    ],
)
def test_what_need_not_be_there(mine: Ours) -> None:
    assert compare([mine], []) == []


@pytest.mark.parametrize(
    ("mine", "changes", "expected"),
    [
        # Stripe is ahead: a webhook was lost.
        ({}, {"status": "paid", "amount_paid": 500}, [("paid state differs", -500, "refresh")]),
        ({}, {"status": "open", "amount_paid": 100}, [("paid state differs", -100, "refresh")]),
        ({}, {"status": "void"}, [("paid state differs", 0, "refresh")]),
        ({}, {"status": "uncollectible"}, [("paid state differs", 0, "refresh")]),
        (
            {"status": "uncollectible"},
            {"status": "paid", "amount_paid": 500},
            [("paid state differs", -500, "refresh")],
        ),
        ({"status": "finalized"}, {"status": "open"}, [("paid state differs", 0, "refresh")]),
        # It is behind us, or somewhere else: for a person.
        (
            {"status": "paid", "amount_paid": 500},
            {"status": "open", "amount_paid": 0},
            [("paid state differs", 500, None)],
        ),
        ({"status": "paid", "amount_paid": 500}, {"status": "void"}, [("paid state differs", 0, None)]),
        ({"status": "uncollectible"}, {"status": "open"}, [("paid state differs", 0, None)]),
        ({"amount_paid": 100}, {"amount_paid": 0}, [("paid state differs", 100, None)]),
        ({}, {"status": "draft"}, [("paid state differs", 0, None)]),
        # What an issued invoice says.
        ({}, {"total_excluding_tax": 600}, [("total differs", -100, None)]),
        ({}, {"total_excluding_tax": 450}, [("total differs", 50, None)]),
        ({}, {"currency": "EUR"}, [("total differs", 500, None)]),
        ({}, {"number": "X-1"}, [("number differs", 0, None)]),
        ({}, {"lines": (StripeLine("runs", 500),)}, [("lines differ", 0, None)]),
        ({}, {"lines": None}, []),
        ({}, {"lines": (StripeLine("runs", 500), StripeLine("free", 0))}, []),
        # Where it is paid: addresses as Stripe makes them, the time in them apart.
        ({"page": PAGE}, {"hosted_invoice_url": LATER}, []),
        ({"page": PAGE}, {"hosted_invoice_url": OTHER}, [("link differs", 0, "refresh")]),
        (
            {"page": PAGE.replace("stripe.com", "evil.example")},
            {"hosted_invoice_url": PAGE},
            [("link differs", 0, "refresh")],
        ),
        ({"page": "https://x/i/test_1"}, {"hosted_invoice_url": None}, [("link differs", 0, "refresh")]),
        ({"pdf": "https://x/pdf"}, {"invoice_pdf": "https://y/pdf"}, [("link differs", 0, "refresh")]),
        ({"page": None}, {"hosted_invoice_url": PAGE}, []),
        # Credit notes.
        ({"credited": 200}, {"credited": 0}, [("credit notes differ", 200, None)]),
        ({"credited": 200}, {"credited": 300}, [("credit notes differ", -100, None)]),
        (
            {"credited": 200, "waiting": {"credit_note": "no"}},
            {"credited": 0},
            [("credit notes differ", 200, "send")],
        ),
        # What is still to be done there.
        ({"waiting": {"void": "refused"}}, {}, [("void not done in Stripe", None, "send")]),
        ({"waiting": {"void": ""}}, {"status": "void"}, [("paid state differs", 0, "refresh")]),
        (
            {"status": "finalized", "waiting": {"send": "lost"}},
            {"status": "open"},
            [("paid state differs", 0, "send")],
        ),
        (
            {"status": "finalized", "waiting": {"send": "lost"}},
            {"status": "draft", "total_excluding_tax": 0, "lines": ()},
            [("missing in Stripe", 500, "send")],
        ),
        # What should not be there any more.
        ({"status": "void"}, {"status": "open"}, [("extra in Stripe", -500, None)]),
        ({"status": "void"}, {"status": "paid", "amount_paid": 500}, [("extra in Stripe", -500, None)]),
        (
            {"status": "void", "stripe_invoice_id": None},
            {"status": "draft"},
            [("extra in Stripe", -500, None)],
        ),
        (
            {"status": "draft", "stripe_invoice_id": None},
            {"status": "open"},
            [("extra in Stripe", -500, None)],
        ),
        (
            {"total": 0, "status": "paid", "stripe_invoice_id": None},
            {"status": "open", "total_excluding_tax": 7},
            [("extra in Stripe", -7, None)],
        ),
    ],
)
def test_what_differs(mine: dict[str, Any], changes: dict[str, Any], expected: list[Said]) -> None:
    held = ours(**mine)
    found = compare([held], [listed(held, **changes)])
    assert said(found) == expected
    for each in found:
        assert (each.account, each.invoice_id, each.stripe_invoice_id) == ("acme", "inv_1", "in_1")


@pytest.mark.parametrize(
    ("mine", "fix", "says"),
    [
        ({}, None, "is open here and Stripe does not have in_1; check that BILLING_STRIPE_API_KEY"),
        ({"status": "paid", "amount_paid": 500}, None, "is paid here and Stripe does not have in_1"),
        (
            {"status": "finalized", "stripe_invoice_id": None, "waiting": {"send": "it has no e-mail"}},
            "send",
            "2026-10-000001 is not sent yet (it has no e-mail); go on: billing run 2026-10",
        ),
        (
            {"status": "finalized", "stripe_invoice_id": None, "waiting": {"send": ""}},
            "send",
            "not sent yet; go",
        ),
        ({"waiting": {"void": ""}}, "send", "is not in Stripe, and is to be void"),
    ],
)
def test_what_is_missing(mine: dict[str, Any], fix: str | None, says: str) -> None:
    (found,) = compare([ours(**mine)], [])
    assert said([found]) == [("missing in Stripe", 500, fix)]
    assert says in found.message


def test_a_second_invoice_for_one_of_ours() -> None:
    mine = ours(status="paid", amount_paid=500)
    for status, fix in (("draft", "delete draft"), ("open", None), ("paid", None), ("uncollectible", None)):
        extra = listed(mine, id="in_2", status=status)
        (found,) = compare([mine], [extra, listed(mine)])
        assert said([found]) == [("extra in Stripe", -500, fix)]
        assert (found.stripe_invoice_id, found.invoice) == ("in_2", "2026-10-000001")
    assert compare([mine], [listed(mine, id="in_2", status="void"), listed(mine)]) == []


def test_a_second_draft_is_kept_while_the_first_is_one() -> None:
    """It may be the one that is being sent."""
    mine = ours(status="finalized", waiting={"send": ""})
    found = compare([mine], [listed(mine), listed(mine, id="in_2")])
    assert said(found) == [("extra in Stripe", -500, None), ("missing in Stripe", 500, "send")]


def test_of_several_that_we_were_never_told_of_the_issued_one_is_ours() -> None:
    mine = ours(status="finalized", stripe_invoice_id=None, waiting={"send": "lost"})
    drafts = listed(mine, id="in_0"), listed(mine, id="in_2", status="open")
    found = compare([mine], list(drafts))
    assert [(each.cause, each.stripe_invoice_id, each.fix) for each in found] == [
        ("paid state differs", "in_2", "send"),
        ("extra in Stripe", "in_0", "delete draft"),
    ]


JUNE = Month(2026, 6)


@pytest.mark.parametrize(
    ("given", "month"),
    [
        (listed(month=JUNE), JUNE),  # the month of ours that it names, whenever it was made
        (Listed(theirs(invoice_id=None), account="acme", last=JUNE), JUNE),
        (Listed(theirs(invoice_id=None), account="acme"), OCTOBER),  # made in November
        (Listed(theirs(invoice_id="inv_9")), OCTOBER),
        (Listed(theirs(invoice_id="inv_9"), account="acme", last=JUNE), JUNE),
        (Listed(theirs(invoice_id=None)), None),
        (Listed(theirs(invoice_id=None, ignored=True), account="acme"), None),
        (Listed(theirs(invoice_id="inv_9", ignored=True)), None),
        (listed(ignored=True), OCTOBER),  # it is ours whatever is written on it
    ],
)
def test_each_is_reconciled_in_one_month(given: Listed, month: Month | None) -> None:
    assert month_of(given) == month


@pytest.mark.parametrize(
    ("held", "account", "says"),
    [
        (Listed(theirs(id="in_9", invoice_id=None), account="acme"), "acme", "was not made by this service"),
        (Listed(theirs(id="in_9", invoice_id="inv_9"), account="acme"), "acme", "names invoice inv_9, which"),
        (Listed(theirs(id="in_9", invoice_id="inv_9")), "cus_acme", "metadata reconcile=ignore"),
    ],
)
def test_an_invoice_of_nobody_here(held: Listed, account: str, says: str) -> None:
    (found,) = compare([ours()], [listed(), held])
    assert (found.account, *said([found])[0]) == (account, "extra in Stripe", -500, None)
    assert says in found.message
    assert compare([ours()], [listed(), replace(held, held=replace(held.held, status="void"))]) == []
    assert compare([], [held], NOVEMBER) == []


def test_an_answer_leaves_out_what_does_not_apply() -> None:
    (found,) = compare([ours()], [])
    data = found.to_data()
    assert data.keys() == {
        "account", "between", "cause", "message", "amount", "currency", "invoice", "invoice_id",
        "stripe_invoice_id", "fixable",
    }  # fmt: skip
    assert (data["fixable"], data["amount"]) == (False, 500)


# A consistent world: invoices in any state that both sides can be in.
STATES = [("open", 0), ("open", 1), ("paid", 1), ("paid", 0), ("uncollectible", 0), ("void", 0)]


@st.composite
def worlds(draw: st.DrawFn) -> list[Ours]:
    made = []
    for number in range(draw(st.integers(1, 6))):
        status, paid = draw(st.sampled_from(STATES))
        total = draw(st.integers(2, 10**9))
        credited = draw(st.integers(0, total)) if status != "void" else 0
        made.append(
            ours(
                id=f"inv_{number}",
                account=f"account-{number}",
                number=f"2026-10-{number:06d}",
                status=status,
                total=total,
                amount_paid=paid * draw(st.integers(1, total)),
                lines=(("a", 1), ("b", total - 1)),
                credited=credited,
                stripe_invoice_id=f"in_{number}",
            )
        )
    return made


PERTURBATIONS = ["lost", "invented", "duplicated", "total", "paid", "credited", "voided", "reopened"]


@given(worlds(), st.data())
def test_a_consistent_world_agrees_and_one_change_is_named_exactly(
    world: list[Ours], data: st.DataObject
) -> None:
    held = {mine.id: listed(mine) for mine in world}
    assert compare(world, list(held.values())) == []
    at = data.draw(st.sampled_from(range(len(world))))
    mine = world[at]
    what = data.draw(st.sampled_from(PERTURBATIONS))
    amount = data.draw(st.integers(1, 10**6))
    live = mine.status != "void"
    expected: list[Said] = []
    there = held[mine.id].held
    match what:
        case "lost":
            del held[mine.id]
            expected = [("missing in Stripe", mine.total, None)] if live else []
        case "invented":
            held["new"] = Listed(
                replace(there, id="in_new", invoice_id=None, status="open"), account=mine.account
            )
            expected = [("extra in Stripe", -mine.total, None)]
        case "duplicated":
            held["new"] = listed(mine, id="in_new", status="open")
            expected = [("extra in Stripe", -mine.total, None)]
        case "total":
            held[mine.id] = listed(mine, total_excluding_tax=mine.total + amount)
            expected = [("total differs", -amount, None)] if live else []
        case "paid":
            held[mine.id] = listed(mine, amount_paid=mine.amount_paid + amount)
            expected = [("paid state differs", -amount, "refresh")] if live else []
        case "credited":
            held[mine.id] = listed(mine, credited=mine.credited + amount)
            expected = [("credit notes differ", -amount, None)] if live else []
        case "voided":
            world[at] = replace(mine, status="void")
            expected = [("extra in Stripe", -mine.total, None)] if live else []
        case "reopened":
            held[mine.id] = listed(mine, status="open")
            if mine.status == "void":
                expected = [("extra in Stripe", -mine.total, None)]
            elif mine.status != "open":
                expected = [("paid state differs", 0, None)]
    order = data.draw(st.permutations(list(held.values())))
    found = compare(world, order)
    assert said(found) == expected
    assert [each.account for each in found] == [mine.account] * len(expected)


@pytest.mark.parametrize(
    ("lines", "ours"),
    [
        ((), True),
        ((StripeLine("a", 100), StripeLine("b", -5)), True),
        ((StripeLine("b", -5), StripeLine("a", 100)), True),
        ((StripeLine("a", 100),), False),
        ((StripeLine("a", 100), StripeLine("by hand", -5)), False),
        (None, False),
    ],
)
def test_a_draft_that_somebody_wrote_into_is_not_ours_to_delete(
    lines: tuple[StripeLine, ...] | None, ours: bool
) -> None:
    assert is_our_draft(lines, (("a", 100), ("b", -5)), (("a", 95), ("b", 0))) == ours
