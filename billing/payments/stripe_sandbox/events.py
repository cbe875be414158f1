"""Events: what happened, newest first, as the API lists them. Webhooks deliver the same objects."""

from __future__ import annotations

from fnmatch import fnmatchcase

from billing.payments.stripe_sandbox.paging import CREATED, listing, page
from billing.payments.stripe_sandbox.params import Array, Boolean, Params, Text
from billing.payments.stripe_sandbox.state import Object, State, shown_event

LIST = listing(
    {**CREATED, "delivery_success": Boolean(), "type": Text(), "types": Array(Text(), most=20)},
)


def retrieve(state: State, params: Params, id: str) -> Object:
    return shown_event(state.events.get(id, param="id", in_path=True))


def list_(state: State, params: Params) -> Object:
    wanted = [*params.get("types", []), *([params["type"]] if "type" in params else [])]
    delivered = params.get("delivery_success")

    def keep(row: Object) -> bool:
        named = not wanted or any(fnmatchcase(row["type"], pattern) for pattern in wanted)
        return named and (delivered is None or delivered == (row["pending_webhooks"] == 0))

    return page(state.events, params, "/v1/events", keep=keep, view=shown_event)
