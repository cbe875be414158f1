"""Faults as data: what the client sees, and what happened all the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from billing.payments.stripe_sandbox import (
    Fault,
    FaultKind,
    FaultSchedule,
    Request,
    RunningSandbox,
    StripeSandbox,
)
from tests.billing.payments.conftest import connect, refusal

CREATE = ("POST", "/v1/customers")
AUTH = {"authorization": "Bearer sk_test_x", "idempotency-key": "k"}


def create(client: stripe.StripeClient, key: str = "k") -> stripe.Customer:
    return client.v1.customers.create({"name": "Acme"}, {"idempotency_key": key})


def break_first(sandbox: RunningSandbox, kind: FaultKind, seconds: float = 0) -> None:
    sandbox.state.faults = FaultSchedule([Fault(*CREATE, nth=1, kind=kind, seconds=seconds)])


@pytest.mark.parametrize(
    ("kind", "error", "status", "applied"),
    [
        (FaultKind.CLOSED_BEFORE_APPLYING, stripe.APIConnectionError, None, False),
        (FaultKind.APPLIED_THEN_CLOSES, stripe.APIConnectionError, None, True),
        (FaultKind.APPLIED_THEN_HANGS, stripe.APIConnectionError, None, True),
        (FaultKind.RATE_LIMITED_429, stripe.RateLimitError, 429, False),
        (FaultKind.LOCK_TIMEOUT_429, stripe.RateLimitError, 429, False),
        (FaultKind.CONFLICT_409, stripe.APIError, 409, False),
        (FaultKind.GARBLED_200, stripe.APIError, 200, True),
    ],
)
def test_after_these_a_retry_with_the_same_key_creates_one(
    client: stripe.StripeClient,
    sandbox: RunningSandbox,
    *,
    kind: FaultKind,
    error: Any,
    status: Any,
    applied: bool,
) -> None:
    break_first(sandbox, kind)
    failure = refusal(lambda: create(client))
    assert isinstance(failure, error) and failure.http_status == status
    assert len(client.v1.customers.list().data) == applied
    create(client)
    assert len(client.v1.customers.list().data) == 1
    assert sandbox.state.faults.pending == ()
    assert [entry.fault for entry in sandbox.state.log if entry.method == "POST"] == [kind, None]


@pytest.mark.parametrize(
    ("kind", "applied"),
    [(FaultKind.ERROR_500, False), (FaultKind.ERROR_500_NO_RETRY, False), (FaultKind.APPLIED_THEN_500, True)],
)
def test_a_500_is_the_answer_to_its_key_for_good(
    client: stripe.StripeClient, sandbox: RunningSandbox, kind: FaultKind, applied: bool
) -> None:
    break_first(sandbox, kind)
    for _ in range(2):
        failure = refusal(lambda: create(client))
        assert isinstance(failure, stripe.APIError) and failure.http_status == 500
        told = failure.headers.get("stripe-should-retry")
        assert told == ("false" if kind is FaultKind.ERROR_500_NO_RETRY else None)
    assert failure.headers["idempotent-replayed"] == "true"
    assert len(client.v1.customers.list().data) == applied
    create(client, key="another")
    assert len(client.v1.customers.list().data) == applied + 1


def test_an_answer_may_not_come_in_time(sandbox: RunningSandbox) -> None:
    impatient = connect(sandbox.url, timeout_s=0.2)
    break_first(sandbox, FaultKind.APPLIED_THEN_HANGS, seconds=60)
    failure = refusal(lambda: create(impatient))
    assert isinstance(failure, stripe.APIConnectionError)
    create(impatient)
    assert len(impatient.v1.customers.list().data) == 1


def test_of_many_at_once_with_one_key_one_is_applied(sandbox: RunningSandbox) -> None:
    def attempt(_: int) -> str:
        return create(connect(sandbox.url)).id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(attempt, range(16)))) == 1
    assert len(sandbox.state.state.customers.rows) == 1


def test_a_wrong_total(client: stripe.StripeClient, sandbox: RunningSandbox, customer: Any) -> None:
    sandbox.state.faults = FaultSchedule([Fault("GET", "/v1/invoices/{invoice}", 2, FaultKind.WRONG_TOTAL)])
    invoice = client.v1.invoices.create({"customer": customer.id})
    totals = [client.v1.invoices.retrieve(invoice.id).total_excluding_tax for _ in range(3)]
    assert totals == [0, 1, 0]


def test_a_key_is_in_use_while_its_request_runs() -> None:
    slow = Fault(*CREATE, nth=1, kind=FaultKind.SLOW, seconds=30)
    sandbox = StripeSandbox(clock=lambda: 0, faults=FaultSchedule([slow]))
    request = Request(*CREATE, body=b"name=Acme", headers=AUTH)
    running = sandbox.receive(request)
    assert running.wait_s == 30
    in_use = sandbox.handle(request)
    assert in_use.status == 409 and in_use.headers["Stripe-Should-Retry"] == "true"
    first = sandbox.complete(running)
    assert first.status == 200 and sandbox.handle(request).body == first.body


def test_faults_are_read_from_data_and_mistakes_named() -> None:
    data = {"method": "post", "route": "/v1/invoices/*", "nth": 2, "kind": "error_500"}
    assert Fault.from_json(data) == Fault("POST", "/v1/invoices/*", 2, FaultKind.ERROR_500)
    for wrong, word in (
        ({"kind": "odd", "route": "*"}, "odd"),
        ({"route": "*"}, "kind"),
        ({"when": 1}, "when"),
    ):
        with pytest.raises(ValueError, match=word):
            Fault.from_json(wrong)
