"""Invoices under terms, written briefly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billing.pricing.catalogue import PlanVersion
from billing.pricing.invoice import Basis, Document, LineKind, compose
from billing.pricing.program_discount import Program, ProgramName
from metering.period import Month
from tests.billing.pricing.contracts import day
from tests.billing.pricing.data import STARTER, counts

OCTOBER = Month(2026, 10)
SEPTEMBER, AUGUST = OCTOBER.previous(), OCTOBER.previous().previous()


def basis(billable: int, version: PlanVersion = STARTER, **terms: Any) -> Basis:
    return Basis("acme", OCTOBER, version.currency, counts(billable), version, **terms)


def invoice(billable: int, version: PlanVersion = STARTER, **terms: Any) -> Document:
    return compose(basis(billable, version, **terms))


def changes(document: Document) -> list[tuple[str, str, int]]:
    """The lines that are not about this month's runs."""
    rated = (LineKind.USAGE, LineKind.ON_DEMAND)
    return [
        (line.kind.value, line.description, line.amount) for line in document.lines if line.kind not in rated
    ]


def program(
    percentage: str, since: str = "2026-01-01", until: str = "2027-01-01", name: str = "startups"
) -> Program:
    return Program(ProgramName(name), Decimal(percentage), day(since), day(until))
