"""`expand`: ids in an answer replaced by the objects they name."""

from __future__ import annotations

import json
from collections.abc import Iterable

from billing.payments.stripe_sandbox.errors import ParameterError
from billing.payments.stripe_sandbox.state import Object, State

_EXPANDABLE = frozenset(
    {
        *("charge", "credit_note", "customer", "customer_balance_transaction", "data"),
        *("default_payment_method", "invoice", "invoice_settings", "latest_charge", "lines"),
        *("payment", "payment_intent", "payment_method", "payments"),
    }
)


def check(paths: Iterable[str]) -> None:
    """Refuse what cannot be expanded before anything runs."""
    for path in paths:
        parts = path.split(".")
        if len(parts) > 5 or not _EXPANDABLE.issuperset(parts):
            raise ParameterError(f"This property cannot be expanded ({path}).", param="expand")


def expanded(state: State, answer: Object, paths: Iterable[str]) -> Object:
    """A copy of the answer with the paths expanded; the stored objects keep their ids."""
    paths = list(paths)
    if not paths:
        return answer
    copied: Object = json.loads(json.dumps(answer))
    for path in paths:
        _expand(state, copied, path.split("."))
    return copied


def _expand(state: State, here: object, parts: list[str]) -> None:
    if isinstance(here, list):
        for row in here:
            _expand(state, row, parts)
        return
    if not isinstance(here, dict) or not parts:
        return
    name, rest = parts[0], parts[1:]
    if name == "payments" and here.get("object") == "invoice":
        here[name] = _payments(state, here["id"])
    value = here.get(name)
    if isinstance(value, str):
        row = next((table.rows[value] for table in state.tables() if value in table.rows), None)
        if row is not None:
            here[name] = value = json.loads(json.dumps(row))
    _expand(state, value, rest)


def _payments(state: State, invoice: str) -> Object:
    rows = [row for row in state.invoice_payments.rows.values() if row["invoice"] == invoice]
    return {
        "object": "list",
        "data": [dict(row) for row in rows],
        "has_more": False,
        "url": f"/v1/invoice_payments?invoice={invoice}",
    }
