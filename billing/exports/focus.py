"""Charges in the columns of FOCUS 1.2, the FinOps Open Cost and Usage Specification: a row a charge. Pure.

Every line of an issued invoice is a charge, and so are its credit notes and the tax that Stripe added: the
sum of BilledCost of an InvoiceId is what that document comes to, to the cent. Runs that were drawn from
committed ones cost nothing when they are drawn; their rows spread what was paid for the grant over them
(EffectiveCost), and what expires unused has a row too (docs/exports.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from billing.exports.table import Columns, Kind, Row
from billing.pricing.catalogue import PlanVersion
from billing.pricing.contract import Contract, Grant
from billing.pricing.drawdown import draw
from billing.pricing.line import Line, LineKind
from billing.pricing.money import multiply, to_major
from billing.pricing.rating import first_price
from billing.repository.credit_notes import CreditNote
from billing.repository.invoices import Invoice
from metering.period import Month, day_of

_T, _N, _I = Kind.TEXT, Kind.NUMBER, Kind.INSTANT
FOCUS_COLUMNS: Columns = {
    "BilledCost": _N, "BillingAccountId": _T, "BillingAccountName": _T, "BillingCurrency": _T,
    "BillingPeriodEnd": _I, "BillingPeriodStart": _I, "ChargeCategory": _T, "ChargeClass": _T,
    "ChargeDescription": _T, "ChargeFrequency": _T, "ChargePeriodEnd": _I, "ChargePeriodStart": _I,
    "CommitmentDiscountCategory": _T, "CommitmentDiscountId": _T, "CommitmentDiscountName": _T,
    "CommitmentDiscountQuantity": _N, "CommitmentDiscountStatus": _T, "CommitmentDiscountType": _T,
    "CommitmentDiscountUnit": _T, "ConsumedQuantity": _N, "ConsumedUnit": _T, "ContractedCost": _N,
    "ContractedUnitPrice": _N, "EffectiveCost": _N, "InvoiceId": _T, "InvoiceIssuerName": _T,
    "ListCost": _N, "ListUnitPrice": _N, "PricingCategory": _T, "PricingCurrency": _T,
    "PricingCurrencyContractedUnitPrice": _N, "PricingCurrencyEffectiveCost": _N,
    "PricingCurrencyListUnitPrice": _N, "PricingQuantity": _N, "PricingUnit": _T, "ProviderName": _T,
    "PublisherName": _T, "ServiceCategory": _T, "ServiceName": _T, "ServiceSubcategory": _T, "SkuId": _T,
    "SkuMeter": _T, "SkuPriceDetails": _T, "SkuPriceId": _T, "x_Contract": _T, "x_InvoiceStatus": _T,
    "x_LineKind": _T, "x_Plan": _T,
}  # fmt: skip

Charge = Mapping[str, Any]

_UNIT = "Runs"
_RUNS = {
    "ServiceName": "Task Runs",
    "ServiceCategory": "Integration",
    "ServiceSubcategory": "Workflow Orchestration",
}
_SERVICES = {
    "ServiceName": "Professional Services",
    "ServiceCategory": "Other",
    "ServiceSubcategory": "Other (Other)",
}
# What a run of a grant costs need not have an end.
_PRICE = Context(prec=60, rounding=ROUND_HALF_UP)
_PLACES = Decimal("1E-16")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who bills: the name of the seller."""

    name: str

    @property
    def columns(self) -> Charge:
        return {"InvoiceIssuerName": self.name, "ProviderName": self.name, "PublisherName": self.name}


def row(charge: Charge) -> Row:
    """A charge in the order of the columns; empty texts are none. Prices are in the currency of the bill."""
    charge = {
        **charge,
        "PricingCurrency": charge["BillingCurrency"],
        "PricingCurrencyContractedUnitPrice": charge.get("ContractedUnitPrice"),
        "PricingCurrencyEffectiveCost": charge["EffectiveCost"],
        "PricingCurrencyListUnitPrice": charge.get("ListUnitPrice"),
    }
    assert charge.keys() <= FOCUS_COLUMNS.keys(), charge.keys() - FOCUS_COLUMNS.keys()
    return tuple(charge.get(name) or None if kind is _T else charge.get(name) for name, kind in _KINDS)


_KINDS = tuple(FOCUS_COLUMNS.items())


