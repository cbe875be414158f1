"""The loaded plan versions. A version is immutable: there is no update here."""

from __future__ import annotations

import functools
import json
import weakref

import sqlalchemy as sa

from billing.pricing.catalogue import Catalogue, PlanVersion
from billing.pricing.plan_file import plans_from_data
from billing.tables import plan_versions
from metering.database import asking


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


def kept_version(engine: sa.Engine, plan_id: str) -> PlanVersion:
    """The same of what is committed, which never changes: it is asked for once. Raises UnknownPlan."""
    known = _kept.setdefault(engine, {})
    found = known.get(plan_id)
    if found is None:
        with asking(engine) as connection:
            found = version(connection, plan_id)
        if len(known) >= _MOST_KEPT:
            known.clear()
        known[plan_id] = found
    return found


_kept: weakref.WeakKeyDictionary[sa.Engine, dict[str, PlanVersion]] = weakref.WeakKeyDictionary()
_MOST_KEPT = 1000


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
