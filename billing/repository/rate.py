"""What the processes know together about Stripe's rate limit: one row, changed by one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from billing.payments.rate import Rate, Share
from billing.stripe_tables import stripe_rate
from metering.database import writing

_NAME = "stripe"


@dataclass(frozen=True, slots=True)
class StoredRate:
    """A `SharedRate` in the database."""

    engine: sa.Engine

    def change(self, how: Callable[[Rate], Rate]) -> Rate:
        with writing(self.engine) as connection:
            query = sa.select(stripe_rate.c.data).where(stripe_rate.c.name == _NAME).with_for_update()
            rate = how(_read(connection.execute(query).scalar_one()))
            data = json.dumps(asdict(rate))
            connection.execute(stripe_rate.update().where(stripe_rate.c.name == _NAME).values(data=data))
            return rate


def _read(text: str) -> Rate:
    data = json.loads(text)
    if not data:
        return Rate()
    return Rate(
        {name: Share(**each) for name, each in data["shares"].items()},
        tuple(Share(**each) for each in data["settling"]),
        data["factor"],
        data["since"],
        data["resume_at"],
    )
