"""What takes a payment back: refunds, and disputes (which the customer's bank begins and decides)."""

from __future__ import annotations

from collections.abc import Callable

from billing.payments.stripe_sandbox.errors import refused
from billing.payments.stripe_sandbox.paging import CREATED, EXPAND, listing, page
from billing.payments.stripe_sandbox.params import ID, Choice, Hash, Integer, Metadata, Params
from billing.payments.stripe_sandbox.state import Object, State, merged_metadata

CREATE_REFUND = Hash(
    {
        "amount": Integer(least=1),
        "charge": ID,
        "expand": EXPAND,
        "metadata": Metadata(),
        "payment_intent": ID,
        "reason": Choice(("duplicate", "fraudulent", "requested_by_customer")),
    }
)
LIST = listing({**CREATED, "charge": ID, "payment_intent": ID})
# How a bank decides.
CLOSED = ("won", "lost", "warning_closed")


def create_refund(state: State, params: Params) -> Object:
    charge = _charge(state, params)
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    if charge["status"] != "succeeded" or not left:
        raise refused(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount > left:
        raise refused(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left}).", param="amount"
        )
    refund = {
        "id": state.new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": state.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "destination_details": None,
        "metadata": merged_metadata({}, params.get("metadata")),
        "payment_intent": charge["payment_intent"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "status": "succeeded",
    }
    state.refunds.add(refund)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    state.emit("refund.created", refund)
    state.emit("charge.refunded", charge)
    return refund


def fail_refund(state: State, id: str) -> Object:
    """The bank sends the money of a refund back."""
    refund = state.refunds.get(id, param="refund")
    charge = state.charges.rows[refund["charge"]]
    refund.update(status="failed", failure_reason="expired_or_canceled_card")
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    state.emit("refund.failed", refund)
    return refund


def retrieve_refund(state: State, params: Params, id: str) -> Object:
    return state.refunds.get(id, param="refund", in_path=True)


def list_refunds(state: State, params: Params) -> Object:
    return page(state.refunds, params, "/v1/refunds", keep=_of_payment(params))


def open_dispute(state: State, charge_id: str, amount: int | None, reason: str) -> Object:
    """A customer's bank disputes a charge."""
    charge = state.charges.get(charge_id, param="charge")
    if charge["status"] != "succeeded" or charge["disputed"]:
        raise refused(f"Charge {charge_id} cannot be disputed, or is already.", param="charge")
    dispute = {
        "id": state.new_id("dp"),
        "object": "dispute",
        "amount": charge["amount_captured"] if amount is None else amount,
        "balance_transactions": [],
        "charge": charge_id,
        "created": state.now,
        "currency": charge["currency"],
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": "needs_response",
    }
    charge["disputed"] = True
    state.disputes.add(dispute)
    state.emit("charge.dispute.created", dispute)
    return dispute


def close_dispute(state: State, id: str, status: str) -> Object:
    """The bank decides."""
    if status not in CLOSED:
        raise ValueError(f"`status` must be one of {', '.join(CLOSED)}")
    dispute = state.disputes.get(id, param="dispute")
    dispute["status"] = status
    state.emit("charge.dispute.closed", dispute)
    return dispute


def retrieve_dispute(state: State, params: Params, id: str) -> Object:
    return state.disputes.get(id, param="dispute", in_path=True)


def list_disputes(state: State, params: Params) -> Object:
    return page(state.disputes, params, "/v1/disputes", keep=_of_payment(params))


def _charge(state: State, params: Params) -> Object:
    if "charge" in params:
        return state.charges.get(params["charge"], param="charge")
    if "payment_intent" not in params:
        raise refused("One of the following params should be provided: payment_intent or charge.")
    intent = state.payment_intents.get(params["payment_intent"], param="payment_intent")
    return state.charges.rows[intent["latest_charge"]]


def _of_payment(params: Params) -> Callable[[Object], bool]:
    return lambda row: all(params.get(name, row[name]) == row[name] for name in ("charge", "payment_intent"))
