"""Newest-first lists with cursors, as Stripe pages them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from billing.payments.stripe_sandbox.errors import ParameterError, missing
from billing.payments.stripe_sandbox.params import ID, Array, Field, Hash, Integer, Params, Range, Text
from billing.payments.stripe_sandbox.state import Object, Table

EXPAND = Array(Text(), most=20)
DEFAULT_LIMIT, MAX_LIMIT = 10, 100
PAGING: Mapping[str, Field] = {
    "limit": Integer(least=1, most=MAX_LIMIT),
    "starting_after": ID,
    "ending_before": ID,
    "expand": EXPAND,
}
CREATED: Mapping[str, Field] = {"created": Range()}
RETRIEVE = Hash({"expand": EXPAND})


def listing(fields: Mapping[str, Field]) -> Hash:
    """The parameters of a list route: its filters, and those that every list takes."""
    return Hash({**fields, **PAGING})


def page(
    table: Table,
    params: Params,
    url: str,
    *,
    customer: str | None = None,
    keep: Callable[[Object], bool] = lambda row: True,
    view: Callable[[Object], Object] = lambda row: row,
) -> Object:
    """One page of a table, newest first; `created` and the cursors come from `params`."""
    order = table.order if customer is None else table.by_customer.get(customer, [])
    ids, backwards = _walk(order, table, params)
    bounds = params.get("created", {})
    rows = (table.rows[id] for id in ids if id in table.rows)
    kept = (row for row in rows if within(row.get("created", row.get("date")), bounds) and keep(row))
    return answer(kept, params, url, backwards, view)


def page_of(rows: list[Object], params: Params, url: str) -> Object:
    """One page of a short list in its own order (an invoice's lines)."""
    ids = [row["id"] for row in rows]
    backwards = "ending_before" in params
    _one_cursor(params)
    for name in ("starting_after", "ending_before"):
        if name in params and params[name] not in ids:
            raise missing("line item", params[name], param=name)
    if backwards:
        found: Iterable[Object] = reversed(rows[: ids.index(params["ending_before"])])
    elif "starting_after" in params:
        found = rows[ids.index(params["starting_after"]) + 1 :]
    else:
        found = rows
    return answer(found, params, url, backwards, lambda row: row)


def answer(
    rows: Iterable[Object], params: Params, url: str, backwards: bool, view: Callable[[Object], Object]
) -> Object:
    """The list object; `rows` walks away from the cursor, so that one row more says if there are more."""
    limit = params.get("limit", DEFAULT_LIMIT)
    found = list(islice(rows, limit + 1))
    data = [view(row) for row in found[:limit]]
    if backwards:
        data.reverse()
    return {"object": "list", "data": data, "has_more": len(found) > limit, "url": url}


def within(value: int | None, bounds: Mapping[str, Any]) -> bool:
    """Whether an instant lies within the bounds of a filter."""
    if not bounds:
        return True
    return value is not None and (
        value > bounds.get("gt", value - 1)
        and value >= bounds.get("gte", value)
        and value < bounds.get("lt", value + 1)
        and value <= bounds.get("lte", value)
    )


def _walk(order: list[str], table: Table, params: Params) -> tuple[Iterator[str], bool]:
    """Ids from the cursor on: towards older ones, or (with `ending_before`) towards newer ones."""
    _one_cursor(params)
    for name in ("starting_after", "ending_before"):
        cursor = params.get(name)
        if cursor is None:
            continue
        if cursor not in table.sequence:
            raise missing(table.noun, cursor, param=name)
        place = table.sequence[cursor]
        if name == "starting_after":
            stop = bisect_left(order, place, key=table.sequence.__getitem__)
            return (order[index] for index in range(stop - 1, -1, -1)), False
        start = bisect_right(order, place, key=table.sequence.__getitem__)
        return (order[index] for index in range(start, len(order))), True
    return reversed(order), False


def _one_cursor(params: Params) -> None:
    if "starting_after" in params and "ending_before" in params:
        raise ParameterError(
            "You may only specify one of these parameters: starting_after, ending_before.",
            code="parameters_exclusive",
            param="starting_after",
        )
