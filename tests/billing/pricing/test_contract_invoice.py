"""What a contract invoice holds: each instalment and service once, to the cent, whatever was amended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from billing.pricing.contract import Contract, Instalments, Service
from billing.pricing.contract_invoice import (
    InstalmentStatus,
    ServiceStatus,
    Status,
    due_lines,
    instalment_status,
    service_status,
)
from billing.pricing.errors import AmountError
from billing.pricing.line import LineKind
from tests.billing.pricing.contracts import ACME, acme, day, grant

UPFRONT, QUARTERLY, MONTHLY = Instalments


def due(contract: Contract, invoiced: Mapping[str, int], as_of: str) -> list[tuple[str, int]]:
    return [(line.description, line.amount) for line in due_lines(contract, invoiced, day(as_of))]


class Books:
    """A contract's live invoices: what `due_lines` answers is invoiced, and handed in with the next."""

    def __init__(self) -> None:
        self.invoiced: Counter[str] = Counter()

    def invoice(self, contract: Contract, as_of: str) -> list[int]:
        lines = due_lines(contract, self.invoiced, day(as_of))
        for line in lines:
            assert line.reference is not None
            self.invoiced[line.reference] += line.amount
        assert due_lines(contract, self.invoiced, day(as_of)) == ()
        return [line.amount for line in lines]


def test_nothing_is_due_before_the_first_date() -> None:
    assert due(ACME, {}, "2025-12-31") == []


def test_each_quarter_is_due_from_its_day_on() -> None:
    assert due(ACME, {}, "2026-01-01") == [
        ("Instalment 1 of 4, due 2026-01-01: 1,000,000 task runs (grant g1)", 22_500)
    ]
    assert due(ACME, {"grant/g1": 22_500}, "2026-03-31") == []
    assert due(ACME, {"grant/g1": 22_500}, "2026-04-01") == [
        ("Instalment 2 of 4, due 2026-04-01: 1,000,000 task runs (grant g1)", 22_500)
    ]
    assert due(ACME, {"grant/g1": 90_000}, "2030-01-01") == []


def test_dates_that_were_missed_come_together_each_on_its_line() -> None:
    assert [text[:32] for text, _ in due(ACME, {"grant/g1": 22_500}, "2026-12-31")] == [
        "Instalment 2 of 4, due 2026-04-0",
        "Instalment 3 of 4, due 2026-07-0",
        "Instalment 4 of 4, due 2026-10-0",
    ]


def test_a_line() -> None:
    contract = acme(grant("g", 1, price=100), services=(Service("Onboarding", 150_000, day("2026-01-01")),))
    instalment, service = due_lines(contract, {}, day("2026-01-01"))
    assert instalment.to_data() == {
        "kind": "instalment",
        "description": "Instalment 1 of 4, due 2026-01-01: 1 task run (grant g)",
        "quantity": 1,
        "unit_price": None,
        "exact_amount": "0.25",
        "amount": 25,
        "reference": "grant/g",
    }
    assert (service.kind, service.description, service.reference) == (
        LineKind.SERVICE,
        "Onboarding, due 2026-01-01",
        "service/1",
    )
    assert (service.quantity, service.amount) == (1, 150_000)


def test_odd_cents_come_first_and_all_of_them_come() -> None:
    books = Books()
    contract = acme(grant("g", 1, price=90_002))
    dates = ("2026-01-01", "2026-04-01", "2026-07-01", "2026-10-01")
    assert [books.invoice(contract, each) for each in dates] == [[22_501], [22_501], [22_500], [22_500]]


def test_fewer_cents_than_dates_make_no_empty_lines() -> None:
    books = Books()
    contract = acme(grant("g", 1, price=2))
    assert [books.invoice(contract, f"2026-{month}-01") for month in ("01", "04", "07", "10")] == [
        [1], [1], [], [],
    ]  # fmt: skip


def test_a_grant_added_after_the_last_date_is_due_on_its_own_day() -> None:
    books = Books()
    books.invoice(ACME, "2026-10-01")
    more = ACME.with_grant(grant("g2", 5_000, "2026-10-02", price=301))
    assert books.invoice(more, "2026-10-01") == []
    assert due(more, books.invoiced, "2026-10-02") == [
        ("Instalment 1 of 1, due 2026-10-02: 5,000 task runs (grant g2)", 301)
    ]


def test_upfront_is_due_with_each_grant() -> None:
    books = Books()
    contract = acme(grant("a", 1, price=400), grant("b", 1, "2026-03-15", price=301), instalments=UPFRONT)
    assert [books.invoice(contract, each) for each in ("2026-01-01", "2026-03-14", "2026-03-15")] == [
        [400], [], [301],
    ]  # fmt: skip


def test_an_earlier_end_asks_for_the_rest_of_what_has_fallen_due() -> None:
    """900.00 over four quarters become 900.00 over two: of the first, 450.00 and no longer 225.00 are due."""
    books = Books()
    assert books.invoice(ACME, "2026-01-01") == [22_500]
    shorter = acme(grant("g1", 1_000_000, until="2026-07-01", price=90_000), end=day("2026-07-01"))
    assert due(shorter, books.invoiced, "2026-02-10") == [
        ("Rest of instalment 1 of 2, due 2026-01-01: 1,000,000 task runs (grant g1)", 22_500)
    ]
    assert books.invoice(shorter, "2026-02-10") == [22_500]
    assert books.invoice(shorter, "2026-04-01") == [45_000]
    assert sum(books.invoiced.values()) == 90_000


