"""The sandbox against Stripe's own description of its API: it never takes or shows what Stripe does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from billing.payments.stripe_sandbox.routes import ROUTES, Route
from tests.billing.payments.stripe_description import accepted_by_stripe, beyond, mistakes, schema_of


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_what_a_route_accepts_stripe_accepts(route: Route) -> None:
    assert beyond(route.accepts, accepted_by_stripe(route.method, route.template), "") == []


def test_the_checks_find_mistakes() -> None:
    schema = accepted_by_stripe("POST", "/v1/invoices")
    assert mistakes(schema, {"customer": "cus_1", "auto_advance": "false"}) == []
    assert mistakes(schema, {"auto_advance": "no", "custmer": "x"}) == [
        "[auto_advance]: 'no' is no boolean",
        "[custmer]: unknown",
    ]


def test_objects_have_the_fields_that_stripe_promises(
    client: stripe.StripeClient,
    draft: Callable[..., stripe.Invoice],
    with_card: Callable[[str], stripe.Customer],
) -> None:
    customer = with_card("pm_card_visa")
    client.v1.invoices.finalize_invoice(draft(10).id)
    invoice = client.v1.invoices.finalize_invoice(draft(2500).id, {"auto_advance": True})
    note = client.v1.credit_notes.create({"invoice": invoice.id, "amount": 100, "credit_amount": 100})
    client.v1.invoice_items.create({"customer": customer.id, "amount": 100, "currency": "usd"})
    for name, shown in {
        "customer": customer,
        "invoice": invoice,
        "line_item": invoice.lines.data[0],
        "credit_note": note,
        "credit_note_line_item": note.lines.data[0],
        "invoiceitem": client.v1.invoice_items.list().data[0],
        "payment_method": client.v1.payment_methods.list({"customer": customer.id}).data[0],
        "customer_balance_transaction": client.v1.customers.balance_transactions.list(customer.id).data[0],
        "invoice_payment": client.v1.invoice_payments.list({"invoice": invoice.id}).data[0],
        "event": client.v1.events.list().data[0],
    }.items():
        schema: Any = schema_of(name)
        fields = set(shown.to_dict())
        assert set(schema["required"]) - fields - {"context"} == set(), name
        assert fields - set(schema["properties"]) == set(), name
