"""Lists in pages: `?limit&cursor`. The answer is a JSON array; while there is more, its `Link` header
(RFC 8288) names the next page with `rel="next"`. A cursor is the last id of a page; treat it as opaque."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request, Response

from billing.api.door import answer
from billing.repository import lists

Item = TypeVar("Item")

LINK_HEADER = {
    "Link": {
        "description": 'The next page, `<…>; rel="next"`; absent on the last.',
        "schema": {"type": "string"},
    }
}


class Page:
    """Which part of a list is wanted."""

    def __init__(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
        cursor: Annotated[
            str | None, Query(max_length=200, description="From the Link header of the page before.")
        ] = None,
    ) -> None:
        self._url = request.url
        self.limit = limit
        self.after = cursor or ""

    @property
    def fetch(self) -> int:
        """How many to ask for: one more than is shown tells whether there is a next page."""
        return self.limit + 1

    @property
    def wanted(self) -> lists.Page:
        """What to ask for."""
        return lists.Page(self.after, self.fetch)

    def show(
        self, found: Sequence[Item], id_of: Callable[[Item], str], data_of: Callable[[Item], Any]
    ) -> Response:
        """The answer with the first `limit` of what was found after the cursor."""
        shown = found[: self.limit]
        headers = {}
        if len(found) > self.limit:
            after = self._url.include_query_params(cursor=id_of(shown[-1]), limit=self.limit)
            headers["Link"] = f'<{after.path}?{after.query}>; rel="next"'
        return answer([data_of(item) for item in shown], headers=headers)

    def cut(self, every: Iterable[Item], id_of: Callable[[Item], str]) -> list[Item]:
        """Of a short list that is held whole: what comes after the cursor, in the order of ids."""
        return [item for item in sorted(every, key=id_of) if id_of(item) > self.after]


Paged = Annotated[Page, Depends()]
