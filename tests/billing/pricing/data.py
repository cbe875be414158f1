"""Values that several pricing tests share."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from billing.pricing.catalogue import Bracket, Catalogue, PlanVersion
from billing.pricing.plan_file import parse_plan_file
from metering.outcome import Outcome
from metering.usage import Counts

DATA = Path(__file__).parents[3] / "billing" / "data"


def load(name: str) -> Catalogue:
    return Catalogue(parse_plan_file((DATA / name).read_text(encoding="utf-8"), name))


SHIPPED = load("catalogue.json")
LATER = load("catalogue-2021-11.json")
STARTER = SHIPPED.get("starter@2021-02")
STANDARD = SHIPPED.get("standard@2021-02")
DEVELOPER = SHIPPED.get("developer@2021-02")


def plan(
    *brackets: tuple[int | None, str], currency: str = "USD", soft_limit: int | None = None
) -> PlanVersion:
    return PlanVersion(
        plan="test",
        version="v1",
        effective_from=date(2021, 2, 1),
        currency=currency,
        soft_limit=soft_limit,
        brackets=tuple(Bracket(up_to, Decimal(price)) for up_to, price in brackets),
    )


def counts(billable: int, **not_billed: int) -> Counts:
    return Counts(
        {Outcome.BILLABLE: billable, **{Outcome[name.upper()]: n for name, n in not_billed.items()}}
    )
