"""Lists: of which rows, in which order, and how many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa


class Page(NamedTuple):
    """A part of a list in the order in which its things were made, or the `newest` first: what follows an id
    (None or empty: from the first on), at most so many."""

    after: str | None = None
    limit: int | None = None
    newest: bool = False


WHOLE = Page()


def page_of(query: sa.Select[Any], id_: sa.Column[Any], page: Page) -> sa.Select[Any]:
    """The rows of a page; ids are in the order in which things were made."""
    query = query.order_by(id_.desc() if page.newest else id_)
    if page.after:
        query = query.where(id_ < page.after if page.newest else id_ > page.after)
    return query.limit(page.limit)


def having(query: sa.Select[Any], wanted: Mapping[sa.Column[Any], object]) -> sa.Select[Any]:
    """The rows whose columns have these values; None: any."""
    return query.where(*(column == value for column, value in wanted.items() if value is not None))
