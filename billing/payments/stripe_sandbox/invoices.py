"""Invoices while they are drafts, and how every invoice is read and listed."""

from __future__ import annotations

import json
from collections.abc import Mapping

from billing.payments.stripe_sandbox import customers, invoice_items, payment_methods
from billing.payments.stripe_sandbox.errors import refused
from billing.payments.stripe_sandbox.invoice_template import blank
from billing.payments.stripe_sandbox.paging import CREATED, EXPAND, listing, page, page_of, within
from billing.payments.stripe_sandbox.params import (
    ID,
    TIMESTAMP,
    Array,
    Boolean,
    Choice,
    Currency,
    Field,
    Hash,
    Integer,
    Metadata,
    Params,
    Range,
    Text,
)
from billing.payments.stripe_sandbox.state import Object, State, changes, merged_metadata
from billing.payments.stripe_sandbox.totals import recompute, tax_rate

HOUR, DAY = 3600, 86_400
STATUSES = ("draft", "open", "paid", "uncollectible", "void")
_METHODS = Choice(("charge_automatically", "send_invoice"))
_CUSTOM_FIELD = Hash({"name": Text(40), "value": Text(140)}, required=("name", "value"))
_TAX = Hash({"enabled": Boolean()}, required=("enabled",))
_COMMON: Mapping[str, Field] = {
    "auto_advance": Boolean(),
    "automatic_tax": _TAX,
    "automatically_finalizes_at": TIMESTAMP,
    "collection_method": _METHODS,
    "custom_fields": Array(_CUSTOM_FIELD, most=4, unsettable=True),
    "days_until_due": Integer(least=0),
    "default_payment_method": ID,
    "default_tax_rates": Array(ID),
    "description": Text(1500, unsettable=True),
    "due_date": TIMESTAMP,
    "effective_at": TIMESTAMP,
    "expand": EXPAND,
    "footer": Text(unsettable=True),
    "metadata": Metadata(),
    "payment_settings": Hash({"payment_method_types": Array(Choice(("card",)), unsettable=True)}),
    "statement_descriptor": Text(22),
}
CREATE = Hash(
    {
        **_COMMON,
        "currency": Currency(),
        "customer": ID,
        "number": Text(26),
        "pending_invoice_items_behavior": Choice(("exclude", "include")),
    }
)
UPDATE = Hash({**_COMMON, "number": Text(26, unsettable=True)})
DELETE = Hash({})
LIST = listing(
    {
        **CREATED,
        "collection_method": _METHODS,
        "customer": ID,
        "due_date": Range(),
        "status": Choice(STATUSES),
    }
)
# What may still change once the amounts are fixed.
_ALWAYS = {"auto_advance", "default_payment_method", "due_date", "expand", "metadata", "payment_settings"}


def create(state: State, params: Params) -> Object:
    if "customer" not in params:
        raise refused("Missing required param: customer.", code="parameter_missing", param="customer")
    customer = customers.existing(state, params["customer"], "customer")
    method = params.get("collection_method") or "charge_automatically"
    _check_collection(state, params, method, creating=True)
    if state.missing_email == "refused" and method == "send_invoice" and not customer["email"]:
        raise refused(
            "Missing email. In order to create invoices that are sent to the customer, the customer must "
            "have a valid email.",
            param="customer",
        )
    _check_method(state, params, customer["id"])
    _check_rates(params)
    _check_number(state, params, None)
    invoice = blank(state, customer, params.get("currency") or customer["currency"] or "usd")
    waiting = _waiting(state, invoice, params)
    if len(waiting) > invoice_items.MAX_ITEMS:
        raise refused(f"An invoice can have at most {invoice_items.MAX_ITEMS} invoice items.")
    state.invoices.add(invoice)
    state.lines[invoice["id"]] = []
    customers.use_currency(customer, invoice["currency"])
    _assign(state, invoice, params)
    for item in waiting:
        state.once_pending.add(item["id"])
        invoice_items.put_on(state, item, invoice)
    recompute(state, invoice)
    state.emit("invoice.created", view(state, invoice))
    return view(state, invoice)


def retrieve(state: State, params: Params, id: str) -> Object:
    return view(state, state.invoices.get(id, param="invoice", in_path=True))


def update(state: State, params: Params, id: str) -> Object:
    invoice = state.invoices.get(id, param="invoice", in_path=True)
    before = view(state, invoice)
    fixed = sorted(params.keys() - _ALWAYS)
    if invoice["status"] != "draft" and fixed:
        raise refused(
            f"Finalized invoices can't be updated in this way: {', '.join(fixed)}",
            code="invoice_not_editable",
            param=fixed[0],
        )
    _check_collection(state, params, params.get("collection_method") or str(invoice["collection_method"]))
    _check_method(state, params, invoice["customer"])
    _check_rates(params)
    _check_number(state, params, id)
    _assign(state, invoice, params)
    if invoice["status"] == "draft":
        recompute(state, invoice)
    after = view(state, invoice)
    state.emit("invoice.updated", after, changes(before, after))
    return after


