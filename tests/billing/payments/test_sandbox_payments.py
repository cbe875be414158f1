"""Customers, test cards, and what happens when they are charged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from billing.payments.stripe_sandbox import RunningSandbox
from tests.billing.payments.conftest import Clock, refusal

Draft = Callable[..., stripe.Invoice]
WithCard = Callable[[str], stripe.Customer]


def types(client: stripe.StripeClient, count: int) -> list[str]:
    return [event.type for event in client.v1.events.list({"limit": count}).data]


def test_a_good_card_pays_when_the_invoice_is_finalized(
    client: stripe.StripeClient, draft: Draft, with_card: WithCard
) -> None:
    with_card("pm_card_visa")
    invoice = client.v1.invoices.finalize_invoice(
        draft(2500).id, {"auto_advance": True, "expand": ["payments"]}
    )
    assert (invoice.status, invoice.amount_paid, invoice.attempt_count) == ("paid", 2500, 1)
    assert invoice.payments is not None and invoice.payments.data[0].amount_paid == 2500
    assert types(client, 3) == ["invoice.payment_succeeded", "invoice.paid", "invoice.updated"]
    assert refusal(lambda: client.v1.invoices.pay(invoice.id)).code == "invoice_already_paid"


def test_a_failing_card_leaves_the_invoice_open(
    client: stripe.StripeClient, draft: Draft, with_card: WithCard, sandbox: RunningSandbox, clock: Clock
) -> None:
    with_card("pm_card_chargeCustomerFail")
    invoice = client.v1.invoices.finalize_invoice(draft(2500).id, {"auto_advance": True})
    assert (invoice.status, invoice.attempt_count, invoice.attempted) == ("open", 1, True)
    assert invoice.next_payment_attempt == clock.now + 3 * 86_400
    assert types(client, 1) == ["invoice.payment_failed"]

    error = refusal(lambda: client.v1.invoices.pay(invoice.id))
    assert isinstance(error, stripe.CardError)
    assert (error.http_status, error.code) == (402, "card_declined")
    assert error.error is not None and error.error.decline_code == "generic_decline"
    assert client.v1.invoices.retrieve(invoice.id).attempt_count == 2

    with_card("pm_card_visa")
    assert sandbox.state.advance(5 * 86_400) == 1
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_a_card_may_ask_the_customer_to_act(
    client: stripe.StripeClient, draft: Draft, with_card: WithCard
) -> None:
    with_card("pm_card_authenticationRequired")
    invoice = client.v1.invoices.finalize_invoice(draft(2500).id)
    assert (
        refusal(lambda: client.v1.invoices.pay(invoice.id)).code == "invoice_payment_intent_requires_action"
    )
    assert types(client, 2) == ["invoice.payment_failed", "invoice.payment_action_required"]


def test_without_any_card(client: stripe.StripeClient, draft: Draft) -> None:
    invoice = client.v1.invoices.finalize_invoice(draft(2500).id, {"auto_advance": True})
    assert (invoice.status, invoice.attempt_count) == ("open", 1)
    assert refusal(lambda: client.v1.invoices.pay(invoice.id)).code == "resource_missing"


def test_the_attempt_may_come_an_hour_later(
    client: stripe.StripeClient, draft: Draft, with_card: WithCard, sandbox: RunningSandbox, clock: Clock
) -> None:
    sandbox.state.attempt_payments = "later"
    with_card("pm_card_visa")
    invoice = client.v1.invoices.finalize_invoice(draft(2500).id, {"auto_advance": True})
    assert (invoice.status, invoice.next_payment_attempt) == ("open", clock.now + 3600)
    clock.now += 3600
    assert sandbox.state.work_due() == 1
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"


@pytest.mark.parametrize(
    ("card", "decline"),
    [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ],
)
def test_declined_cards_cannot_be_attached(
    client: stripe.StripeClient, customer: Any, card: str, decline: str
) -> None:
    error = refusal(lambda: client.v1.payment_methods.attach(card, {"customer": customer.id}))
    assert isinstance(error, stripe.CardError)
    assert error.error is not None and error.error.decline_code == decline
    assert client.v1.customers.payment_methods.list(customer.id).data == []


def test_attach_detach_list(client: stripe.StripeClient, customer: Any, with_card: WithCard) -> None:
    default = with_card("pm_card_visa").invoice_settings.default_payment_method
    second = client.v1.payment_methods.attach("pm_card_mastercard", {"customer": customer.id})
    listed = client.v1.payment_methods.list({"customer": customer.id, "type": "card"}).data
    assert [method.id for method in listed] == [second.id, default]
    client.v1.payment_methods.detach(str(default))
    after = client.v1.customers.retrieve(customer.id)
    assert after.invoice_settings is not None and after.invoice_settings.default_payment_method is None
    update: Any = {"invoice_settings": {"default_payment_method": default}}
    assert refusal(lambda: client.v1.customers.update(customer.id, update)).code == "resource_missing"


def test_customers(client: stripe.StripeClient, customer: Any) -> None:
    update: Any = {"metadata": {"account": "acme", "plan": "starter"}, "address": {"country": "US"}}
    client.v1.customers.update(customer.id, update)
    changed = client.v1.customers.update(customer.id, {"metadata": {"plan": ""}, "name": ""}).to_dict()
    assert changed["metadata"] == {"account": "acme"} and changed["name"] is None
    assert client.v1.customers.update(customer.id, {"metadata": ""}).to_dict()["metadata"] == {}
    assert [row.id for row in client.v1.customers.list({"email": "billing@acme.example"}).data] == [
        customer.id
    ]
    client.v1.customers.delete(customer.id)
    assert getattr(client.v1.customers.retrieve(customer.id), "deleted", False)
    assert refusal(lambda: client.v1.invoices.create({"customer": customer.id})).code == "resource_missing"
