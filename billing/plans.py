"""Operations on the catalogue, the same for every door."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import sqlalchemy as sa

from billing.audit.trail import change
from billing.errors import Invalid, NotFound, Refused
from billing.pricing.catalogue import Catalogue, PlanVersion
from billing.pricing.errors import PricingError, UnknownPlan, VersionConflict
from billing.pricing.plan_file import parse_plan_file
from billing.repository import plans
from metering.database import reading, writing
from metering.period import Month


def shipped_catalogue() -> tuple[PlanVersion, ...]:
    """The plan versions that come with the product."""
    file = files("billing") / "data" / "catalogue.json"
    return parse_plan_file(file.read_text("utf-8"), file.name)


def load_plan_text(engine: sa.Engine, text: str, name: str, now: int) -> list[PlanVersion]:
    """Load the plan versions of a file; answers those that are new. All or nothing. Raises Invalid, naming
    plan and bracket, or Refused for a version that exists with other content."""
    return load_versions(engine, parse_plans(text, name), now)


def parse_plans(text: str, name: str) -> tuple[PlanVersion, ...]:
    """The plan versions of a file's text. Raises Invalid, naming plan and bracket."""
    try:
        return parse_plan_file(text, name)
    except PricingError as error:
        raise Invalid(str(error), field="plan") from None


def load_versions(engine: sa.Engine, versions: Sequence[PlanVersion], now: int) -> list[PlanVersion]:
    """Add plan versions; those held already are left as they are. Raises Refused."""
    with writing(engine) as connection:
        held = plans.catalogue(connection)
        try:
            held.add(*versions)
        except VersionConflict as error:
            raise Refused(str(error), field="version") from None
        new = list({version.id: version for version in versions if version.id not in held}.values())
        for version in new:
            with change(connection, "plan.loaded", "plan", version.plan, now=now):
                plans.add(connection, version, now)
    return new


def load_shipped(engine: sa.Engine, now: int) -> None:
    """Load the shipped catalogue; does nothing where it is loaded."""
    load_versions(engine, shipped_catalogue(), now)


def list_plans(engine: sa.Engine) -> Catalogue:
    with reading(engine) as connection:
        return plans.catalogue(connection)


def show_plan(engine: sa.Engine, name: str, month: Month) -> PlanVersion:
    """`starter` (its newest version in effect in the month) or `starter@2021-02`. Raises NotFound."""
    catalogue = list_plans(engine)
    try:
        return catalogue.get(name) if "@" in name else catalogue.newest(name, month)
    except UnknownPlan as error:
        raise NotFound(str(error), field="plan") from None
