"""Charges in FOCUS: they come to the invoices, and the validator of FOCUS has nothing to say."""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.exports.focus import FOCUS_COLUMNS, Issuer, drawn_charges, invoice_charges, row
from billing.exports.operation import Format, export, write_file
from billing.invoices import each_invoice
from billing.pricing.money import to_major
from billing.repository import credit_notes
from metering.database import reading
from metering.period import Month
from tests.billing.exports.world import CONTRACT, busy_month
from tests.billing.pricing.contracts import acme, grant
from tests.billing.pricing.data import STANDARD
from tests.conftest import NewDatabase
from tests.world import OCTOBER, World

US = Issuer("Us")


@pytest.fixture(scope="module")
def world(sqlite_databases: NewDatabase) -> World:
    return busy_month(sqlite_databases())


def charges(world: World) -> list[dict[str, Any]]:
    table = export(world.service, "focus", OCTOBER)
    return [dict(zip(table.columns, each, strict=True)) for each in table.rows]


def test_the_sum_of_a_document_is_the_document(world: World) -> None:
    billed: dict[str, Decimal] = defaultdict(Decimal)
    for charge in charges(world):
        billed[charge["InvoiceId"]] += charge["BilledCost"]
    wanted: dict[str, Decimal] = {}
    for invoice in each_invoice(world.engine, month=OCTOBER):
        with reading(world.engine) as connection:
            notes = credit_notes.of_invoice(connection, invoice.id)
        if invoice.lines or invoice.account == "globex":
            wanted[invoice.number or ""] = to_major(invoice.total, invoice.currency)
        wanted |= {note.number: to_major(-note.amount, invoice.currency) for note in notes}
    assert billed == wanted
    assert sum(billed.values()) > 1_600


def test_costs_are_prices_times_quantities(world: World) -> None:
    for charge in charges(world):
        if charge["ChargeClass"] is None and charge["PricingQuantity"] is not None:
            for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
                assert charge[cost] == charge[price] * charge["PricingQuantity"], charge["ChargeDescription"]
            paid_before = charge["x_LineKind"] in ("drawn", "expired")
            coin = {"USD": Decimal("0.01"), "JPY": Decimal(1)}[charge["BillingCurrency"]]
            rounded = charge["ContractedCost"].quantize(coin, ROUND_HALF_UP)
            assert charge["BilledCost"] == (0 if paid_before else rounded), charge["ChargeDescription"]


def test_an_adjustment_is_a_correction_of_its_month(world: World) -> None:
    (charge,) = [each for each in charges(world) if each["x_LineKind"] == "adjustment"]
    september = OCTOBER.previous()
    assert (charge["ChargeCategory"], charge["ChargeClass"]) == ("Adjustment", "Correction")
    assert (charge["ChargePeriodStart"], charge["BillingPeriodStart"]) == (september.start, OCTOBER.start)
    assert charge["BilledCost"] == Decimal("1.25")


def test_committed_runs_carry_what_was_paid_for_them(world: World) -> None:
    of_grant: dict[str, Decimal] = defaultdict(Decimal)
    quantities: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for charge in charges(world):
        if charge["CommitmentDiscountId"]:
            of_grant[charge["CommitmentDiscountId"]] += charge["EffectiveCost"]
            kind = charge["CommitmentDiscountStatus"] or charge["ChargeCategory"]
            quantities[charge["CommitmentDiscountId"], kind] += charge["CommitmentDiscountQuantity"]
    assert of_grant == {"globex-1/g1": Decimal("100.00"), "globex-1/g2": Decimal("77.77")}
    assert quantities == {
        ("globex-1/g1", "Purchase"): 300, ("globex-1/g1", "Used"): 300,
        ("globex-1/g2", "Purchase"): 500, ("globex-1/g2", "Used"): 400, ("globex-1/g2", "Unused"): 100,
    }  # fmt: skip


_GRANTS = st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 100_000)), min_size=1, max_size=3)
_USAGE = st.dictionaries(st.dates(date(2026, 1, 1), date(2026, 12, 31)), st.integers(0, 2_000), max_size=40)


@given(_GRANTS, _USAGE)
def test_over_a_term_effective_costs_are_the_price_of_the_grants(
    given_: list[tuple[int, int]], usage: dict[date, int]
) -> None:
    grants = [grant(f"g{place}", runs, price=price) for place, (runs, price) in enumerate(given_)]
    contract = acme(*grants)
    costs: dict[str, Decimal] = defaultdict(Decimal)
    runs: dict[str, Decimal] = defaultdict(Decimal)
    drawn = Decimal(0)
    for month in contract.months:
        for charge in drawn_charges(
            contract, "Acme", usage, STANDARD, month, US, date(2027, 1, 1), f"{month}-000001"
        ):
            assert charge["EffectiveCost"] >= 0 and charge["BilledCost"] == 0
            assert len(row(charge)) == len(FOCUS_COLUMNS)
            costs[charge["CommitmentDiscountId"]] += charge["EffectiveCost"]
            runs[charge["CommitmentDiscountId"]] += charge["CommitmentDiscountQuantity"]
            drawn += charge["CommitmentDiscountQuantity"] * (charge["CommitmentDiscountStatus"] == "Used")
    for each in grants:
        name = f"acme-2026/{each.id}"
        assert (runs[name], costs[name]) == (each.runs, to_major(each.price, "USD"))
    assert drawn == min(sum(usage.values()), sum(each.runs for each in grants))


