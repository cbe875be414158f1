"""The life of an invoice in the sandbox, through the real SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from billing.payments.stripe_sandbox import RunningSandbox
from tests.billing.payments.conftest import Clock, refusal

Draft = Callable[..., stripe.Invoice]
WithCard = Callable[[str], stripe.Customer]
DAY = 86_400


def test_a_draft_is_filled_read_and_finalized(
    client: stripe.StripeClient, draft: Draft, clock: Clock
) -> None:
    invoice = draft(2500, 0, -300, number="2026-10-000001", metadata={"invoice": "7"}, description="October")
    assert (invoice.status, invoice.total_excluding_tax, invoice.amount_due) == ("draft", 2200, 2200)
    assert invoice.hosted_invoice_url is None and invoice.effective_at is None
    assert [line.amount for line in invoice.lines.data] == [2500, 0, -300]

    clock.now += 60
    invoice = client.v1.invoices.finalize_invoice(invoice.id)
    assert (invoice.status, invoice.amount_remaining, invoice.attempted) == ("open", 2200, False)
    assert invoice.number == "2026-10-000001" and (invoice.metadata or {})["invoice"] == "7"
    assert invoice.hosted_invoice_url and invoice.invoice_pdf
    assert invoice.status_transitions.finalized_at == invoice.effective_at == clock.now

    paid = client.v1.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 2200, 0)
    assert paid.status_transitions.paid_at == clock.now


def test_a_finalized_invoice_is_fixed(client: stripe.StripeClient, draft: Draft) -> None:
    invoice = client.v1.invoices.finalize_invoice(draft(1000).id)
    line = invoice.lines.data[0].id
    calls: list[Callable[[], Any]] = [
        lambda: client.v1.invoices.finalize_invoice(invoice.id),
        lambda: client.v1.invoices.add_lines(invoice.id, {"lines": [{"amount": 1}]}),
        lambda: client.v1.invoices.update_lines(invoice.id, {"lines": [{"id": line, "amount": 1}]}),
        lambda: client.v1.invoices.remove_lines(invoice.id, {"lines": [{"id": line, "behavior": "delete"}]}),
        lambda: client.v1.invoices.update(invoice.id, {"number": "another"}),
        lambda: client.v1.invoices.delete(invoice.id),
    ]
    for call in calls:
        error = refusal(call)
        assert (error.http_status, error.code) == (400, "invoice_not_editable")
    client.v1.invoices.update(invoice.id, {"metadata": {"still": "allowed"}, "auto_advance": True})
    assert client.v1.invoices.retrieve(invoice.id).total == 1000


def test_lines_are_changed_and_removed_while_it_is_a_draft(client: stripe.StripeClient, draft: Draft) -> None:
    invoice = draft(100, 200, 300)
    first, second, third = (line.id for line in invoice.lines.data)
    update: Any = {"lines": [{"id": first, "amount": 150, "metadata": {"kind": "usage"}}]}
    assert client.v1.invoices.update_lines(invoice.id, update).total == 650
    client.v1.invoices.line_items.update(invoice.id, second, {"description": "renamed"})
    remove: Any = {"lines": [{"id": third, "behavior": "unassign"}, {"id": first, "behavior": "delete"}]}
    left = client.v1.invoices.remove_lines(invoice.id, remove)
    assert [(line.description, line.amount) for line in left.lines.data] == [("renamed", 200)]
    pending = client.v1.invoice_items.list({"pending": True}).data
    assert [item.amount for item in pending] == [300]


def test_several_lines_are_added_or_changed_together_or_not_at_all(
    client: stripe.StripeClient, draft: Draft
) -> None:
    invoice = draft(100)
    both: Any = {"lines": [{"amount": 1}, {"description": "no amount"}]}
    error = refusal(lambda: client.v1.invoices.add_lines(invoice.id, both))
    assert error.param == "lines[1][amount]"
    line = invoice.lines.data[0].id
    twice: Any = {"amount": 5, "price_data": {"currency": "usd", "unit_amount": 5}}
    change: Any = {"lines": [{"id": line, "amount": 5}, {"id": line, **twice}]}
    assert refusal(lambda: client.v1.invoices.update_lines(invoice.id, change)).http_status == 400
    assert client.v1.invoices.retrieve(invoice.id).total == 100


def test_at_most_250_items(client: stripe.StripeClient, draft: Draft) -> None:
    invoice = draft(*range(1, 250))
    assert client.v1.invoices.add_lines(invoice.id, {"lines": [{"amount": 1}]}).total == sum(range(250)) + 1
    error = refusal(lambda: client.v1.invoices.add_lines(invoice.id, {"lines": [{"amount": 1}]}))
    assert "250" in str(error)
    read = list(client.v1.invoices.line_items.list(invoice.id, {"limit": 100}).auto_paging_iter())
    assert [line.amount for line in read] == [*range(1, 250), 1]
    shown = client.v1.invoices.retrieve(invoice.id).lines
    assert (len(shown.data), shown.has_more) == (10, True)
    assert len(list(shown.auto_paging_iter())) == 250


def test_numbers_are_unique_and_made_if_not_given(client: stripe.StripeClient, draft: Draft) -> None:
    first = draft(100, number="2026-10-000001")
    assert refusal(lambda: draft(100, number="2026-10-000001")).param == "number"
    client.v1.invoices.delete(first.id)
    assert draft(100, number="2026-10-000001").number == "2026-10-000001"
    made = [client.v1.invoices.finalize_invoice(draft(100).id).number for _ in range(2)]
    assert [number and number[-5:] for number in made] == ["-0001", "-0002"]


def test_pending_items_are_left_alone_unless_included(client: stripe.StripeClient, customer: Any) -> None:
    for amount in (100, 200):
        client.v1.invoice_items.create({"customer": customer.id, "amount": amount, "currency": "usd"})
    assert client.v1.invoices.create({"customer": customer.id}).total == 0
    include: Any = {"customer": customer.id, "pending_invoice_items_behavior": "include"}
    invoice = client.v1.invoices.create(include)
    assert [line.amount for line in invoice.lines.data] == [200, 100]
    client.v1.invoices.delete(invoice.id)
    assert client.v1.invoices.create(include).total == 300


def test_nothing_due_is_paid_at_once(client: stripe.StripeClient, draft: Draft, customer: Any) -> None:
    zero = client.v1.invoices.finalize_invoice(draft(500, -500).id)
    assert (zero.status, zero.amount_due, zero.amount_paid) == ("paid", 0, 0)
    negative = client.v1.invoices.finalize_invoice(draft(-700).id)
    assert (negative.status, negative.amount_due) == ("paid", 0)
    assert client.v1.customers.retrieve(customer.id).balance == -700


def test_below_the_minimum_charge_moves_to_the_balance(
    client: stripe.StripeClient, draft: Draft, customer: Any
) -> None:
    small = client.v1.invoices.finalize_invoice(draft(49).id, {"auto_advance": True})
    assert (small.status, small.total, small.amount_due, small.amount_paid) == ("paid", 49, 0, 0)
    moved = client.v1.customers.balance_transactions.list(customer.id).data[0]
    assert (moved.amount, moved.type, moved.invoice) == (49, "invoice_too_small", small.id)
    next_one = client.v1.invoices.finalize_invoice(draft(50).id)
    assert (next_one.status, next_one.starting_balance, next_one.amount_due) == ("open", 49, 99)
    assert client.v1.customers.retrieve(customer.id).balance == 0
    client.v1.invoices.void_invoice(next_one.id)
    assert client.v1.customers.retrieve(customer.id).balance == 49


def test_void_and_uncollectible(client: stripe.StripeClient, draft: Draft) -> None:
    draft_only = draft(1000)
    for call in (
        client.v1.invoices.void_invoice,
        client.v1.invoices.mark_uncollectible,
        client.v1.invoices.pay,
    ):
        assert refusal(lambda call=call: call(draft_only.id)).http_status == 400
    invoice = client.v1.invoices.finalize_invoice(draft_only.id)
    assert client.v1.invoices.mark_uncollectible(invoice.id).status == "uncollectible"
    void = client.v1.invoices.void_invoice(invoice.id)
    assert (void.status, void.amount_remaining) == ("void", 0)
    assert refusal(lambda: client.v1.invoices.pay(invoice.id)).http_status == 400
    written_off = client.v1.invoices.finalize_invoice(draft(1000).id)
    client.v1.invoices.mark_uncollectible(written_off.id)
    assert client.v1.invoices.pay(written_off.id, {"paid_out_of_band": True}).status == "paid"


def test_an_invoice_by_mail(client: stripe.StripeClient, draft: Draft, clock: Clock) -> None:
    assert refusal(lambda: draft(100, collection_method="send_invoice")).param == "days_until_due"
    assert refusal(lambda: draft(100, days_until_due=30)).param == "days_until_due"
    invoice = draft(100, collection_method="send_invoice", days_until_due=30)
    assert invoice.due_date == clock.now + 30 * DAY
    client.v1.invoices.finalize_invoice(invoice.id, {"auto_advance": True})
    sent = client.v1.invoices.send_invoice(invoice.id)
    assert (sent.status, sent.attempt_count) == ("open", 0)
    assert len(client.v1.events.list({"type": "invoice.sent"}).data) == 2


def test_automatic_tax_needs_an_address(client: stripe.StripeClient, draft: Draft, customer: Any) -> None:
    invoice = draft(1000, automatic_tax={"enabled": True})
    error = refusal(lambda: client.v1.invoices.finalize_invoice(invoice.id))
    assert error.code == "customer_tax_location_invalid"
    stuck = client.v1.invoices.retrieve(invoice.id)
    assert stuck.status == "draft" and stuck.last_finalization_error is not None
    assert client.v1.events.list().data[0].type == "invoice.finalization_failed"
    client.v1.customers.update(customer.id, {"address": {"country": "DE"}})
    assert client.v1.invoices.finalize_invoice(invoice.id).status == "open"


def test_a_draft_that_advances_is_finalized_after_an_hour(
    client: stripe.StripeClient, draft: Draft, sandbox: RunningSandbox, with_card: WithCard
) -> None:
    with_card("pm_card_visa")
    invoice = draft(1000, auto_advance=True)
    assert sandbox.state.advance(3599) == 0
    assert sandbox.state.advance(1) == 1
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_credit_notes_reduce_an_open_invoice(client: stripe.StripeClient, draft: Draft) -> None:
    invoice = client.v1.invoices.finalize_invoice(draft(1000, number="N-1").id)
    note = client.v1.credit_notes.create({"invoice": invoice.id, "amount": 400, "memo": "sorry"})
    assert (note.number, note.type, note.amount) == ("N-1-CN-01", "pre_payment", 400)
    assert client.v1.invoices.retrieve(invoice.id).amount_remaining == 600
    client.v1.credit_notes.void_credit_note(note.id)
    assert client.v1.invoices.retrieve(invoice.id).amount_remaining == 1000
    assert (
        refusal(lambda: client.v1.credit_notes.create({"invoice": invoice.id, "amount": 1001})).param
        == "amount"
    )
    line: Any = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "amount": 1000}
    client.v1.credit_notes.create({"invoice": invoice.id, "lines": [line]})
    settled = client.v1.invoices.retrieve(invoice.id)
    assert (settled.status, settled.amount_paid, settled.pre_payment_credit_notes_amount) == ("paid", 0, 1000)
    assert [n.status for n in client.v1.credit_notes.list({"invoice": invoice.id}).data] == ["issued", "void"]


def test_credit_notes_give_back_of_a_paid_invoice(
    client: stripe.StripeClient, draft: Draft, with_card: WithCard
) -> None:
    customer = with_card("pm_card_visa")
    invoice = client.v1.invoices.finalize_invoice(draft(1000).id, {"auto_advance": True})
    assert (
        refusal(lambda: client.v1.credit_notes.create({"invoice": invoice.id, "amount": 100})).http_status
        == 400
    )
    note = client.v1.credit_notes.create({"invoice": invoice.id, "amount": 100, "credit_amount": 100})
    assert note.type == "post_payment" and note.customer_balance_transaction is not None
    assert client.v1.customers.retrieve(customer.id).balance == -100
    assert client.v1.invoices.retrieve(invoice.id).post_payment_credit_notes_amount == 100


@pytest.mark.parametrize("missing", ["customer", "currency"])
def test_a_customer_is_needed_and_a_currency_is_known(client: stripe.StripeClient, missing: str) -> None:
    given: Any = {"currency": "usd"} if missing == "customer" else {"customer": "cus_x", "currency": "xxx"}
    assert refusal(lambda: client.v1.invoices.create(given)).param == missing
