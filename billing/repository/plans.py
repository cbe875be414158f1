"""The loaded plan versions. A version is immutable: there is no update here."""

from __future__ import annotations

import functools
import json

import sqlalchemy as sa

from billing.pricing.catalogue import Catalogue, PlanVersion
from billing.pricing.plan_file import plans_from_data
from billing.tables import plan_versions


def catalogue(connection: sa.Connection) -> Catalogue:
    """All versions that were loaded."""
    rows = connection.execute(sa.select(plan_versions.c.data))
    return Catalogue(version for row in rows for version in plans_from_data(json.loads(row.data)))


def version(connection: sa.Connection, plan_id: str) -> PlanVersion:
    """One version, by its id, for whoever needs no more of the catalogue. Raises UnknownPlan."""
    plan, _, name = plan_id.partition("@")
    query = sa.select(plan_versions.c.data).where(
        plan_versions.c.plan == plan, plan_versions.c.version == name
    )
    data: str | None = connection.scalar(query)
    return Catalogue([] if data is None else [_read(data)]).get(plan_id)


@functools.lru_cache(maxsize=256)
def _read(data: str) -> PlanVersion:
    (version,) = plans_from_data(json.loads(data))
    return version


def add(connection: sa.Connection, version: PlanVersion, now: int) -> None:
    connection.execute(
        plan_versions.insert().values(
            plan=version.plan, version=version.version, data=json.dumps(version.to_data()), loaded_at=now
        )
    )
