"""To when an account's usage is complete: what its sources say, and what a billing run makes of it.

An account without any source is as complete as what was handed in; nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from billing.repository import accounts
from metering.collecting import state
from metering.collecting.source import Source, watermark_data
from metering.database import reading
from metering.period import Month, format_instant, format_optional


@dataclass(frozen=True, slots=True)
class Incomplete:
    """An account's source of which not all is held that ended before the end of a month. `complete_to`: None
    where nothing is known."""

    account: str
    source: str
    complete_to: int | None

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        to = format_optional(self.complete_to)
        return {"account": self.account, "source": self.source, "complete_to": to}


def watermark(sources: Sequence[Source]) -> dict[str, object]:
    """To when an account is complete, in the shape of JSON answers: the earliest of its sources."""
    known = [each.complete_to for each in sources if each.complete_to is not None]
    complete_to = min(known) if len(known) == len(sources) else None
    return {
        "complete_to": format_optional(complete_to),
        "sources": [
            {"source": each.id, "since": format_instant(each.since), **watermark_data(each)}
            for each in sources
        ],
    }


def account_watermark(engine: sa.Engine, account: str) -> dict[str, dict[str, object]]:
    """The same as it stands now, as the field `watermark`; nothing for an account that has no sources."""
    with reading(engine) as connection:
        sources = state.search(connection, account=account)
    return {"watermark": watermark(sources)} if sources else {}


def sources_by_account(engine: sa.Engine, account: str | None) -> Mapping[str, Sequence[Source]]:
    """The sources of one account, or of all."""
    found: dict[str, list[Source]] = {}
    with reading(engine) as connection:
        for each in state.search(connection, account=account):
            found.setdefault(each.account, []).append(each)
    return found


def incomplete(
    engine: sa.Engine, sources: Mapping[str, Sequence[Source]], month: Month, cutoff: int
) -> list[Incomplete]:
    """The sources of which not all that ended in a month is held as of a cutoff, of accounts that are still
    to be billed for it. The sources must have been read before the cutoff was taken."""
    found = list(_not_complete(sources, month, cutoff))
    if not found:
        return []
    with reading(engine) as connection:
        waiting = accounts.to_be_run(connection, month)
    return [each for each in found if each.account in waiting]


def _not_complete(sources: Mapping[str, Sequence[Source]], month: Month, cutoff: int) -> Iterable[Incomplete]:
    for account in sorted(sources):
        for each in sources[account]:
            if not each.is_complete(month.end, cutoff):
                yield Incomplete(account, each.id, each.complete_to)
