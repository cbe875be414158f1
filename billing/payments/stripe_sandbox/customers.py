"""Customers and their balance: what they owe (positive) or are owed (negative), by transactions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.payments.stripe_sandbox import payment_methods, tax_ids
from billing.payments.stripe_sandbox.errors import refused
from billing.payments.stripe_sandbox.paging import CREATED, EXPAND, listing, page
from billing.payments.stripe_sandbox.params import (
    ID,
    Array,
    Choice,
    Currency,
    Field,
    Hash,
    Integer,
    Metadata,
    Params,
    Text,
)
from billing.payments.stripe_sandbox.state import Object, State, changes, merged_metadata

_ADDRESS_PARTS = ("city", "country", "line1", "line2", "postal_code", "state")
ADDRESS = Hash({part: Text(unsettable=True) for part in _ADDRESS_PARTS}, unsettable=True)
_COMMON: Mapping[str, Field] = {
    "address": ADDRESS,
    "balance": Integer(),
    "description": Text(unsettable=True),
    "email": Text(512, unsettable=True),
    "expand": EXPAND,
    "invoice_prefix": Text(),
    "invoice_settings": Hash(
        {"default_payment_method": Text(unsettable=True), "footer": Text(unsettable=True)}
    ),
    "metadata": Metadata(),
    "name": Text(256, unsettable=True),
    "next_invoice_sequence": Integer(least=1),
    "phone": Text(20, unsettable=True),
    "preferred_locales": Array(Text()),
    "tax_exempt": Choice(("exempt", "none", "reverse")),
}
CREATE = Hash({**_COMMON, "payment_method": ID, "tax_id_data": Array(tax_ids.DATA)})
UPDATE = Hash(_COMMON)
DELETE = Hash({})
LIST = listing({**CREATED, "email": Text(512)})
CREATE_TRANSACTION = Hash(
    {
        "amount": Integer(),
        "currency": Currency(),
        "description": Text(350, unsettable=True),
        "expand": EXPAND,
        "metadata": Metadata(),
    },
    required=("amount", "currency"),
)
LIST_TRANSACTIONS = listing({**CREATED, "invoice": ID})


def create(state: State, params: Params) -> Object:
    id = state.new_id("cus")
    customer: Object = {
        "id": id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": state.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "email": None,
        "invoice_prefix": id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    default = params.get("invoice_settings", {}).get("default_payment_method")
    if default is not None and default != params.get("payment_method"):
        raise refused(
            "The customer does not have a payment method with the ID "
            f"{default}. The payment method must be attached to the customer.",
            code="resource_missing",
            param="invoice_settings[default_payment_method]",
        )
    if "payment_method" in params:
        method = payment_methods.attachable(state, params["payment_method"], "payment_method")
        state.customers.add(customer)
        payment_methods.attach_to(state, method, customer)
        if default is not None:
            params["invoice_settings"]["default_payment_method"] = method["id"]
    else:
        state.customers.add(customer)
    _assign(customer, params)
    state.emit("customer.created", customer)
    for given in params.get("tax_id_data", ()):
        tax_ids.add(state, id, given)
    if "balance" in params:
        transact(state, customer, params["balance"], "initial", currency=customer["currency"] or "usd")
    return customer


def retrieve(state: State, params: Params, id: str) -> Object:
    return existing(state, id, "id", in_path=True, or_deleted=True)


def update(state: State, params: Params, id: str) -> Object:
    customer = existing(state, id, "id", in_path=True)
    default = params.get("invoice_settings", {}).get("default_payment_method")
    if default is not None:
        method = payment_methods.of_customer(
            state, default, customer["id"], "invoice_settings[default_payment_method]"
        )
        params["invoice_settings"]["default_payment_method"] = method["id"]
    before = dict(customer)
    _assign(customer, params)
    if "balance" in params and params["balance"] != customer["balance"]:
        amount = params["balance"] - customer["balance"]
        transact(state, customer, amount, "adjustment", currency=customer["currency"] or "usd")
    state.emit("customer.updated", customer, changes(before, customer))
    return customer


def delete(state: State, params: Params, id: str) -> Object:
    customer = existing(state, id, "id", in_path=True)
    state.emit("customer.deleted", customer)
    customer.clear()
    customer.update({"id": id, "object": "customer", "deleted": True})
    return customer


def list_(state: State, params: Params) -> Object:
    def keep(row: Object) -> bool:
        return not row.get("deleted") and params.get("email", row.get("email")) == row.get("email")

    return page(state.customers, params, "/v1/customers", keep=keep)


def create_transaction(state: State, params: Params, id: str) -> Object:
    customer = existing(state, id, "customer", in_path=True)
    use_currency(customer, params["currency"])
    transaction = transact(state, customer, params["amount"], "adjustment", currency=params["currency"])
    transaction["description"] = params.get("description")
    transaction["metadata"] = merged_metadata({}, params.get("metadata"))
    state.emit("customer.updated", customer)
    return transaction


def list_transactions(state: State, params: Params, id: str) -> Object:
    existing(state, id, "customer", in_path=True)

    def keep(row: Object) -> bool:
        return bool(params.get("invoice", row["invoice"]) == row["invoice"])

    url = f"/v1/customers/{id}/balance_transactions"
    return page(state.balance_transactions, params, url, customer=id, keep=keep)


def existing(state: State, id: str, param: str, *, in_path: bool = False, or_deleted: bool = False) -> Object:
    """The customer; a deleted one can be read and nothing else."""
    customer = state.customers.get(id, param=param, in_path=in_path)
    if customer.get("deleted") and not or_deleted:
        raise refused(f"No such customer: '{id}'", code="resource_missing", param=param)
    return customer


def use_currency(customer: Object, currency: str) -> None:
    """A customer's first invoice or balance fixes their currency; another one later is fine for invoices."""
    if customer["currency"] is None:
        customer["currency"] = currency


def transact(
    state: State, customer: Object, amount: int, type: str, *, currency: str, **about: Any
) -> Object:
    """Move the customer's balance by `amount` (minor units; positive: they owe more), with a record of it."""
    customer["balance"] += amount
    return state.balance_transactions.add(
        {
            "id": state.new_id("cbtxn"),
            "object": "customer_balance_transaction",
            "amount": amount,
            "created": state.now,
            "credit_note": about.get("credit_note"),
            "currency": currency,
            "customer": customer["id"],
            "description": None,
            "ending_balance": customer["balance"],
            "invoice": about.get("invoice"),
            "livemode": False,
            "metadata": {},
            "type": type,
        }
    )


def _assign(customer: Object, params: Params) -> None:
    if "metadata" in params:
        customer["metadata"] = merged_metadata(customer["metadata"], params["metadata"])
    plain = ("description", "email", "name", "phone", "preferred_locales", "tax_exempt", "invoice_prefix")
    for field in (*plain, "next_invoice_sequence"):
        if field in params:
            customer[field] = params[field]
    if "address" in params:
        given = params["address"]
        customer["address"] = given and {part: given.get(part) for part in _ADDRESS_PARTS}
    customer["invoice_settings"] = {**customer["invoice_settings"], **params.get("invoice_settings", {})}
