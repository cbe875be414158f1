"""Credit notes: documents that reduce what an invoice is due, and beyond that give back what was
paid."""

from __future__ import annotations

from collections.abc import Mapping

from billing.payments.stripe_sandbox import collection, customers, invoices
from billing.payments.stripe_sandbox.errors import missing, refused
from billing.payments.stripe_sandbox.paging import CREATED, EXPAND, listing, page, page_of
from billing.payments.stripe_sandbox.params import (
    ID,
    Array,
    Choice,
    Decimals,
    Field,
    Hash,
    Integer,
    Metadata,
    Params,
    Text,
)
from billing.payments.stripe_sandbox.state import Object, State, changes, merged_metadata

_LINE: Mapping[str, Field] = {
    "amount": Integer(least=0),
    "description": Text(),
    "invoice_line_item": ID,
    "quantity": Integer(least=0),
    "type": Choice(("custom_line_item", "invoice_line_item")),
    "unit_amount": Integer(least=0),
    "unit_amount_decimal": Decimals(),
}
CREATE = Hash(
    {
        "amount": Integer(least=0),
        "credit_amount": Integer(least=0),
        "effective_at": Integer(least=0),
        "email_type": Choice(("credit_note", "none")),
        "expand": EXPAND,
        "invoice": ID,
        "lines": Array(Hash(_LINE, required=("type",))),
        "memo": Text(),
        "metadata": Metadata(),
        "out_of_band_amount": Integer(least=0),
        "reason": Choice(("duplicate", "fraudulent", "order_change", "product_unsatisfactory")),
        "refund_amount": Integer(least=0),
    },
    required=("invoice",),
)
UPDATE = Hash({"expand": EXPAND, "memo": Text(), "metadata": Metadata()})
VOID = Hash({"expand": EXPAND})
LIST = listing({**CREATED, "customer": ID, "invoice": ID})
LIST_LINES = listing({})
_GIVEN_BACK = ("credit_amount", "refund_amount", "out_of_band_amount")


def create(state: State, params: Params) -> Object:
    invoice = state.invoices.get(params["invoice"], param="invoice")
    if invoice["status"] not in {"open", "paid", "uncollectible"}:
        raise refused(
            f"You can only credit an open or paid invoice; this one is {invoice['status']}.",
            param="invoice",
        )
    lines = _lines(state, invoice, params)
    amount = sum(line["amount"] for line in lines)
    reduces = min(amount, invoice["amount_remaining"])
    _check_amounts(invoice, params, amount, amount - reduces)
    earlier = [row for row in state.credit_notes.rows.values() if row["invoice"] == invoice["id"]]
    note = _new(state, params, invoice, amount, f"{invoice['number']}-CN-{len(earlier) + 1:02d}")
    note["lines"] = page_of(lines, {}, f"/v1/credit_notes/{note['id']}/lines")
    note.update(pre_payment_amount=reduces, post_payment_amount=amount - reduces)
    mixed = reduces and reduces < amount
    note["type"] = "mixed" if mixed else "pre_payment" if reduces else "post_payment"
    if params.get("credit_amount"):
        customer = customers.existing(state, invoice["customer"], "customer")
        about = {"currency": invoice["currency"], "credit_note": note["id"], "invoice": invoice["id"]}
        moved = customers.transact(state, customer, -params["credit_amount"], "credit_note", **about)
        note["customer_balance_transaction"] = moved["id"]
    state.credit_notes.add(note)
    state.emit("credit_note.created", note)
    _reduce(state, invoice, reduces, amount - reduces)
    return note


def retrieve(state: State, params: Params, id: str) -> Object:
    return state.credit_notes.get(id, param="id", in_path=True)


def update(state: State, params: Params, id: str) -> Object:
    note = state.credit_notes.get(id, param="id", in_path=True)
    before = dict(note)
    if "metadata" in params:
        note["metadata"] = merged_metadata(note["metadata"], params["metadata"])
    if "memo" in params:
        note["memo"] = params["memo"]
    state.emit("credit_note.updated", note, changes(before, note))
    return note


