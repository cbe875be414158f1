"""How open invoices are paid: by card, at once or when an attempt is due, or outside Stripe."""

from __future__ import annotations

from billing.payments.stripe_sandbox import invoices, payment_intents, payment_methods
from billing.payments.stripe_sandbox.cards import Decline
from billing.payments.stripe_sandbox.errors import refused
from billing.payments.stripe_sandbox.paging import EXPAND
from billing.payments.stripe_sandbox.params import ID, Boolean, Hash, Params
from billing.payments.stripe_sandbox.state import Object, State, changes

PAY = Hash({"expand": EXPAND, "off_session": Boolean(), "paid_out_of_band": Boolean(), "payment_method": ID})
# After the first, second, third failure; then nobody tries again by itself.
RETRY_AFTER_DAYS = (3, 5, 7)
_NO_METHOD = (
    "This customer has no attached payment source or default payment method. Please consider adding a "
    "default payment method."
)


def pay(state: State, params: Params, id: str) -> Object:
    """Pay now. A card that says no is answered by 402; the invoice stays open and the attempt is counted."""
    invoice = state.invoices.get(id, param="invoice", in_path=True)
    _payable(invoice)
    if params.get("paid_out_of_band"):
        paid(state, invoice, invoice["amount_remaining"], off_stripe=True)
        return invoices.view(state, invoice)
    if "payment_method" in params:
        method: Object | None = payment_methods.of_customer(
            state, params["payment_method"], invoice["customer"], "payment_method"
        )
    else:
        method = default_method(state, invoice)
    if method is None:
        raise refused(_NO_METHOD, code="resource_missing")
    decline = _charge(state, invoice, method)
    if decline is not None:
        intent = state.payment_intents.rows[state.payment_intents.order[-1]]
        raise payment_methods.card_error(
            decline, charge=intent["latest_charge"], payment_intent=intent, payment_method=method
        )
    return invoices.view(state, invoice)


def attempt(state: State, invoice: Object) -> None:
    """Collect by itself, with the default card; a failure is told by events and tried again later."""
    method = default_method(state, invoice)
    if method is None:
        _failed(state, invoice, None)
    else:
        _charge(state, invoice, method)


def default_method(state: State, invoice: Object) -> Object | None:
    """The invoice's own default payment method, else the customer's, if it is still attached."""
    customer = state.customers.rows[invoice["customer"]]
    settings = customer.get("invoice_settings") or {}
    for id in (invoice["default_payment_method"], settings.get("default_payment_method")):
        method = state.payment_methods.rows.get(id or "")
        if method is not None and method["customer"] == invoice["customer"]:
            return method
    return None


def paid(state: State, invoice: Object, amount: int, *, off_stripe: bool = False) -> None:
    """The invoice is paid with `amount` more (minor units; zero where nothing was due)."""
    before = invoices.view(state, invoice)
    invoice["status"] = "paid"
    invoice["attempted"] = True
    invoice["amount_paid"] += amount
    if off_stripe:
        invoice["amount_paid_off_stripe"] += amount
    invoice["amount_remaining"] = invoice["amount_due"] - invoice["amount_paid"]
    invoice["next_payment_attempt"] = None
    invoice["status_transitions"] = {**invoice["status_transitions"], "paid_at": state.now}
    assert invoice["amount_remaining"] == 0, "a paid invoice has nothing left to pay"
    after = invoices.view(state, invoice)
    state.emit("invoice.updated", after, changes(before, after))
    state.emit("invoice.paid", after)
    state.emit("invoice.payment_succeeded", after)


def _payable(invoice: Object) -> None:
    if invoice["status"] == "paid":
        raise refused("Invoice is already paid", code="invoice_already_paid", param="invoice")
    if invoice["status"] not in {"open", "uncollectible"}:
        raise refused(
            f"You can only pay open or uncollectible invoices; this one is {invoice['status']}.",
            code="invoice_not_payable",
            param="invoice",
        )


def _charge(state: State, invoice: Object, method: Object) -> Decline | None:
    decline = payment_methods.card_of(method).on_charge
    amount = invoice["amount_remaining"]
    payment_intents.record(state, invoice, method, amount, decline)
    if decline is not None:
        _failed(state, invoice, decline)
        return decline
    invoice["attempt_count"] += 1
    paid(state, invoice, amount)
    return None


def _failed(state: State, invoice: Object, decline: Decline | None) -> None:
    before = invoices.view(state, invoice)
    invoice["attempt_count"] += 1
    invoice["attempted"] = True
    tried = invoice["attempt_count"]
    again = invoice["auto_advance"] and invoice["status"] == "open" and tried <= len(RETRY_AFTER_DAYS)
    wait = RETRY_AFTER_DAYS[tried - 1] * invoices.DAY if again else None
    invoice["next_payment_attempt"] = None if wait is None else state.now + wait
    after = invoices.view(state, invoice)
    state.emit("invoice.updated", after, changes(before, after))
    if decline is not None and decline.action:
        state.emit("invoice.payment_action_required", after)
    state.emit("invoice.payment_failed", after)
