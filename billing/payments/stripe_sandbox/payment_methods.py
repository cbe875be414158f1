"""Payment methods: cards, from Stripe's test ids (`pm_card_visa`) or tokens, attached to a customer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.payments.stripe_sandbox.cards import CARDS, NUMBERS, Card, Decline
from billing.payments.stripe_sandbox.errors import ApiError, missing, refused
from billing.payments.stripe_sandbox.paging import EXPAND, listing, page
from billing.payments.stripe_sandbox.params import (
    ID,
    Choice,
    Field,
    Hash,
    Integer,
    Metadata,
    Params,
)
from billing.payments.stripe_sandbox.state import Object, State, merged_metadata

_CARD: Mapping[str, Field] = {
    "token": ID,
    "number": ID,
    "exp_month": Integer(1, 12),
    "exp_year": Integer(),
    "cvc": ID,
}
_TYPE = Choice(("card",))
CREATE = Hash({"type": _TYPE, "card": Hash(_CARD), "metadata": Metadata(), "expand": EXPAND})
ATTACH = Hash({"customer": ID, "expand": EXPAND}, required=("customer",))
DETACH = Hash({"expand": EXPAND})
UPDATE = Hash({"metadata": Metadata(), "expand": EXPAND})
LIST = listing({"customer": ID, "type": _TYPE})
LIST_OF_CUSTOMER = listing({"type": _TYPE})


_BY_LAST4 = {card.last4: card for card in CARDS.values()}


def create(state: State, params: Params) -> Object:
    if params.get("type") != "card" or "card" not in params:
        raise refused("Missing required param: card.", code="parameter_missing", param="card")
    given = params["card"]
    for name in ("exp_month", "exp_year") if "number" in given else ():
        if name not in given:
            raise refused(
                f"Missing required param: card[{name}].", code="parameter_missing", param=f"card[{name}]"
            )
    name = given.get("token", "").removeprefix("tok_") or NUMBERS.get(given.get("number", ""), "")
    if name not in CARDS:
        raise refused(
            "The sandbox knows Stripe's test cards only, e.g. card[token]=tok_visa.",
            code="resource_missing",
            param="card[token]",
        )
    method = _new(state, name)
    method["metadata"] = merged_metadata({}, params.get("metadata"))
    return method


def retrieve(state: State, params: Params, id: str) -> Object:
    return state.payment_methods.get(id, param="payment_method", in_path=True)


def update(state: State, params: Params, id: str) -> Object:
    method = state.payment_methods.get(id, param="payment_method", in_path=True)
    if "metadata" in params:
        method["metadata"] = merged_metadata(method["metadata"], params["metadata"])
    state.emit("payment_method.updated", method)
    return method


def attach(state: State, params: Params, id: str) -> Object:
    customer = state.customers.get(params["customer"], param="customer")
    if customer.get("deleted"):
        raise missing("customer", customer["id"], param="customer")
    method = attachable(state, id, "payment_method", in_path=True)
    return attach_to(state, method, customer)


def detach(state: State, params: Params, id: str) -> Object:
    method = state.payment_methods.get(id, param="payment_method", in_path=True)
    if method["customer"] is None:
        raise refused(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            param="payment_method",
        )
    customer = state.customers.rows[method["customer"]]
    settings = customer.get("invoice_settings")
    if settings and settings["default_payment_method"] == id:
        customer["invoice_settings"] = {**settings, "default_payment_method": None}
    state.payment_methods.by_customer[method["customer"]].remove(id)
    method["customer"] = None
    state.emit("payment_method.detached", method)
    return method


def list_(state: State, params: Params) -> Object:
    if "customer" in params:
        state.customers.get(params["customer"], param="customer")
    customer = params.get("customer", "")
    return page(state.payment_methods, params, "/v1/payment_methods", customer=customer)


def list_of_customer(state: State, params: Params, id: str) -> Object:
    state.customers.get(id, param="customer", in_path=True)
    return page(state.payment_methods, params, f"/v1/customers/{id}/payment_methods", customer=id)


def attachable(state: State, id: str, param: str, *, in_path: bool = False) -> Object:
    """The payment method, made from a test id where it is one; refused where the card refuses to be saved."""
    name = id.removeprefix("pm_card_")
    if id.startswith("pm_card_") and name in CARDS:
        decline = CARDS[name].on_attach
        if decline is not None:
            raise card_error(decline)
        return _new(state, name)
    method = state.payment_methods.get(id, param=param, in_path=in_path)
    if method["customer"] is not None:
        raise refused(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
            param=param,
        )
    decline = card_of(method).on_attach
    if decline is not None:
        raise card_error(decline)
    return method


def attach_to(state: State, method: Object, customer: Object) -> Object:
    method["customer"] = customer["id"]
    attached = state.payment_methods.by_customer.setdefault(customer["id"], [])
    attached.append(method["id"])
    attached.sort(key=state.payment_methods.sequence.__getitem__)
    state.emit("payment_method.attached", method)
    return method


def of_customer(state: State, id: str, customer: str, param: str) -> Object:
    """A payment method that belongs to the customer; a test id names the one made from it, if attached."""
    method = state.payment_methods.rows.get(id)
    if method is None or method["customer"] != customer:
        raise refused(
            f"The customer does not have a payment method with the ID {id}. The payment method must be "
            "attached to the customer.",
            code="resource_missing",
            param=param,
        )
    return method


def card_of(method: Object) -> Card:
    return _BY_LAST4[str(method["card"]["last4"])]


def card_error(decline: Decline, **more: Any) -> ApiError:
    """402, as Stripe answers when a card says no."""
    if decline.decline_code is not None:
        more["decline_code"] = decline.decline_code
    return ApiError(402, decline.message, type="card_error", code=decline.code, **more)


def _new(state: State, name: str) -> Object:
    card = CARDS[name]
    return state.payment_methods.add(
        {
            "id": state.new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {
                "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
                "email": None,
                "name": None,
                "phone": None,
                "tax_id": None,
            },
            "card": {
                "brand": card.brand,
                "checks": {
                    "address_line1_check": None,
                    "address_postal_code_check": None,
                    "cvc_check": "pass",
                },
                "country": "US",
                "display_brand": card.brand,
                "exp_month": 12,
                "exp_year": 2040,
                "fingerprint": f"fp{card.last4}",
                "funding": "credit",
                "generated_from": None,
                "last4": card.last4,
                "networks": {"available": [card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
            },
            "created": state.now,
            "customer": None,
            "livemode": False,
            "metadata": {},
            "type": "card",
        }
    )