def void(state: State, params: Params, id: str) -> Object:
    note = state.credit_notes.get(id, param="id", in_path=True)
    invoice = state.invoices.rows[note["invoice"]]
    if note["status"] == "void":
        raise refused("This credit note is already void.", param="id")
    if note["type"] != "pre_payment" or invoice["status"] not in {"open", "uncollectible"}:
        raise refused("You can only void a credit note whose invoice is still open.", param="id")
    note.update(status="void", voided_at=state.now)
    state.emit("credit_note.voided", note)
    _reduce(state, invoice, -note["amount"], 0)
    return note


def list_(state: State, params: Params) -> Object:
    def keep(row: Object) -> bool:
        return bool(params.get("invoice", row["invoice"]) == row["invoice"])

    return page(state.credit_notes, params, "/v1/credit_notes", customer=params.get("customer"), keep=keep)


def list_lines(state: State, params: Params, id: str) -> Object:
    note = state.credit_notes.get(id, param="credit_note", in_path=True)
    return page_of(note["lines"]["data"], params, f"/v1/credit_notes/{id}/lines")


def _lines(state: State, invoice: Object, params: Params) -> list[Object]:
    if ("lines" in params) == ("amount" in params):
        raise refused(
            "You must pass exactly one of `amount` and `lines`.", code="parameter_missing", param="amount"
        )
    given = params.get("lines") or [{"type": "custom_line_item", "amount": params["amount"]}]
    known = {line["id"]: line for line in state.lines[invoice["id"]]}
    lines = []
    for index, line in enumerate(given):
        of = line.get("invoice_line_item")
        if of is not None and of not in known:
            raise missing("line item", of, param=f"lines[{index}][invoice_line_item]")
        quantity = line.get("quantity", 1)
        amount = line.get("amount", line.get("unit_amount", 0) * quantity)
        lines.append(
            {
                "id": state.new_id("cnli"),
                "object": "credit_note_line_item",
                "amount": amount,
                "description": line.get("description", known[of]["description"] if of else None),
                "discount_amount": 0,
                "discount_amounts": [],
                "invoice_line_item": of,
                "livemode": False,
                "pretax_credit_amounts": [],
                "quantity": line.get("quantity"),
                "tax_rates": [],
                "taxes": [],
                "type": line["type"],
                "unit_amount": line.get("unit_amount"),
                "unit_amount_decimal": None,
            }
        )
    return lines


def _check_amounts(invoice: Object, params: Params, amount: int, paid_before: int) -> None:
    """`paid_before`: the part of the note beyond what is still due."""
    given_back = sum(params.get(name, 0) for name in _GIVEN_BACK)
    earlier = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    left = invoice["total"] - earlier
    if amount <= 0 or amount > left:
        raise refused(
            f"The credit note's amount ({amount}) must be positive and no more than what is left to "
            f"credit on the invoice ({left}).",
            param="amount",
        )
    if given_back != paid_before:
        raise refused(
            "The sum of credit_amount, refund_amount and out_of_band_amount must equal the part of the "
            f"credit note that was paid already ({paid_before}), but is {given_back}.",
            param="credit_amount",
        )


def _reduce(state: State, invoice: Object, due: int, paid_before: int) -> None:
    """Take `due` off what the invoice is due; nothing left to pay means paid."""
    before = invoices.view(state, invoice)
    invoice["pre_payment_credit_notes_amount"] += due
    invoice["amount_due"] -= due
    invoice["amount_remaining"] -= due
    invoice["post_payment_credit_notes_amount"] += paid_before
    if due and invoice["amount_remaining"] == 0:
        collection.paid(state, invoice, 0)
    else:
        after = invoices.view(state, invoice)
        state.emit("invoice.updated", after, changes(before, after))


def _new(state: State, params: Params, invoice: Object, amount: int, number: str) -> Object:
    id = state.new_id("cn")
    return {
        "id": id,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": state.now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": params.get("effective_at", state.now),
        "invoice": invoice["id"],
        "livemode": False,
        "memo": params.get("memo"),
        "metadata": merged_metadata({}, params.get("metadata")),
        "number": number,
        "out_of_band_amount": params.get("out_of_band_amount"),
        "pdf": f"https://pay.stripe.com/credit_notes/acct_sandbox/test_{id}/pdf?s=ap",
        "post_payment_amount": 0,
        "pre_payment_amount": 0,
        "pretax_credit_amounts": [],
        "reason": params.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": None,
        "voided_at": None,
    }
