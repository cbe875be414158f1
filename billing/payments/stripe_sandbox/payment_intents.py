"""Payment intents, charges and invoice payments: the traces that paying an invoice leaves."""

from __future__ import annotations

from billing.payments.stripe_sandbox.cards import Decline
from billing.payments.stripe_sandbox.paging import CREATED, listing, page
from billing.payments.stripe_sandbox.params import ID, Choice, Hash, Params
from billing.payments.stripe_sandbox.state import Object, State

LIST_INTENTS = listing({**CREATED, "customer": ID})
LIST_CHARGES = listing({**CREATED, "customer": ID, "payment_intent": ID})
LIST_INVOICE_PAYMENTS = listing(
    {
        **CREATED,
        "invoice": ID,
        "payment": Hash(
            {"type": Choice(("payment_intent", "payment_record")), "payment_intent": ID}, required=("type",)
        ),
        "status": Choice(("canceled", "open", "paid")),
    }
)


def record(state: State, invoice: Object, method: Object, amount: int, decline: Decline | None) -> None:
    """One attempt to charge `amount` (minor units): an intent, a charge, and if it worked, a payment."""
    charge, intent = state.new_id("ch"), state.new_id("pi")
    about: Object = {
        "created": state.now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": None,
        "livemode": False,
        "metadata": {},
        "payment_method": method["id"],
    }
    succeeded = decline is None
    error = decline and {
        "charge": charge,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "type": "card_error",
    }
    status = "succeeded" if succeeded else "requires_payment_method"
    if decline is not None and decline.action:
        status = "requires_action"
    intent_row = {
        **about,
        "id": intent,
        "object": "payment_intent",
        "amount": amount,
        "amount_received": amount if succeeded else 0,
        "capture_method": "automatic",
        "client_secret": f"{intent}_secret_sandbox",
        "confirmation_method": "automatic",
        "last_payment_error": error,
        "latest_charge": charge,
        "payment_method_types": ["card"],
        "status": status,
    }
    charge_row = {
        **about,
        "id": charge,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount if succeeded else 0,
        "amount_refunded": 0,
        "captured": succeeded,
        "disputed": False,
        "failure_code": decline and decline.code,
        "failure_message": decline and decline.message,
        "paid": succeeded,
        "payment_intent": intent,
        "refunded": False,
        "status": "succeeded" if succeeded else "failed",
    }
    state.payment_intents.add(intent_row)
    state.charges.add(charge_row)
    _payment(state, invoice, intent, amount, succeeded)
    outcome = "succeeded" if succeeded else "failed"
    state.emit(f"charge.{outcome}", charge_row)
    state.emit(f"payment_intent.{'succeeded' if succeeded else 'payment_failed'}", intent_row)


def retrieve_intent(state: State, params: Params, id: str) -> Object:
    return state.payment_intents.get(id, param="intent", in_path=True)


def list_intents(state: State, params: Params) -> Object:
    return page(state.payment_intents, params, "/v1/payment_intents", customer=params.get("customer"))


def retrieve_charge(state: State, params: Params, id: str) -> Object:
    return state.charges.get(id, param="id", in_path=True)


def list_charges(state: State, params: Params) -> Object:
    def keep(row: Object) -> bool:
        return bool(params.get("payment_intent", row["payment_intent"]) == row["payment_intent"])

    return page(state.charges, params, "/v1/charges", customer=params.get("customer"), keep=keep)


def list_invoice_payments(state: State, params: Params) -> Object:
    intent = params.get("payment", {}).get("payment_intent")

    def keep(row: Object) -> bool:
        same = all(params.get(name, row[name]) == row[name] for name in ("invoice", "status"))
        return same and (intent is None or row["payment"]["payment_intent"] == intent)

    return page(state.invoice_payments, params, "/v1/invoice_payments", keep=keep)


def _payment(state: State, invoice: Object, intent: str, amount: int, succeeded: bool) -> None:
    """The invoice's payment that is not paid yet is the one that is tried again."""
    row = state.open_payments.pop(invoice["id"], None) or state.invoice_payments.add(
        {"id": state.new_id("inpay"), "object": "invoice_payment", "created": state.now}
        | {"currency": invoice["currency"], "invoice": invoice["id"]}
        | {"is_default": True, "livemode": False}
    )
    if not succeeded:
        state.open_payments[invoice["id"]] = row
    row |= {
        "amount_paid": amount if succeeded else None,
        "amount_requested": amount,
        "payment": {"payment_intent": intent, "type": "payment_intent"},
        "status": "paid" if succeeded else "open",
        "status_transitions": {"canceled_at": None, "paid_at": state.now if succeeded else None},
    }
