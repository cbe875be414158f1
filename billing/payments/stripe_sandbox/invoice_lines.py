"""An invoice's lines: many at once on a draft, and the pages in which they are read."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from billing.payments.stripe_sandbox import invoice_items, invoices
from billing.payments.stripe_sandbox.errors import ApiError, missing, refused
from billing.payments.stripe_sandbox.paging import EXPAND, listing, page_of
from billing.payments.stripe_sandbox.params import (
    ID,
    Array,
    Choice,
    Currency,
    Decimals,
    Field,
    Hash,
    Integer,
    Metadata,
    Params,
    Text,
)
from billing.payments.stripe_sandbox.state import Object, State, changes, merged_metadata
from billing.payments.stripe_sandbox.totals import recompute

_LINE: Mapping[str, Field] = {
    **invoice_items.CONTENT,
    "price_data": Hash(
        {
            "currency": Currency(),
            "product": ID,
            "product_data": Hash(
                {"name": Text(), "description": Text(40_000), "metadata": Metadata()}, required=("name",)
            ),
            "unit_amount": Integer(),
            "unit_amount_decimal": Decimals(),
        },
        required=("currency",),
    ),
}
_INVOICE: Mapping[str, Field] = {"invoice_metadata": Metadata(), "expand": EXPAND}
ADD = Hash({"lines": Array(Hash({**_LINE, "invoice_item": ID})), **_INVOICE}, required=("lines",))
UPDATE = Hash({"lines": Array(Hash({**_LINE, "id": ID}, required=("id",))), **_INVOICE}, required=("lines",))
REMOVE = Hash(
    {
        "lines": Array(
            Hash({"behavior": Choice(("delete", "unassign")), "id": ID}, required=("behavior", "id"))
        ),
        **_INVOICE,
    },
    required=("lines",),
)
UPDATE_ONE = Hash({**_LINE, "expand": EXPAND})
LIST = listing({})


def list_(state: State, params: Params, id: str) -> Object:
    state.invoices.get(id, param="invoice", in_path=True)
    return page_of(state.lines[id], params, f"/v1/invoices/{id}/lines")


def add(state: State, params: Params, id: str) -> Object:
    """All of the lines are added, or none of them."""
    invoice = _draft(state, params, id)
    before = invoices.view(state, invoice)
    invoice_items.room_for(state, invoice, len(params["lines"]))
    if invoice["automatic_tax"]["enabled"] and any(line.get("amount", 0) < 0 for line in params["lines"]):
        raise refused("Invoices with automatic tax take no negative amounts.", param="lines")
    new: list[tuple[Object, bool]] = []
    for index, line in enumerate(params["lines"]):
        if "invoice_item" in line:
            new.append((_pending(state, invoice, line, f"lines[{index}]"), True))
        else:
            item = invoice_items.prepared(
                state,
                line,
                invoice["customer"],
                invoice["currency"],
                invoice=invoice,
                param=f"lines[{index}]",
            )
            new.append((item, False))
    for item, was_pending in new:
        if was_pending:
            state.once_pending.add(item["id"])
            invoice_items.put_on(state, item, invoice)
        else:
            invoice_items.keep(state, item, invoice)
    return _changed(state, invoice, params, before)


def update(state: State, params: Params, id: str) -> Object:
    """All of the lines are changed, or none of them."""
    invoice = _draft(state, params, id)
    before = invoices.view(state, invoice)
    found = [_line(state, invoice, line["id"], f"lines[{n}][id]") for n, line in enumerate(params["lines"])]
    items = [state.invoice_items.rows[invoice_items.item_of(line)] for line in found]
    as_they_were = copy.deepcopy((items, state.lines[id]))
    try:
        for item, given in zip(items, params["lines"], strict=True):
            invoice_items.change(state, item, given)
    except ApiError:
        for item in as_they_were[0]:
            state.invoice_items.rows[item["id"]] = item
        state.lines[id] = as_they_were[1]
        recompute(state, invoice)
        raise
    return _changed(state, invoice, params, before)


def update_one(state: State, params: Params, id: str, line_id: str) -> Object:
    invoice = _draft(state, params, id)
    line = _line(state, invoice, line_id, "line_item_id", in_path=True)
    before = invoices.view(state, invoice)
    invoice_items.change(state, state.invoice_items.rows[invoice_items.item_of(line)], params)
    _changed(state, invoice, params, before)
    return line


def remove(state: State, params: Params, id: str) -> Object:
    invoice = _draft(state, params, id)
    before = invoices.view(state, invoice)
    found = [_line(state, invoice, line["id"], f"lines[{n}][id]") for n, line in enumerate(params["lines"])]
    gone = {line["id"] for line in found}
    state.lines[id] = [line for line in state.lines[id] if line["id"] not in gone]
    for line, given in zip(found, params["lines"], strict=True):
        item_id = invoice_items.item_of(line)
        if given["behavior"] == "delete":
            state.invoice_items.remove(item_id)
        else:
            state.invoice_items.rows[item_id]["invoice"] = None
    return _changed(state, invoice, params, before)


def _draft(state: State, params: Params, id: str) -> Object:
    """The draft to change; whatever could refuse the change of its metadata does so before its lines move."""
    invoice = state.invoices.get(id, param="invoice", in_path=True)
    invoice_items.editable(invoice)
    merged_metadata(invoice["metadata"], params.get("invoice_metadata", {}))
    return invoice


def _line(state: State, invoice: Object, id: str, param: str, *, in_path: bool = False) -> Object:
    for line in state.lines[invoice["id"]]:
        if line["id"] == id:
            return line
    raise missing("line item", id, param=param, in_path=in_path)


def _pending(state: State, invoice: Object, given: Params, param: str) -> Object:
    """The pending item that a line names; it takes the line's other fields."""
    item = state.invoice_items.get(given["invoice_item"], param=f"{param}[invoice_item]")
    matches = item["customer"] == invoice["customer"] and item["currency"] == invoice["currency"]
    if item["invoice"] is not None or not matches:
        raise refused(
            "The invoice item must be pending, and of the invoice's customer and currency.",
            param=f"{param}[invoice_item]",
        )
    return item


def _changed(state: State, invoice: Object, params: Params, before: Object) -> Object:
    if "invoice_metadata" in params:
        invoice["metadata"] = merged_metadata(invoice["metadata"], params["invoice_metadata"])
    recompute(state, invoice)
    after = invoices.view(state, invoice)
    state.emit("invoice.updated", after, changes(before, after))
    return after