def delete(state: State, params: Params, id: str) -> Object:
    invoice = state.invoices.get(id, param="invoice", in_path=True)
    if invoice["status"] != "draft":
        raise refused("You can only delete draft invoices.", code="invoice_not_editable", param="invoice")
    for line in state.lines.pop(id):
        item = invoice_items.item_of(line)
        if item in state.once_pending:
            state.invoice_items.rows[item]["invoice"] = None
        else:
            state.invoice_items.remove(item)
    state.numbers.pop(invoice["number"], None)
    state.invoices.remove(id)
    state.emit("invoice.deleted", invoice)
    return {"id": id, "object": "invoice", "deleted": True}


def list_(state: State, params: Params) -> Object:
    if "customer" in params:
        state.customers.get(params["customer"], param="customer")

    def keep(row: Object) -> bool:
        same = all(params.get(name, row[name]) == row[name] for name in ("status", "collection_method"))
        return same and within(row["due_date"], params.get("due_date", {}))

    return page(
        state.invoices,
        params,
        "/v1/invoices",
        customer=params.get("customer"),
        keep=keep,
        view=lambda row: view(state, row),
    )


def view(state: State, invoice: Object) -> Object:
    """The invoice as it is answered: with its first ten lines, apart from what is stored."""
    id = invoice["id"]
    whole = {**invoice, "lines": page_of(state.lines[id], {}, f"/v1/invoices/{id}/lines")}
    whole["lines"]["total_count"] = len(state.lines[id])
    copied: Object = json.loads(json.dumps(whole))
    return copied


def _waiting(state: State, invoice: Object, params: Params) -> list[Object]:
    """The pending items that a new invoice takes: newest first, as Stripe lists them."""
    if params.get("pending_invoice_items_behavior") != "include":
        return []
    ids = reversed(state.invoice_items.by_customer.get(invoice["customer"], []))
    items = (state.invoice_items.rows[id] for id in ids if id in state.invoice_items.rows)
    return [item for item in items if item["invoice"] is None and item["currency"] == invoice["currency"]]


def _check_collection(state: State, params: Params, method: str, *, creating: bool = False) -> None:
    due = [name for name in ("days_until_due", "due_date") if name in params]
    if len(due) == 2:
        raise refused(
            "You may only specify one of these parameters: days_until_due, due_date.",
            code="parameters_exclusive",
            param="due_date",
        )
    if due and method != "send_invoice":
        raise refused(
            f"You can only set `{due[0]}` if the `collection_method` is `send_invoice`.", param=due[0]
        )
    if creating and not due and method == "send_invoice":
        raise refused(
            "If `collection_method` is `send_invoice`, `days_until_due` or `due_date` must be specified.",
            code="parameter_missing",
            param="days_until_due",
        )
    if params.get("due_date", state.now) < state.now:
        raise refused("`due_date` must be in the future.", param="due_date")


def _check_rates(params: Params) -> None:
    name = "default_tax_rates"
    for rate in params.get(name, ()):
        if not rate.startswith("txr_"):
            raise refused(f"No such tax rate: '{rate}'", code="resource_missing", param=name)
    if params.get(name) and params.get("automatic_tax", {}).get("enabled"):
        raise refused("Automatic tax and tax rates exclude one another.", param=name)


def _check_method(state: State, params: Params, customer: str) -> None:
    name = "default_payment_method"
    if name in params:
        params[name] = payment_methods.of_customer(state, params[name], customer, name)["id"]


def _check_number(state: State, params: Params, own: str | None) -> None:
    number = params.get("number")
    if number is not None and state.numbers.get(number, own) != own:
        raise refused(f"The invoice number {number} is already in use by another invoice.", param="number")


def _assign(state: State, invoice: Object, params: Params) -> None:
    if "metadata" in params:
        invoice["metadata"] = merged_metadata(invoice["metadata"], params["metadata"])
    plain = ("collection_method", "custom_fields", "default_payment_method", "description", "due_date")
    if "default_tax_rates" in params:
        invoice["default_tax_rates"] = [tax_rate(state, each) for each in params["default_tax_rates"]]
    for field in (*plain, "effective_at", "footer", "statement_descriptor", "auto_advance"):
        if field in params:
            invoice[field] = params[field]
    if "days_until_due" in params:
        invoice["due_date"] = invoice["created"] + params["days_until_due"] * DAY
    if "automatic_tax" in params:
        enabled = params["automatic_tax"]["enabled"]
        invoice["automatic_tax"] = {
            **invoice["automatic_tax"],
            "enabled": enabled,
            "liability": {"type": "self"} if enabled else None,
            "status": "complete" if enabled else None,
        }
    if "payment_settings" in params:
        invoice["payment_settings"] = {**invoice["payment_settings"], **params["payment_settings"]}
    if "number" in params:
        state.numbers.pop(invoice["number"], None)
        invoice["number"] = params["number"]
        if params["number"] is not None:
            state.numbers[params["number"]] = invoice["id"]
    if invoice["status"] == "draft":
        after_an_hour = invoice["created"] + HOUR if invoice["auto_advance"] else None
        held = invoice["automatically_finalizes_at"]
        invoice["automatically_finalizes_at"] = params.get(
            "automatically_finalizes_at", (held or after_an_hour) if invoice["auto_advance"] else None
        )