def invoice_charges(
    invoice: Invoice,
    notes: Sequence[CreditNote],
    tax: int | None,
    issuer: Issuer,
    grants: Mapping[str, Grant],
) -> Iterator[Charge]:
    """Of an invoice that is issued and not void: its lines, the tax that Stripe added, its credit notes.
    `grants` are those of the contract that it is for, by their id."""
    code = invoice.currency
    document: Charge = {
        **_account(invoice.account, str(invoice.bill_to.get("name") or ""), code, invoice.month),
        **issuer.columns,
        **_RUNS,
        "InvoiceId": invoice.number,
        "x_InvoiceStatus": invoice.status,
        "x_Plan": invoice.plan,
        "x_Contract": invoice.contract,
    }
    bracket = 0
    for line in invoice.lines:
        named = {"ChargeDescription": line.description, "x_LineKind": line.kind.value}
        bracket += line.kind in (LineKind.USAGE, LineKind.ON_DEMAND)
        yield {**document, **named, **_line(invoice, line, bracket, grants)}
    if tax:
        said = {"ChargeCategory": "Tax", "ChargeDescription": "Tax, added by Stripe", "x_LineKind": "tax"}
        yield {**document, **_flat(to_major(tax, code)), **said}
    for note in notes:
        said = {
            "ChargeCategory": "Credit",
            "ChargeDescription": f"Credit note for {invoice.number}: {note.reason}",
            "InvoiceId": note.number,
            "x_LineKind": f"credit_note_{note.kind}",
        }
        yield {**document, **_flat(to_major(-note.amount, code)), **said}


def _account(account: str, name: str, code: str, month: Month) -> Charge:
    return {
        "BillingAccountId": account,
        "BillingAccountName": name or account,
        "BillingCurrency": code,
        "BillingPeriodStart": month.start,
        "BillingPeriodEnd": month.end,
        "ChargePeriodStart": month.start,
        "ChargePeriodEnd": month.end,
    }


def _flat(amount: Decimal) -> Charge:
    """A charge that has no price and no quantity."""
    return {
        "BilledCost": amount,
        "ContractedCost": amount,
        "EffectiveCost": amount,
        "ListCost": amount,
        "ChargeFrequency": "One-Time",
    }


def _line(invoice: Invoice, line: Line, bracket: int, grants: Mapping[str, Grant]) -> Charge:
    amount = to_major(line.amount, invoice.currency)
    match line.kind:
        case LineKind.USAGE | LineKind.ON_DEMAND:
            return _rated(invoice, line, bracket, amount)
        case LineKind.INSTALMENT:
            grant = grants.get((line.reference or "").removeprefix("grant/"))
            return {**_purchase(amount, "instalment"), **_instalment(invoice, line, grant)}
        case LineKind.SERVICE:
            return {**_purchase(amount, "service"), "PricingCategory": "Standard", **_SERVICES}
        case LineKind.ADJUSTMENT:
            month = line.month or invoice.month
            of_month = {"ChargePeriodStart": month.start, "ChargePeriodEnd": month.end}
            return {**_flat(amount), "ChargeCategory": "Adjustment", "ChargeClass": "Correction", **of_month}
        case LineKind.CARRIED:
            return {**_flat(amount), "ChargeCategory": "Adjustment"}
        case LineKind.PROGRAM_DISCOUNT | LineKind.PRICE_PROTECTION | LineKind.CREDIT:
            return {**_flat(amount), "ChargeCategory": "Credit"}


def _rated(invoice: Invoice, line: Line, bracket: int, amount: Decimal) -> Charge:
    quantity = _quantity(line.quantity)
    return {
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "BilledCost": amount,
        "EffectiveCost": amount,
        # Before the one rounding of the line: the product of price and quantity.
        "ContractedCost": line.exact_amount,
        "ListCost": line.exact_amount,
        "ContractedUnitPrice": line.unit_price,
        "ListUnitPrice": line.unit_price,
        "PricingQuantity": quantity,
        "PricingUnit": _UNIT,
        "ConsumedQuantity": quantity,
        "ConsumedUnit": _UNIT,
        "PricingCategory": "Standard",
        **_sku("task-run", f"{invoice.plan}/bracket-{bracket}"),
    }


def _sku(sku: str, price: str) -> Charge:
    return {"SkuId": sku, "SkuMeter": "Task Runs", "SkuPriceId": price}


def _purchase(amount: Decimal, sku: str) -> Charge:
    return {
        **_flat(amount),
        "ChargeCategory": "Purchase",
        "ContractedUnitPrice": amount,
        "ListUnitPrice": amount,
        "PricingQuantity": _quantity(1),
        "PricingUnit": "Units",
        "SkuId": sku,
        "SkuMeter": "Agreed Price",
        "SkuPriceId": sku,
    }


