"""Contracts that several tests share; `day` writes a date briefly."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from billing.pricing.contract import Contract, Grant, Instalments

day = date.fromisoformat

ACME = Contract(
    id="acme-2026",
    account="acme",
    start=day("2026-01-01"),
    end=day("2027-01-01"),
    plan="standard@2021-02",
    currency="USD",
    instalments=Instalments.QUARTERLY,
    grants=(Grant("g1", 1_000_000, 90_000, day("2026-01-01"), day("2027-01-01")),),
)


def grant(id: str, runs: int, since: str = "2026-01-01", until: str = "2027-01-01", price: int = 0) -> Grant:
    return Grant(id, runs, price, day(since), day(until))


def acme(*grants: Grant, **changes: Any) -> Contract:
    return replace(ACME, grants=grants, **changes)
