"""Composing an invoice from usage: its lines, their order and wording, the total, the notes."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest

from billing.pricing.catalogue import PlanVersion
from billing.pricing.errors import CurrencyError, CurrencyMismatch
from billing.pricing.invoice import STEPS, Basis, Document, Line, LineKind, Step, compose
from metering.period import Month
from tests.billing.pricing.data import DEVELOPER, STARTER, counts, plan

OCTOBER = Month(2026, 10)


def invoice(
    billable: int, version: PlanVersion = STARTER, currency: str = "USD", **not_billed: int
) -> Document:
    return compose(Basis("acme", OCTOBER, currency, counts(billable, **not_billed), version))


def test_one_line_a_bracket_that_holds_runs() -> None:
    document = invoice(123_456)
    assert [(line.description, line.quantity, line.amount) for line in document.lines] == [
        ("Task runs 1 to 10,000 (free)", 10_000, 0),
        ("Task runs 10,001 to 100,000 at 0.0025 USD each", 90_000, 22_500),
        ("Task runs 100,001 to 123,456 at 0.00125 USD each", 23_456, 2_932),
    ]
    assert document.total == 25_432
    assert {line.kind for line in document.lines} == {LineKind.USAGE}


def test_a_line_with_one_run() -> None:
    assert [line.description for line in invoice(10_001).lines] == [
        "Task runs 1 to 10,000 (free)",
        "Task run 10,001 at 0.0025 USD",
    ]
    assert [line.description for line in invoice(1).lines] == ["Task run 1 (free)"]
    assert [line.description for line in invoice(10_002).lines][1:] == [
        "Task runs 10,001 to 10,002 at 0.0025 USD each"
    ]


def test_the_document_as_json() -> None:
    data = json.loads(json.dumps(invoice(20_000, too_short=7, failed=2).to_data()))
    assert data == {
        "account": "acme",
        "kind": "usage",
        "period": {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"},
        "currency": "USD",
        "plan": "starter@2021-02",
        "billable": 20_000,
        "not_billed": {"too_short": 7, "cached": 0, "failed": 2, "crashed": 0, "cancelled": 0, "reversed": 0},
        "lines": [
            {
                "kind": "usage",
                "description": "Task runs 1 to 10,000 (free)",
                "quantity": 10_000,
                "unit_price": "0",
                "exact_amount": "0",
                "amount": 0,
            },
            {
                "kind": "usage",
                "description": "Task runs 10,001 to 20,000 at 0.0025 USD each",
                "quantity": 10_000,
                "unit_price": "0.0025",
                "exact_amount": "25.0000",
                "amount": 2_500,
            },
        ],
        "total": 2_500,
        "over_soft_limit": 0,
        "notes": [],
    }


def test_decimals_never_show_an_exponent() -> None:
    line = invoice(1, plan((None, "0.000000000001"))).lines[0].to_data()
    assert (line["unit_price"], line["exact_amount"]) == ("0.000000000001", "0.000000000001")


def test_a_month_without_billable_runs() -> None:
    document = invoice(0, failed=3)
    assert (document.lines, document.total) == ((), 0)
    assert document.counts.not_billed["failed"] == 3


@pytest.mark.parametrize(
    ("billable", "over", "notes"),
    [
        (10_000, 0, ()),
        (10_001, 1, ("1 task run is over the plan's limit of 10,000 a month: counted, and not charged.",)),
        (
            12_345,
            2_345,
            ("2,345 task runs are over the plan's limit of 10,000 a month: counted, and not charged.",),
        ),
    ],
)
def test_runs_over_the_soft_limit_are_shown_and_not_charged(
    billable: int, over: int, notes: tuple[str, ...]
) -> None:
    document = invoice(billable, DEVELOPER)
    assert (document.over_soft_limit, document.notes, document.total) == (over, notes, 0)
    assert sum(line.quantity for line in document.lines) == billable


def test_an_account_and_its_plan_have_one_currency() -> None:
    with pytest.raises(
        CurrencyMismatch, match=r"account acme is billed in EUR, but plan starter@2021-02 is priced in USD"
    ):
        invoice(1, currency="EUR")
    with pytest.raises(CurrencyError):
        invoice(1, currency="usd")


def test_a_document_cannot_be_edited() -> None:
    document = invoice(20_000)
    with pytest.raises(FrozenInstanceError):
        document.total = 1  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        document.lines[0].amount = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [{"quantity": 1.0}, {"unit_price": 0.0025}, {"exact_amount": 25.0}, {"amount": 25.0}, {"amount": True}],
)
def test_a_float_never_enters_a_line(change: dict[str, object]) -> None:
    fields: dict[str, object] = {
        "kind": LineKind.USAGE,
        "description": "…",
        "quantity": 10_000,
        "unit_price": Decimal("0.0025"),
        "exact_amount": Decimal(25),
        "amount": 2_500,
    }
    with pytest.raises(TypeError):
        Line(**{**fields, **change})  # type: ignore[arg-type]


def _minus_ten(kind: LineKind) -> Step:
    """A step like those to come: ten dollars off, on a line of its own."""

    def step(basis: Basis, before: tuple[Line, ...]) -> tuple[Line, ...]:
        return (Line(kind, "Ten off", 1, None, Decimal("-10.00"), -1_000),)

    return step


def test_a_further_step_adds_lines_and_edits_none() -> None:
    plain = invoice(20_000)
    basis = Basis("acme", OCTOBER, "USD", counts(20_000), STARTER)
    document = compose(basis, (*STEPS, _minus_ten(LineKind.PROGRAM_DISCOUNT)))
    assert document.lines[:-1] == plain.lines
    assert document.total == 1_500
    assert document.to_data()["lines"][-1]["unit_price"] is None  # type: ignore[index]


def test_unsound_steps_are_caught() -> None:
    basis = Basis("acme", OCTOBER, "USD", counts(20_000), STARTER)
    credit, discount = _minus_ten(LineKind.CREDIT), _minus_ten(LineKind.PROGRAM_DISCOUNT)
    with pytest.raises(AssertionError, match="order"):
        compose(basis, (*STEPS, credit, discount))
    with pytest.raises(AssertionError, match="below zero"):
        compose(basis, (*STEPS, credit, credit, credit))


def test_the_kinds_are_named_in_their_order() -> None:
    assert [kind.value for kind in LineKind] == [
        "instalment",
        "service",
        "usage",
        "on_demand",
        "program_discount",
        "price_protection",
        "adjustment",
        "credit",
        "carried",
    ]