def test_a_grant_that_still_serves_has_nothing_unused() -> None:
    def status(today: date) -> list[str]:
        found = drawn_charges(CONTRACT, "", {}, STANDARD, OCTOBER, US, today, None)
        return [charge["CommitmentDiscountStatus"] for charge in found]

    assert (status(date(2026, 10, 31)), status(date(2026, 11, 1))) == ([], ["Unused", "Unused"])
    found = drawn_charges(CONTRACT, "", {}, STANDARD, OCTOBER.next(), US, date(2026, 12, 1), None)
    assert list(found) == []


def test_tax_that_stripe_added_is_a_charge_of_its_own(world: World) -> None:
    (invoice,) = [each for each in each_invoice(world.engine, month=OCTOBER) if each.account == "tokyo"]
    *_, tax = invoice_charges(replace(invoice), [], 19, US, {})
    assert (tax["ChargeCategory"], tax["BilledCost"], tax["InvoiceId"]) == ("Tax", 19, invoice.number)
    assert row(tax)[list(FOCUS_COLUMNS).index("PricingQuantity")] is None


def test_drafts_and_void_invoices_are_no_charges(sqlite_databases: NewDatabase) -> None:
    from tests.billing.months import bill, dollars, void
    from tests.events import runs

    world = dollars(sqlite_databases())
    world.send(runs(3))
    void(world, bill(world))
    assert charges(world) == []
    bill(world)
    assert {each["InvoiceId"] for each in charges(world)} == {"2026-10-000002"}
    world.send(runs(3, prefix="n", day="2026-11-02"))
    world.instant = Month.parse("2026-11").end
    world.service.run_month(OCTOBER.next(), early=True)
    assert list(export(world.service, "focus", OCTOBER.next()).rows) == []


# Rules that the validator applies to every charge, where their own text does not (FOCUS 1.2, model 1.2.0.1),
# and those above them, which fail with them.
NOT_AS_WRITTEN = {
    # "MUST NOT be null when CommitmentDiscountId is not null": asked where it *is* null.
    "CommitmentDiscountStatus-C-004-C", "CommitmentDiscountStatus-C-002-C",
    "CommitmentDiscountStatus-C-000-C",
    # "0 when the purchase is intended to cover future eligible charges": asked of services, too.
    "EffectiveCost-C-005-C", "EffectiveCost-C-000-M",
    # "MUST be null when the charge is not associated with an invoice": asked of all that are.
    "InvoiceId-C-004-C",
    # "MUST be valid Unicode strings": asked to be ASCII.
    "BillingAccountName-C-002-M", "BillingAccountName-C-000-M",
}  # fmt: skip
# What of the specification applies to us.
SUPPORTED = ",".join(
    f"{each}_SUPPORTED"
    for each in (
        "ACCOUNT_NAMING", "COMMITMENT_DISCOUNT", "MULTIPLE_PRICING_CATEGORIES", "NEGOTIATED_PRICING",
        "PUBLIC_PRICE_LIST", "USAGE_MEASUREMENT", "UNIT_PRICING",
    )
)  # fmt: skip


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_the_validator_of_focus_has_nothing_to_say(world: World, format_: Format, tmp_path: Path) -> None:
    python = os.environ.get("BILLING_TEST_FOCUS_PYTHON")
    if not python:
        pytest.skip("NO VALIDATOR: scripts/test installs focus-validator where there is a Python 3.12")
    place = tmp_path / f"focus.{format_}"
    write_file(export(world.service, "focus", OCTOBER), format_, place)
    # It looks for its own files below the folder that it runs in.
    where = "import focus_validator, pathlib; print(pathlib.Path(focus_validator.__file__).parents[1])"
    folder = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    asked = ("--validate-version", "1.2", "--block-download", "--focus-dataset", "CostAndUsage",
             "--applicability-criteria", SUPPORTED)  # fmt: skip
    done = subprocess.run(
        [Path(python).with_name("focus-validator"), "--data-file", place, *asked],
        cwd=folder, check=False, capture_output=True, text=True,
    )  # fmt: skip
    passed = re.findall(r"^✅ ([\w-]+): PASS", done.stdout, re.MULTILINE)
    failed = set(re.findall(r"^❌ ([\w-]+): FAIL", done.stdout, re.MULTILINE))
    assert failed <= NOT_AS_WRITTEN, done.stdout[-5000:] + done.stderr
    assert len(passed) > 240, done.stdout[-2000:] + done.stderr
