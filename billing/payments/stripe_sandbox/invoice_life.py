"""The states of an invoice: draft → open → paid | void | uncollectible, and what time does to it."""

from __future__ import annotations

from billing.payments.stripe_sandbox import collection, customers, invoices, tax_ids
from billing.payments.stripe_sandbox.errors import ApiError, refused
from billing.payments.stripe_sandbox.paging import EXPAND
from billing.payments.stripe_sandbox.params import Boolean, Hash, Params
from billing.payments.stripe_sandbox.state import Object, State, changes
from billing.payments.stripe_sandbox.totals import recompute, settle

FINALIZE = Hash({"auto_advance": Boolean(), "expand": EXPAND})
ACT = Hash({"expand": EXPAND})


def finalize(state: State, params: Params, id: str) -> Object:
    invoice = state.invoices.get(id, param="invoice", in_path=True)
    if invoice["status"] != "draft":
        raise refused(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            code="invoice_not_editable",
            param="invoice",
        )
    if "auto_advance" in params:
        invoice["auto_advance"] = params["auto_advance"]
    _finalize(state, invoice)
    return invoices.view(state, invoice)


def send(state: State, params: Params, id: str) -> Object:
    """E-mail the invoice (the sandbox only tells the event); a draft is finalized first."""
    invoice = state.invoices.get(id, param="invoice", in_path=True)
    if invoice["collection_method"] != "send_invoice":
        raise refused(
            "You can only manually send an invoice if the `collection_method` is `send_invoice`.",
            param="invoice",
        )
    if not state.customers.rows[invoice["customer"]].get("email"):
        raise refused(
            "The customer has no email address to which the invoice could be sent.", param="customer"
        )
    if invoice["status"] == "draft":
        _finalize(state, invoice, sending=True)
    if invoice["status"] not in {"open", "paid"}:
        raise refused(f"You cannot send an invoice that is {invoice['status']}.", param="invoice")
    state.emit("invoice.sent", invoices.view(state, invoice))
    return invoices.view(state, invoice)


def void(state: State, params: Params, id: str) -> Object:
    invoice = state.invoices.get(id, param="invoice", in_path=True)
    if invoice["status"] not in {"open", "uncollectible"}:
        raise refused(
            f"You can only void open or uncollectible invoices; this one is {invoice['status']}.",
            param="invoice",
        )
    before = invoices.view(state, invoice)
    given_back = invoice["starting_balance"] - invoice["ending_balance"]
    customer = state.customers.rows[invoice["customer"]]
    if given_back and not customer.get("deleted"):
        about = {"currency": invoice["currency"], "invoice": id}
        customers.transact(state, customer, given_back, "unapplied_from_invoice", **about)
    _move(state, invoice, "void", "voided_at")
    invoice["amount_remaining"] = 0
    return _told(state, invoice, "invoice.voided", before)


def mark_uncollectible(state: State, params: Params, id: str) -> Object:
    invoice = state.invoices.get(id, param="invoice", in_path=True)
    if invoice["status"] != "open":
        raise refused(
            f"You can only mark open invoices as uncollectible; this one is {invoice['status']}.",
            param="invoice",
        )
    before = invoices.view(state, invoice)
    _move(state, invoice, "uncollectible", "marked_uncollectible_at")
    return _told(state, invoice, "invoice.marked_uncollectible", before)


def work_due(state: State) -> int:
    """Do what time has made due: finalize drafts, attempt payments. Answers how many invoices moved."""
    moved = 0
    for invoice in [row for row in state.invoices.rows.values() if row["status"] in {"draft", "open"}]:
        finalizes, attempts = invoice["automatically_finalizes_at"], invoice["next_payment_attempt"]
        if invoice["status"] == "draft" and finalizes is not None and finalizes <= state.now:
            invoice["automatically_finalizes_at"] = None
            try:
                _finalize(state, invoice)
            except ApiError:
                continue  # told by invoice.finalization_failed; the draft stays
            moved += 1
        elif invoice["status"] == "open" and attempts is not None and attempts <= state.now:
            collection.attempt(state, invoice)
            moved += 1
    return moved


def _finalize(state: State, invoice: Object, *, sending: bool = False) -> None:
    recompute(state, invoice)
    before = invoices.view(state, invoice)
    customer = customers.existing(state, invoice["customer"], "customer")
    _require_tax_location(state, invoice, customer)
    settled = settle(invoice["total"], invoice["starting_balance"], invoice["currency"])
    if invoice["number"] is None:
        _give_number(state, invoice, customer)
    for field in ("address", "email", "name", "phone", "tax_exempt"):
        invoice[f"customer_{field}"] = customer[field]
    invoice["customer_tax_ids"] = tax_ids.shown(state, customer["id"])
    invoice["status"] = "open"
    invoice["automatically_finalizes_at"] = None
    invoice["last_finalization_error"] = None
    invoice["ending_balance"] = settled.ending_balance
    invoice["effective_at"] = invoice["effective_at"] or state.now
    invoice["status_transitions"] = {**invoice["status_transitions"], "finalized_at": state.now}
    page = f"https://invoice.stripe.com/i/acct_sandbox/test_{invoice['id'].removeprefix('in_')}"
    invoice["hosted_invoice_url"] = f"{page}?s=ap"
    invoice["invoice_pdf"] = f"{page.replace('invoice.', 'pay.').replace('/i/', '/invoice/')}/pdf?s=ap"
    moved = settled.ending_balance - invoice["starting_balance"]
    if moved:
        about = {"currency": invoice["currency"], "invoice": invoice["id"]}
        customers.transact(state, customer, moved, settled.kind, **about)
    _told(state, invoice, "invoice.finalized", before)
    by_mail = invoice["collection_method"] == "send_invoice"
    if by_mail and invoice["auto_advance"] and customer["email"] and not sending:
        state.emit("invoice.sent", invoices.view(state, invoice))
    _collect(state, invoice)


def _collect(state: State, invoice: Object) -> None:
    if invoice["amount_due"] == 0:
        collection.paid(state, invoice, 0)
    elif invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically":
        if state.attempt_payments == "immediately":
            collection.attempt(state, invoice)
        else:
            invoice["next_payment_attempt"] = state.now + invoices.HOUR


def _require_tax_location(state: State, invoice: Object, customer: Object) -> None:
    """Automatic tax needs to know where the customer is; without it the draft stays, with the error on it."""
    if not invoice["automatic_tax"]["enabled"] or (customer["address"] or {}).get("country"):
        return
    error = ApiError(
        400,
        "The customer's location isn't recognized. Set a valid customer address in order to automatically "
        "calculate tax.",
        code="customer_tax_location_invalid",
    )
    invoice["automatic_tax"] = {**invoice["automatic_tax"], "status": "requires_location_inputs"}
    invoice["last_finalization_error"] = {
        "code": error.code,
        "message": error.message,
        "type": error.type,
    }
    state.emit("invoice.finalization_failed", invoices.view(state, invoice))
    raise error


def _give_number(state: State, invoice: Object, customer: Object) -> None:
    while True:
        number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
        customer["next_invoice_sequence"] += 1
        if number not in state.numbers:
            break
    invoice["number"] = number
    state.numbers[number] = invoice["id"]


def _move(state: State, invoice: Object, status: str, transition: str) -> None:
    invoice["status"] = status
    invoice["next_payment_attempt"] = None
    invoice["status_transitions"] = {**invoice["status_transitions"], transition: state.now}


def _told(state: State, invoice: Object, type: str, before: Object) -> Object:
    after = invoices.view(state, invoice)
    state.emit("invoice.updated", after, changes(before, after))
    state.emit(type, after)
    return after
