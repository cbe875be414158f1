"""A new invoice, before anything is set on it."""

from __future__ import annotations

from billing.payments.stripe_sandbox.state import Object, State


def blank(state: State, customer: Object, currency: str) -> Object:
    """A draft without lines, in every field that Stripe shows."""
    amounts = ("amount_due", "amount_overpaid", "amount_paid", "amount_paid_off_stripe", "amount_remaining")
    sums = ("amount_shipping", "post_payment_credit_notes_amount", "pre_payment_credit_notes_amount")
    totals = ("starting_balance", "subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax")
    nothing_yet = (
        *("automatically_finalizes_at", "custom_fields", "default_payment_method", "default_source"),
        *("description", "due_date", "effective_at", "ending_balance", "footer", "from_invoice"),
        *("hosted_invoice_url", "invoice_pdf", "last_finalization_error", "latest_revision"),
        *("next_payment_attempt", "number", "on_behalf_of", "parent", "receipt_number", "rendering"),
        *("shipping_cost", "shipping_details", "statement_descriptor", "test_clock", "webhooks_delivered_at"),
    )
    return {
        "id": state.new_id("in"),
        "object": "invoice",
        "account_country": "US",
        "account_name": "Sandbox",
        "account_tax_ids": None,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": False,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "created": state.now,
        "currency": currency,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "livemode": False,
        "metadata": {},
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": state.now,
        "period_start": state.now,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        **dict.fromkeys((*amounts, *sums, *totals), 0),
        **dict.fromkeys(nothing_yet),
    }
