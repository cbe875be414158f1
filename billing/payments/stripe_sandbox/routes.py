"""The routes of the sandbox: method, path, what it accepts, what it does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from billing.payments.stripe_sandbox import (
    credit_notes,
    customers,
    events,
    invoice_items,
    invoice_life,
    invoice_lines,
    invoices,
    payment_intents,
    payment_methods,
    reversals,
    tax_ids,
)
from billing.payments.stripe_sandbox.collection import PAY, pay
from billing.payments.stripe_sandbox.paging import RETRIEVE
from billing.payments.stripe_sandbox.params import Hash
from billing.payments.stripe_sandbox.state import Object

# (state, parameters, the ids in the path…) → the object that is answered
Handler = Callable[..., Object]


@dataclass(frozen=True, slots=True)
class Route:
    """`template` is the path as Stripe's own description of its API writes it."""

    method: str
    template: str
    accepts: Hash
    handler: Handler
    pattern: re.Pattern[str]


def _route(method: str, template: str, accepts: Hash, handler: Handler) -> Route:
    pattern = re.compile(re.sub(r"\{\w+\}", r"([A-Za-z0-9_-]+)", template))
    return Route(method, template, accepts, handler, pattern)


_CUSTOMER, _METHOD, _INVOICE = (
    "/v1/customers/{customer}",
    "/v1/payment_methods/{payment_method}",
    "/v1/invoices",
)
_ITEM, _NOTE = "/v1/invoiceitems/{invoiceitem}", "/v1/credit_notes/{id}"
_ONE = f"{_INVOICE}/{{invoice}}"

ROUTES = (
    _route("POST", "/v1/customers", customers.CREATE, customers.create),
    _route("GET", "/v1/customers", customers.LIST, customers.list_),
    _route("GET", _CUSTOMER, RETRIEVE, customers.retrieve),
    _route("POST", _CUSTOMER, customers.UPDATE, customers.update),
    _route("DELETE", _CUSTOMER, customers.DELETE, customers.delete),
    _route(
        "POST",
        f"{_CUSTOMER}/balance_transactions",
        customers.CREATE_TRANSACTION,
        customers.create_transaction,
    ),
    _route(
        "GET", f"{_CUSTOMER}/balance_transactions", customers.LIST_TRANSACTIONS, customers.list_transactions
    ),
    _route(
        "GET",
        f"{_CUSTOMER}/payment_methods",
        payment_methods.LIST_OF_CUSTOMER,
        payment_methods.list_of_customer,
    ),
    _route("POST", f"{_CUSTOMER}/tax_ids", tax_ids.CREATE, tax_ids.create),
    _route("GET", f"{_CUSTOMER}/tax_ids", tax_ids.LIST, tax_ids.list_),
    _route("DELETE", f"{_CUSTOMER}/tax_ids/{{id}}", tax_ids.DELETE, tax_ids.delete),
    _route("POST", "/v1/payment_methods", payment_methods.CREATE, payment_methods.create),
    _route("GET", "/v1/payment_methods", payment_methods.LIST, payment_methods.list_),
    _route("GET", _METHOD, RETRIEVE, payment_methods.retrieve),
    _route("POST", _METHOD, payment_methods.UPDATE, payment_methods.update),
    _route("POST", f"{_METHOD}/attach", payment_methods.ATTACH, payment_methods.attach),
    _route("POST", f"{_METHOD}/detach", payment_methods.DETACH, payment_methods.detach),
    _route("POST", "/v1/invoiceitems", invoice_items.CREATE, invoice_items.create),
    _route("GET", "/v1/invoiceitems", invoice_items.LIST, invoice_items.list_),
    _route("GET", _ITEM, RETRIEVE, invoice_items.retrieve),
    _route("POST", _ITEM, invoice_items.UPDATE, invoice_items.update),
    _route("DELETE", _ITEM, invoice_items.DELETE, invoice_items.delete),
    _route("POST", _INVOICE, invoices.CREATE, invoices.create),
    _route("GET", _INVOICE, invoices.LIST, invoices.list_),
    _route("GET", _ONE, RETRIEVE, invoices.retrieve),
    _route("POST", _ONE, invoices.UPDATE, invoices.update),
    _route("DELETE", _ONE, invoices.DELETE, invoices.delete),
    _route("GET", f"{_ONE}/lines", invoice_lines.LIST, invoice_lines.list_),
    _route("POST", f"{_ONE}/lines/{{line_item_id}}", invoice_lines.UPDATE_ONE, invoice_lines.update_one),
    _route("POST", f"{_ONE}/add_lines", invoice_lines.ADD, invoice_lines.add),
    _route("POST", f"{_ONE}/update_lines", invoice_lines.UPDATE, invoice_lines.update),
    _route("POST", f"{_ONE}/remove_lines", invoice_lines.REMOVE, invoice_lines.remove),
    _route("POST", f"{_ONE}/finalize", invoice_life.FINALIZE, invoice_life.finalize),
    _route("POST", f"{_ONE}/pay", PAY, pay),
    _route("POST", f"{_ONE}/send", invoice_life.ACT, invoice_life.send),
    _route("POST", f"{_ONE}/void", invoice_life.ACT, invoice_life.void),
    _route("POST", f"{_ONE}/mark_uncollectible", invoice_life.ACT, invoice_life.mark_uncollectible),
    _route("POST", "/v1/credit_notes", credit_notes.CREATE, credit_notes.create),
    _route("GET", "/v1/credit_notes", credit_notes.LIST, credit_notes.list_),
    _route("GET", _NOTE, RETRIEVE, credit_notes.retrieve),
    _route("POST", _NOTE, credit_notes.UPDATE, credit_notes.update),
    _route("POST", f"{_NOTE}/void", credit_notes.VOID, credit_notes.void),
    _route("GET", "/v1/credit_notes/{credit_note}/lines", credit_notes.LIST_LINES, credit_notes.list_lines),
    _route(
        "GET",
        "/v1/invoice_payments",
        payment_intents.LIST_INVOICE_PAYMENTS,
        payment_intents.list_invoice_payments,
    ),
    _route("GET", "/v1/payment_intents", payment_intents.LIST_INTENTS, payment_intents.list_intents),
    _route("GET", "/v1/payment_intents/{intent}", RETRIEVE, payment_intents.retrieve_intent),
    _route("GET", "/v1/charges", payment_intents.LIST_CHARGES, payment_intents.list_charges),
    _route("GET", "/v1/charges/{charge}", RETRIEVE, payment_intents.retrieve_charge),
    _route("POST", "/v1/refunds", reversals.CREATE_REFUND, reversals.create_refund),
    _route("GET", "/v1/refunds", reversals.LIST, reversals.list_refunds),
    _route("GET", "/v1/refunds/{refund}", RETRIEVE, reversals.retrieve_refund),
    _route("GET", "/v1/disputes", reversals.LIST, reversals.list_disputes),
    _route("GET", "/v1/disputes/{dispute}", RETRIEVE, reversals.retrieve_dispute),
    _route("GET", "/v1/events", events.LIST, events.list_),
    _route("GET", "/v1/events/{id}", RETRIEVE, events.retrieve),
)


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
    """The route of a request and the ids in its path."""
    for route in ROUTES:
        if route.method == method:
            match = route.pattern.fullmatch(path)
            if match:
                return route, match.groups()
    return None