def test_a_later_end_waits_until_what_was_invoiced_has_fallen_due() -> None:
    """Two quarters of 450.00 become six of 150.00: the first 450.00 are three of them."""
    shorter = acme(grant("g1", 1_000_000, until="2026-07-01", price=90_000), end=day("2026-07-01"))
    longer = acme(grant("g1", 1_000_000, until="2027-07-01", price=90_000), end=day("2027-07-01"))
    books = Books()
    assert books.invoice(shorter, "2026-01-01") == [45_000]
    dates = ("2026-04-01", "2026-07-01", "2026-10-01", "2027-01-01", "2027-04-01")
    assert [books.invoice(longer, each) for each in dates] == [[], [], [15_000], [15_000], [15_000]]


def test_a_lower_price_refunds_nothing() -> None:
    cheaper = acme(grant("g1", 1_000_000, price=20_000))
    assert due(cheaper, {"grant/g1": 22_500}, "2027-01-01") == []


def test_a_void_invoice_is_due_again() -> None:
    books = Books()
    books.invoice(ACME, "2026-04-01")
    books.invoiced["grant/g1"] -= 22_500
    assert books.invoice(ACME, "2026-04-02") == [22_500]


def test_a_grant_that_an_amendment_took_away_is_not_asked_for_nor_refunded() -> None:
    assert due(acme(), {"grant/g1": 22_500}, "2027-01-01") == []


def test_services_go_by_their_number() -> None:
    onboarding = Service("Onboarding", 150_000, day("2026-01-01"))
    contract = acme(
        services=(
            onboarding,
            replace(onboarding, due_on=day("2026-05-01")),
            Service("Support", 0, day("2026-01-01")),
        )
    )
    assert due(contract, {"service/1": 150_000}, "2026-04-30") == []
    assert due(contract, {"service/1": 150_000}, "2026-05-01") == [("Onboarding, due 2026-05-01", 150_000)]
    raised = replace(contract, services=(replace(onboarding, price=160_000),))
    assert due(raised, {"service/1": 150_000}, "2026-05-01") == [
        ("Rest of Onboarding, due 2026-01-01", 10_000)
    ]


def test_instalments_come_before_services_and_by_date() -> None:
    contract = acme(
        grant("a", 1, price=400),
        grant("b", 1, "2026-02-02", price=300),
        services=(Service("Late", 1, day("2026-03-01")), Service("Early", 1, day("2026-01-01"))),
    )
    lines = due_lines(contract, {}, day("2026-07-01"))
    assert [f"{line.reference} {line.amount}" for line in lines] == [
        "grant/a 100", "grant/a 100", "grant/b 100", "grant/a 100", "grant/b 100",
        "service/2 1", "service/1 1",
    ]  # fmt: skip


def test_the_status_of_each_instalment() -> None:
    statuses = instalment_status(ACME, {"grant/g1": 30_000}, day("2026-07-15"))
    assert statuses == (
        InstalmentStatus(day("2026-01-01"), "g1", 22_500, Status.INVOICED, 22_500),
        InstalmentStatus(day("2026-04-01"), "g1", 22_500, Status.DUE, 7_500),
        InstalmentStatus(day("2026-07-01"), "g1", 22_500, Status.DUE, 0),
        InstalmentStatus(day("2026-10-01"), "g1", 22_500, Status.UPCOMING, 0),
    )
    assert [status.value for status in Status] == ["invoiced", "due", "upcoming"]


def test_the_status_of_an_instalment_of_nothing_is_left_out() -> None:
    statuses = instalment_status(acme(grant("g", 1, price=2), grant("h", 1)), {}, day("2026-01-01"))
    assert [(each.grant, f"{each.due_on:%m-%d}", each.status.value) for each in statuses] == [
        ("g", "01-01", "due"),
        ("g", "04-01", "upcoming"),
    ]


def test_the_status_of_services() -> None:
    services = (Service("Onboarding", 500, day("2026-01-01")), Service("Support", 0, day("2026-06-01")))
    assert service_status(acme(services=services), {"service/1": 200}, day("2026-01-01")) == (
        ServiceStatus(1, day("2026-01-01"), "Onboarding", 500, Status.DUE, 200),
        ServiceStatus(2, day("2026-06-01"), "Support", 0, None, 0),
    )


@pytest.mark.parametrize(
    ("amount", "error"), [(1.0, TypeError), (True, TypeError), (-1, ValueError), (150, AmountError)]
)
def test_amounts_that_no_invoice_can_hold(amount: Any, error: type[Exception]) -> None:
    contract = acme(grant("g", 1, price=1_000), currency="ISK")
    with pytest.raises(error):
        due_lines(contract, {"grant/g": amount}, day("2026-01-01"))
