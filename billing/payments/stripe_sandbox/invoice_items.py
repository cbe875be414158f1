"""Invoice items: amounts that wait for a customer's next invoice, or sit on a draft as its lines."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

from billing.payments.stripe_sandbox import customers
from billing.payments.stripe_sandbox.currencies import LARGEST_AMOUNT
from billing.payments.stripe_sandbox.errors import refused
from billing.payments.stripe_sandbox.paging import EXPAND, listing, page
from billing.payments.stripe_sandbox.params import (
    ID,
    TIMESTAMP,
    Boolean,
    Currency,
    Decimals,
    Field,
    Hash,
    Integer,
    Metadata,
    Params,
    Range,
    Text,
)
from billing.payments.stripe_sandbox.state import Object, State, merged_metadata
from billing.payments.stripe_sandbox.totals import recompute

MAX_ITEMS = 250
PERIOD = Hash({"end": TIMESTAMP, "start": TIMESTAMP}, required=("end", "start"))
_PRICE: Mapping[str, Field] = {
    "currency": Currency(),
    "product": ID,
    "unit_amount": Integer(),
    "unit_amount_decimal": Decimals(),
}
PRICE_DATA = Hash(_PRICE, required=("currency",))
CONTENT: Mapping[str, Field] = {
    "amount": Integer(-LARGEST_AMOUNT, LARGEST_AMOUNT),
    "description": Text(unsettable=True),
    "discountable": Boolean(),
    "metadata": Metadata(),
    "period": PERIOD,
    "price_data": PRICE_DATA,
    "quantity": Integer(least=0),
}
"""What an item and a line have in common."""

CREATE = Hash(
    {
        **CONTENT,
        "price_data": Hash(_PRICE, required=("currency", "product")),
        "currency": Currency(),
        "customer": ID,
        "expand": EXPAND,
        "invoice": ID,
        "unit_amount_decimal": Decimals(),
    }
)
UPDATE = Hash(
    {
        **CONTENT,
        "price_data": Hash(_PRICE, required=("currency", "product")),
        "expand": EXPAND,
        "unit_amount_decimal": Decimals(),
    }
)
DELETE = Hash({})
LIST = listing({"created": Range(), "customer": ID, "invoice": ID, "pending": Boolean()})


def create(state: State, params: Params) -> Object:
    invoice = None
    if "invoice" in params:
        invoice = state.invoices.get(params["invoice"], param="invoice")
        editable(invoice)
        room_for(state, invoice, 1)
    customer_id = params.get("customer", invoice["customer"] if invoice else None)
    if customer_id is None:
        raise refused("Missing required param: customer.", code="parameter_missing", param="customer")
    customer = customers.existing(state, customer_id, "customer")
    if invoice is not None and invoice["customer"] != customer_id:
        raise refused("The invoice belongs to another customer.", param="invoice")
    currency = invoice["currency"] if invoice else customer["currency"] or "usd"
    item = prepared(state, params, customer_id, params.get("currency") or currency, invoice=invoice)
    keep(state, item, invoice)
    customers.use_currency(customer, item["currency"])
    state.emit("invoiceitem.created", item)
    return item


def retrieve(state: State, params: Params, id: str) -> Object:
    return state.invoice_items.get(id, param="invoiceitem", in_path=True)


def update(state: State, params: Params, id: str) -> Object:
    item = state.invoice_items.get(id, param="invoiceitem", in_path=True)
    change(state, item, params)
    return item


def delete(state: State, params: Params, id: str) -> Object:
    item = state.invoice_items.get(id, param="invoiceitem", in_path=True)
    if item["invoice"] is not None:
        invoice = state.invoices.rows[item["invoice"]]
        editable(invoice)
        lines = state.lines[invoice["id"]]
        lines[:] = [line for line in lines if item_of(line) != id]
        recompute(state, invoice)
    state.invoice_items.remove(id)
    state.emit("invoiceitem.deleted", item)
    return {"id": id, "object": "invoiceitem", "deleted": True}


def list_(state: State, params: Params) -> Object:
    def kept(row: Object) -> bool:
        pending = row["invoice"] is None
        same_invoice = params.get("invoice", row["invoice"]) == row["invoice"]
        return bool(same_invoice and params.get("pending", pending) == pending)

    return page(state.invoice_items, params, "/v1/invoiceitems", customer=params.get("customer"), keep=kept)


def editable(invoice: Object) -> None:
    """Only drafts change their content."""
    if invoice["status"] != "draft":
        raise refused(
            "This invoice is no longer editable: it has been finalized, and its amounts are fixed.",
            code="invoice_not_editable",
            param="invoice",
        )


def room_for(state: State, invoice: Object, count: int) -> None:
    if len(state.lines[invoice["id"]]) + count > MAX_ITEMS:
        raise refused(f"An invoice can have at most {MAX_ITEMS} invoice items.", param="invoice")


def prepared(
    state: State, params: Params, customer: str, currency: str, *, invoice: Object | None, param: str = ""
) -> Object:
    """A new item that is not kept yet, so that of several lines all are added or none."""
    if invoice is not None and currency != invoice["currency"]:
        raise refused(
            f"The invoice item's currency ({currency}) must match the invoice's ({invoice['currency']}).",
            param="currency",
        )
    price = params.get("price_data", {})
    if price.get("currency", currency) != currency:
        raise refused(
            f"The price's currency ({price['currency']}) must match the invoice's ({currency}).",
            param="price_data[currency]",
        )
    quantity: int = params.get("quantity", 1)
    amount, unit = _amount(params, quantity, param)
    _taxable(invoice, amount)
    period = params.get("period", {"end": state.now, "start": state.now})
    return {
        "id": state.new_id("ii"),
        "object": "invoiceitem",
        "amount": amount,
        "currency": currency,
        "customer": customer,
        "date": state.now,
        "description": params.get("description"),
        "discountable": params.get("discountable", False),
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": merged_metadata({}, params.get("metadata")),
        "net_amount": amount,
        "parent": None,
        "period": {"end": period["end"], "start": period["start"]},
        "pricing": {"price_details": None, "type": "price_details", "unit_amount_decimal": unit},
        "proration": False,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "tax_rates": [],
        "test_clock": None,
    }


def keep(state: State, item: Object, invoice: Object | None) -> None:
    """Store the item; on an invoice it becomes a line, after those that are there."""
    state.invoice_items.add(item)
    if invoice is not None:
        put_on(state, item, invoice)


def put_on(state: State, item: Object, invoice: Object) -> None:
    item["invoice"] = invoice["id"]
    state.lines[invoice["id"]].append(
        {
            "id": state.new_id("il"),
            "object": "line_item",
            "discount_amounts": [],
            "discounts": [],
            "invoice": invoice["id"],
            "livemode": False,
            "parent": {
                "invoice_item_details": {
                    "invoice_item": item["id"],
                    "proration": False,
                    "proration_details": {"credited_items": None},
                    "subscription": None,
                },
                "subscription_item_details": None,
                "type": "invoice_item_details",
            },
            "pretax_credit_amounts": [],
            "subscription": None,
            "taxes": [],
            **_shared(item),
        }
    )
    recompute(state, invoice)


def change(state: State, item: Object, params: Params) -> None:
    """Edit an item, and the line that shows it."""
    invoice = state.invoices.rows[item["invoice"]] if item["invoice"] else None
    if invoice is not None:
        editable(invoice)
    if "metadata" in params:
        item["metadata"] = merged_metadata(item["metadata"], params["metadata"])
    if {"amount", "quantity", "unit_amount_decimal", "price_data"} & params.keys():
        quantity: int = params["quantity"] if "quantity" in params else item["quantity"]
        priced = "amount" in params or "unit_amount_decimal" in params or "price_data" in params
        held: Params = {} if priced else {"unit_amount_decimal": item["pricing"]["unit_amount_decimal"]}
        amount, unit = _amount({**held, **params}, quantity, "")
        _taxable(invoice, amount)
        item.update(amount=amount, net_amount=amount, quantity=quantity, quantity_decimal=str(quantity))
        item["pricing"] = {**item["pricing"], "unit_amount_decimal": unit}
    for field in ("description", "discountable", "period"):
        if field in params:
            item[field] = params[field]
    if invoice is not None:
        for line in state.lines[invoice["id"]]:
            if item_of(line) == item["id"]:
                line.update(_shared(item))
        recompute(state, invoice)


def item_of(line: Object) -> str:
    """The id of the invoice item behind a line."""
    return str(line["parent"]["invoice_item_details"]["invoice_item"])


def _shared(item: Object) -> Object:
    same = ("amount", "currency", "description", "discountable", "metadata", "period", "pricing", "quantity")
    return {field: item[field] for field in (*same, "quantity_decimal")} | {"subtotal": item["amount"]}


def _amount(params: Params, quantity: int, param: str) -> tuple[int, str]:
    """An item's amount in the minor unit and its unit amount: `amount` as given, else quantity × price."""
    price = params.get("price_data", {})
    units = [params.get("unit_amount_decimal"), price.get("unit_amount_decimal"), price.get("unit_amount")]
    given = [unit for unit in units if unit is not None]
    if len(given) + ("amount" in params) != 1:
        name = f"{param}[amount]" if param else "amount"
        raise refused(
            "You must pass exactly one of `amount`, `unit_amount_decimal` and `price_data`.",
            code="parameters_exclusive" if given else "parameter_missing",
            param=name,
        )
    if "amount" in params:
        return params["amount"], str(params["amount"])
    unit = Decimal(given[0])
    amount = int((unit * quantity).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    if abs(amount) > LARGEST_AMOUNT:
        raise refused(
            f"Amount must be no more than {LARGEST_AMOUNT}", code="amount_too_large", param="amount"
        )
    return amount, str(given[0])


def _taxable(invoice: Object | None, amount: int) -> None:
    if invoice is not None and invoice["automatic_tax"]["enabled"] and amount < 0:
        raise refused(
            "Invoice items with negative amounts cannot be added to an invoice with automatic tax.",
            param="amount",
        )
