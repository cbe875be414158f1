"""The parts of the sandbox that are functions of values."""

from __future__ import annotations

import doctest

import pytest

from billing.payments.stripe_sandbox import forms, state, totals
from billing.payments.stripe_sandbox.errors import ParameterError
from billing.payments.stripe_sandbox.forms import decode
from billing.payments.stripe_sandbox.idempotency import IdempotencyKeys
from billing.payments.stripe_sandbox.wire import Answer


@pytest.mark.parametrize("module", [forms, state, totals], ids=lambda module: module.__name__)
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted and not result.failed


@pytest.mark.parametrize(
    ("total", "balance", "currency", "due", "ending", "kind"),
    [
        (50, 0, "usd", 50, 0, "applied_to_invoice"),
        (49, 0, "usd", 0, 49, "invoice_too_small"),
        (49, 1, "usd", 50, 0, "applied_to_invoice"),
        (29, 0, "gbp", 0, 29, "invoice_too_small"),
        (30, 0, "gbp", 30, 0, "applied_to_invoice"),
        (0, 0, "usd", 0, 0, "applied_to_invoice"),
        (0, 20, "usd", 0, 20, "invoice_too_small"),
        (-100, 30, "usd", 0, -70, "applied_to_invoice"),
        (1000, -400, "usd", 600, 0, "applied_to_invoice"),
    ],
)
def test_what_is_due(*, total: int, balance: int, currency: str, due: int, ending: int, kind: str) -> None:
    assert totals.settle(total, balance, currency) == (due, ending, kind)


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("a=1&b[c]=2&b[d][0]=3", {"a": "1", "b": {"c": "2", "d": {"0": "3"}}}),
        ("a[][x]=1&a[][y]=2&a[][x]=3", {"a": {"0": {"x": "1", "y": "2"}, "1": {"x": "3"}}}),
        ("a%5B0%5D=%C3%A9+b", {"a": {"0": "é b"}}),
        ("a=", {"a": ""}),
        ("", {}),
    ],
)
def test_forms(text: str, params: object) -> None:
    assert decode(text) == params


@pytest.mark.parametrize(
    "text", ["a=1&a[b]=2", "a[b]=1&a=2", "[a]=1", "a[b=1", "=1", "a=%ff", "a" + "[b]" * 20]
)
def test_forms_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ParameterError):
        decode(text)


def test_keys_are_forgotten_after_a_day() -> None:
    keys = IdempotencyKeys()
    assert keys.begin("k", "f", now=0) is None
    answer = Answer(200, b"{}")
    keys.finish("k", answer)
    assert keys.begin("k", "f", now=86_399) is answer
    assert keys.begin("k", "f", now=86_400) is None