def _instalment(invoice: Invoice, line: Line, grant: Grant | None) -> Charge:
    """It pays for runs to come, so its effective cost is that of the runs. Its quantity is the part of the
    grant's runs that it pays for."""
    share = Decimal(0)
    if grant is not None and grant.price:
        share = _divided(Decimal(grant.runs * line.amount), grant.price)
    return {
        "ChargeFrequency": "Recurring",
        "EffectiveCost": Decimal(0),
        "PricingCategory": "Committed",
        **_commitment(invoice.contract or "", (line.reference or "").removeprefix("grant/"), share),
    }


def _commitment(contract: str, grant: str, quantity: Decimal) -> Charge:
    return {
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountId": f"{contract}/{grant}",
        "CommitmentDiscountName": f"Grant {grant} of contract {contract}",
        "CommitmentDiscountQuantity": quantity,
        "CommitmentDiscountType": "Committed Runs",
        "CommitmentDiscountUnit": _UNIT,
    }


def drawn_charges(
    contract: Contract,
    customer: str,
    usage: Mapping[date, int],
    version: PlanVersion,
    month: Month,
    issuer: Issuer,
    today: date,
    invoice: str | None,
) -> Iterator[Charge]:
    """The runs of a month that each grant of a contract served, and those that expired in it, as known now;
    `usage` has the billable runs of the term. They are with the month's `invoice`, whose note names them; it
    has a number, or is None. Over a term, the effective costs of a grant come to its price,
    to the cent."""
    days = draw(contract.grants, usage).days
    common = {
        **_account(contract.account, customer, contract.currency, month),
        **issuer.columns,
        **_RUNS,
        "BilledCost": Decimal(0),
        "InvoiceId": invoice,
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "PricingCategory": "Committed",
        "PricingUnit": _UNIT,
        "x_Plan": version.id,
        "x_Contract": contract.id,
    }
    list_price = first_price(version)
    for grant in contract.grants:
        served = [(each.day, dict(each.by_grant).get(grant.id, 0)) for each in days]
        before = sum(runs for day, runs in served if day < day_of(month.start))
        drawn = sum(runs for day, runs in served if day_of(month.start) <= day < day_of(month.end))
        if drawn:
            code = contract.currency
            cost = grant.worth(before + drawn, code) - grant.worth(before, code)
            yield {
                **common,
                **_committed(contract, grant, drawn, cost, list_price),
                "ChargeDescription": f"Task runs drawn from grant {grant.id} of contract {contract.id}",
                "CommitmentDiscountStatus": "Used",
                "ConsumedQuantity": _quantity(drawn),
                "ConsumedUnit": _UNIT,
                "x_LineKind": "drawn",
            }
        # A grant ends with the last day on which it may be drawn.
        ends_here = day_of(month.start) < grant.expires_on <= day_of(month.end)
        left = grant.runs - sum(runs for _, runs in served)
        if ends_here and grant.expires_on <= today and left:
            cost = grant.price - grant.worth(grant.runs - left, contract.currency)
            yield {
                **common,
                **_committed(contract, grant, left, cost, list_price),
                "ChargeDescription": f"Task runs of grant {grant.id} of contract {contract.id}, unused",
                "CommitmentDiscountStatus": "Unused",
                "x_LineKind": "expired",
            }


def _committed(contract: Contract, grant: Grant, runs: int, cost: int, list_price: Decimal) -> Charge:
    price = _divided(to_major(grant.price, contract.currency), grant.runs)
    return {
        "EffectiveCost": to_major(cost, contract.currency),
        "ContractedUnitPrice": price,
        "ContractedCost": multiply(runs, price),
        "ListUnitPrice": list_price,
        "ListCost": multiply(runs, list_price),
        "PricingQuantity": _quantity(runs),
        **_sku("committed-task-run", f"{contract.id}/{grant.id}"),
        **_commitment(contract.id, grant.id, _quantity(runs)),
    }


def _quantity(runs: int) -> Decimal:
    """With a place after the point: readers of CSV take a column of whole numbers for one that is always."""
    return Decimal(runs).quantize(Decimal("0.0"), context=_PRICE)


def _divided(amount: Decimal, by: int) -> Decimal:
    """To sixteen places."""
    return _PRICE.divide(amount, Decimal(by)).quantize(_PLACES, context=_PRICE)
