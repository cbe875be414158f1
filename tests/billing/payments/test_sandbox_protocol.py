"""What holds for every route: keys, parameters, lists, errors, idempotency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from billing.payments.stripe_sandbox import RunningSandbox
from billing.payments.stripe_sandbox.forms import decode
from tests.billing.payments.conftest import Clock, connect, refusal
from tests.examples import few

Draft = Callable[..., stripe.Invoice]
KEY = {"Authorization": "Bearer sk_test_x"}


def test_only_test_keys(sandbox: RunningSandbox) -> None:
    for key, words in (("sk_live_x", "live key"), ("pk_test_x", "Invalid API Key"), ("nonsense", "Invalid")):
        error = refusal(lambda key=key: connect(sandbox.url, key).v1.customers.list())
        assert isinstance(error, stripe.AuthenticationError) and words in str(error)
    assert httpx.get(f"{sandbox.url}/v1/customers").status_code == 401
    assert httpx.get(f"{sandbox.url}/v1/customers", auth=("rk_test_x", "")).status_code == 200


def test_headers_and_unknown_addresses(sandbox: RunningSandbox) -> None:
    answer = httpx.get(f"{sandbox.url}/v1/customers", headers={**KEY, "Stripe-Version": "2026-01-01.x"})
    assert answer.headers["stripe-version"] == "2026-01-01.x"
    assert answer.headers["request-id"].startswith("req_")
    nowhere = httpx.get(f"{sandbox.url}/v1/nothing", headers=KEY)
    assert nowhere.status_code == 404 and "Unrecognized request URL" in nowhere.json()["error"]["message"]
    json_body = httpx.post(f"{sandbox.url}/v1/customers", headers=KEY, json={"name": "x"})
    assert json_body.status_code == 400 and "form-urlencoded" in json_body.text


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"custmer": "x"}, "parameter_unknown", "custmer"),
        ({"lines": [{"amount": 1, "unit_price": 2}]}, "parameter_unknown", "lines[0][unit_price]"),
        ({"lines": [{"amount": 1, "period": {"begin": 2}}]}, "parameter_unknown", "lines[0][period][begin]"),
        ({"lines": [{"amount": "1.5"}]}, "parameter_invalid_integer", "lines[0][amount]"),
        ({"lines": [{"amount": ""}]}, "parameter_invalid_empty", "lines[0][amount]"),
        ({"lines": [{"amount": 10**9}]}, "parameter_invalid_integer", "lines[0][amount]"),
        ({"lines": [{"amount": 1, "period": {"start": 2}}]}, "parameter_missing", "lines[0][period][end]"),
        ({"lines": "x"}, None, "lines"),
        ({}, "parameter_missing", "lines"),
        ({"lines": [{"amount": 1, "metadata": {"k" * 41: "v"}}]}, None, f"lines[0][metadata][{'k' * 41}]"),
        ({"lines": [{"amount": 1, "metadata": {"k": "v" * 501}}]}, None, "lines[0][metadata][k]"),
        ({"lines": [{"amount": 1, "description": "x" * 5001}]}, None, "lines[0][description]"),
        ({"lines": [{"amount": 1, "discountable": "maybe"}]}, None, "lines[0][discountable]"),
        ({"lines": [{"amount": 1}], "expand": ["secrets"]}, None, "expand"),
    ],
)
def test_parameters_are_checked_at_every_level(
    client: stripe.StripeClient, draft: Draft, params: Any, code: str | None, param: str
) -> None:
    invoice = draft()
    error = refusal(lambda: client.v1.invoices.add_lines(invoice.id, params))
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert client.v1.invoices.retrieve(invoice.id).lines.data == []


def test_at_most_fifty_metadata_keys(client: stripe.StripeClient, customer: Any) -> None:
    client.v1.customers.update(customer.id, {"metadata": {f"k{n}": "v" for n in range(50)}})
    assert (
        refusal(lambda: client.v1.customers.update(customer.id, {"metadata": {"k50": "v"}})).http_status
        == 400
    )


def test_missing_objects(client: stripe.StripeClient) -> None:
    error = refusal(lambda: client.v1.invoices.retrieve("in_none"))
    assert (error.http_status, error.code) == (404, "resource_missing")
    error = refusal(lambda: client.v1.invoices.create({"customer": "cus_none"}))
    assert (error.http_status, error.code, error.param) == (400, "resource_missing", "customer")


def test_lists_are_newest_first_and_paged(client: stripe.StripeClient, draft: Draft, clock: Clock) -> None:
    made = []
    for _ in range(7):
        clock.now += 10
        made.append(draft().id)
    newest_first = made[::-1]
    pages = client.v1.invoices.list({"limit": 3})
    assert pages.has_more and [row.id for row in pages.data] == newest_first[:3]
    assert [row.id for row in pages.auto_paging_iter()] == newest_first
    after = client.v1.invoices.list({"limit": 3, "starting_after": newest_first[3]})
    assert not after.has_more and [row.id for row in after.data] == newest_first[4:]
    before = client.v1.invoices.list({"limit": 2, "ending_before": newest_first[3]})
    assert before.has_more and [row.id for row in before.data] == newest_first[1:3]
    client.v1.invoices.delete(made[2])
    assert len(client.v1.invoices.list({"limit": 100, "starting_after": made[2]}).data) == 2
    recent = client.v1.invoices.list({"created": {"gt": clock.now - 15}, "status": "draft"})
    assert [row.id for row in recent.data] == newest_first[:2]
    for limit in (0, 101):
        assert refusal(lambda limit=limit: client.v1.invoices.list({"limit": limit})).param == "limit"
    assert refusal(lambda: client.v1.invoices.list({"starting_after": "in_none"})).code == "resource_missing"


def test_lists_of_one_customer(client: stripe.StripeClient, draft: Draft, customer: Any) -> None:
    mine = draft().id
    other = client.v1.customers.create({})
    client.v1.invoices.create({"customer": other.id})
    listed = client.v1.invoices.list({"customer": customer.id, "expand": ["data.customer"]}).data
    assert [row.id for row in listed] == [mine]
    assert getattr(listed[0].customer, "name", None) == "Acme"


def test_the_same_key_answers_the_same(client: stripe.StripeClient, customer: Any, clock: Clock) -> None:
    params: Any = {"customer": customer.id, "metadata": {"n": "1"}}
    first = client.v1.invoices.create(params, {"idempotency_key": "k1"})
    again = client.v1.invoices.create(params, {"idempotency_key": "k1"})
    assert again.id == first.id and again.last_response.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.last_response.headers

    other: Any = {"customer": customer.id, "metadata": {"n": "2"}}
    for call in (
        lambda: client.v1.invoices.create(other, {"idempotency_key": "k1"}),
        lambda: client.v1.customers.create({}, {"idempotency_key": "k1"}),
    ):
        error = refusal(call)
        assert isinstance(error, stripe.IdempotencyError) and error.http_status == 400

    clock.now += 24 * 3600
    assert client.v1.invoices.create(params, {"idempotency_key": "k1"}).id != first.id


def test_refusals_are_kept_for_a_key_but_unreadable_parameters_are_not(
    client: stripe.StripeClient, draft: Draft
) -> None:
    invoice = draft(100)
    wrong: Any = {"lines": [{"amount": "x"}]}
    assert refusal(lambda: client.v1.invoices.add_lines(invoice.id, wrong, {"idempotency_key": "a"}))
    right: Any = {"lines": [{"amount": 1}]}
    assert client.v1.invoices.add_lines(invoice.id, right, {"idempotency_key": "a"}).total == 101

    pay: Any = ({}, {"idempotency_key": "p"})
    refused = refusal(lambda: client.v1.invoices.pay(invoice.id, *pay))
    client.v1.invoices.finalize_invoice(invoice.id)
    replayed = refusal(lambda: client.v1.invoices.pay(invoice.id, *pay))
    assert replayed.user_message == refused.user_message
    assert replayed.headers["idempotent-replayed"] == "true"


def test_the_log_tells_what_was_asked(
    client: stripe.StripeClient, sandbox: RunningSandbox, customer: Any
) -> None:
    client.v1.invoices.create({"customer": customer.id}, {"idempotency_key": "k"})
    entry = sandbox.state.log[-1]
    assert (entry.method, entry.path, entry.status) == ("POST", "/v1/invoices", 200)
    assert entry.idempotency_key == "k" and entry.params == {"customer": customer.id}


LEAF = st.text(st.characters(codec="utf-8"), max_size=8)
NAME = st.text(st.characters(codec="utf-8", exclude_characters="[]"), min_size=1, max_size=6)


@few(50)
@given(
    st.dictionaries(
        NAME, st.recursive(LEAF, lambda inner: st.dictionaries(NAME, inner, min_size=1), max_leaves=9)
    )
)
def test_nested_forms_come_back(params: dict[str, Any]) -> None:
    from urllib.parse import urlencode

    def flat(value: Any, name: str) -> list[tuple[str, str]]:
        if isinstance(value, str):
            return [(name, value)]
        return [pair for key, inner in value.items() for pair in flat(inner, f"{name}[{key}]")]

    assert decode(urlencode([pair for key, value in params.items() for pair in flat(value, key)])) == params
