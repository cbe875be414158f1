"""What the sandbox remembers: tables of Stripe's objects, and the events that their changes make.

Objects are dictionaries in the shape of Stripe's JSON, so that what is stored is what is answered. No
clock is read here: `now` is set by the caller before each step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from billing.payments.stripe_sandbox.errors import missing, refused
from billing.payments.stripe_sandbox.params import METADATA_KEYS

API_VERSION = "2026-10-28.endive"

Object = dict[str, Any]


class Table:
    """Objects of one kind in the order of their creation, also by customer, for newest-first lists."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.rows: dict[str, Object] = {}
        self.order: list[str] = []
        self.by_customer: dict[str, list[str]] = {}
        self.sequence: dict[str, int] = {}

    def add(self, row: Object) -> Object:
        id = row["id"]
        self.rows[id] = row
        self.sequence[id] = len(self.order)
        self.order.append(id)
        customer = row.get("customer")
        if customer is not None:
            self.by_customer.setdefault(customer, []).append(id)
        return row

    def remove(self, id: str) -> None:
        """Forget the row; its place in the order stays, so that cursors remain valid."""
        del self.rows[id]

    def get(self, id: str, *, param: str, in_path: bool = False) -> Object:
        """The row, or Stripe's `resource_missing` that names `param`."""
        row = self.rows.get(id)
        if row is None:
            raise missing(self.noun.replace("_", " "), id, param=param, in_path=in_path)
        return row


@dataclass
class State:
    """One Stripe account in test mode. `seed` makes ids differ between runs, or repeat in tests."""

    seed: str
    now: int = 0
    attempt_payments: Literal["immediately", "later"] = "immediately"
    missing_email: Literal["accepted", "refused"] = "accepted"
    tax_percent: int = 0
    request: Object = field(default_factory=lambda: {"id": None, "idempotency_key": None})
    on_event: Callable[[Object], None] = lambda event: None
    customers: Table = field(default_factory=lambda: Table("customer"))
    tax_ids: Table = field(default_factory=lambda: Table("tax_id"))
    payment_methods: Table = field(default_factory=lambda: Table("PaymentMethod"))
    invoice_items: Table = field(default_factory=lambda: Table("invoiceitem"))
    invoices: Table = field(default_factory=lambda: Table("invoice"))
    credit_notes: Table = field(default_factory=lambda: Table("credit_note"))
    payment_intents: Table = field(default_factory=lambda: Table("payment_intent"))
    charges: Table = field(default_factory=lambda: Table("charge"))
    invoice_payments: Table = field(default_factory=lambda: Table("invoice_payment"))
    refunds: Table = field(default_factory=lambda: Table("refund"))
    disputes: Table = field(default_factory=lambda: Table("dispute"))
    balance_transactions: Table = field(default_factory=lambda: Table("customer_balance_transaction"))
    events: Table = field(default_factory=lambda: Table("event"))
    lines: dict[str, list[Object]] = field(default_factory=dict)
    """An invoice's lines by its id, in the order in which Stripe lists them."""
    numbers: dict[str, str] = field(default_factory=dict)
    """Invoice numbers in use → the invoice's id; two invoices never share one."""
    open_payments: dict[str, Object] = field(default_factory=dict)
    """Payments that were tried and are not paid, by their invoice's id."""
    once_pending: set[str] = field(default_factory=set)
    """Invoice items that were pending before an invoice took them: they survive a deleted draft."""
    _ids: int = 0

    def new_id(self, prefix: str) -> str:
        self._ids += 1
        digest = hashlib.sha256(f"{self.seed}:{self._ids}".encode()).hexdigest()
        return f"{prefix}_{digest[:24]}"

    def emit(self, type: str, snapshot: Object, previous: Mapping[str, Any] | None = None) -> None:
        """Record an event about an object as it is now; `previous`: the changed fields' old values.

        The snapshot is kept as text, a tenth of the memory of a dictionary; `shown_event` reads it.
        """
        data: Object = {"object": snapshot}
        if previous is not None:
            data["previous_attributes"] = dict(previous)
        event = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": json.dumps(data),
            "livemode": False,
            "pending_webhooks": 0,
            "request": dict(self.request),
            "type": type,
        }
        self.events.add(event)
        self.on_event(event)

    def tables(self) -> tuple[Table, ...]:
        """Every table whose objects can be expanded by id."""
        return (
            self.customers,
            self.tax_ids,
            self.payment_methods,
            self.invoices,
            self.credit_notes,
            self.payment_intents,
            self.charges,
            self.refunds,
            self.disputes,
            self.balance_transactions,
            self.invoice_items,
        )


def shown_event(event: Object) -> Object:
    """An event as it is answered and delivered."""
    return {**event, "data": json.loads(event["data"])}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Object:
    """The old values of the fields that differ: an update event's `previous_attributes`."""
    return {key: before.get(key) for key in after if before.get(key) != after[key]}


def merged_metadata(held: Mapping[str, str], given: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata after an update: empty values unset their keys, None unsets everything.

    >>> merged_metadata({"a": "1", "b": "2"}, {"a": "", "c": "3"})
    {'b': '2', 'c': '3'}
    """
    if given is None:
        return {}
    merged = {key: value for key, value in {**held, **given}.items() if value != ""}
    if len(merged) > METADATA_KEYS:
        raise refused(
            f"You can have up to {METADATA_KEYS} metadata keys, but this makes {len(merged)}.",
            param="metadata",
        )
    return merged
