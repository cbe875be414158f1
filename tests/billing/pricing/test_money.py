"""Exact decimals, integers in minor units, and the one rounding between them."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest

from billing.pricing.currency import currency, exponent, minimum_charge
from billing.pricing.errors import AmountError, CurrencyError, CurrencyMismatch
from billing.pricing.money import (
    EXACT,
    Money,
    amount_text,
    format_amount,
    multiply,
    parse_amount,
    round_to_minor,
    to_major,
)


@pytest.mark.parametrize(
    ("code", "places"),
    [("USD", 2), ("EUR", 2), ("HUF", 2), ("TWD", 2), ("ISK", 2), ("UGX", 2), ("COP", 2)]
    + [(code, 0) for code in "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()]  # noqa: SIM905
    + [(code, 3) for code in ("BHD", "JOD", "KWD", "OMR", "TND")],
)
def test_minor_units_are_counted_as_stripe_counts_them(code: str, places: int) -> None:
    assert exponent(code) == places


@pytest.mark.parametrize("code", ["", "US", "usd", "Usd", "XXX", "USDT", "BTC", "ZZZ", " USD", "U$D"])
def test_a_code_that_is_no_currency_is_refused(code: str) -> None:
    with pytest.raises(CurrencyError, match="is not a currency"):
        currency(code)


@pytest.mark.parametrize(
    ("code", "minor"),
    [("USD", 50), ("EUR", 50), ("GBP", 30), ("JPY", 50), ("CZK", 1500), ("HUF", 17500), ("KWD", None)],
)
def test_the_minimum_charge_goes_by_currency(code: str, minor: int | None) -> None:
    assert minimum_charge(code) == minor


@pytest.mark.parametrize(
    ("exact", "code", "minor"),
    [
        ("0", "USD", 0),
        ("0.0025", "USD", 0),
        ("0.004999999999", "USD", 0),
        ("0.005", "USD", 1),
        ("0.015", "USD", 2),  # half to even would agree here,
        ("0.025", "USD", 3),  # and not here
        ("-0.0049", "USD", 0),
        ("-0.005", "USD", -1),
        ("-0.025", "USD", -3),
        ("0.4999", "JPY", 0),
        ("0.5", "JPY", 1),
        ("2.5", "JPY", 3),
        ("0.0005", "KWD", 1),
        ("0.00049", "KWD", 0),
        ("5.49", "ISK", 500),
        ("5.5", "ISK", 600),
        ("-5.5", "UGX", -600),
        ("99999999999999999999999.995", "USD", 10_000_000_000_000_000_000_000_000),
    ],
)
def test_rounding_is_half_up_by_magnitude(exact: str, code: str, minor: int) -> None:
    assert round_to_minor(Decimal(exact), code) == minor


def test_the_ambient_decimal_context_changes_nothing() -> None:
    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_DOWN)):
        assert multiply(123_456_789, Decimal("0.000312500001")) == Decimal("38580.246685956789")
        assert round_to_minor(Decimal("12345.675"), "USD") == 1_234_568
        assert format_amount(123_456_789, "USD") == "1,234,567.89 USD"
        assert to_major(123_456_789, "USD") == Decimal("1234567.89")


def test_arithmetic_that_would_round_raises_instead() -> None:
    with pytest.raises(decimal.Inexact):
        EXACT.divide(Decimal(1), Decimal(3))
    with pytest.raises(decimal.Inexact):
        multiply(10**99 + 1, Decimal("0.000000000011"))


@pytest.mark.parametrize("bad", [0.1, 1.0, float("nan"), "1", 1])
def test_only_decimals_are_rounded(bad: object) -> None:
    with pytest.raises(TypeError):
        round_to_minor(bad, "USD")  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [1.0, True, "1", Decimal(1)])
def test_a_quantity_is_an_int(bad: object) -> None:
    with pytest.raises(TypeError):
        multiply(bad, Decimal(1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "code", "minor"),
    [
        ("20.00", "USD", 2000),
        ("20", "USD", 2000),
        ("20.5", "USD", 2050),
        ("0.07", "USD", 7),
        ("-3.10", "EUR", -310),
        ("007", "USD", 700),
        ("50", "JPY", 50),
        ("1.234", "KWD", 1234),
        ("5", "ISK", 500),
    ],
)
def test_amounts_are_read_in_major_units(text: str, code: str, minor: int) -> None:
    assert parse_amount(amount_text(minor, code), code) == minor
    assert parse_amount(text, code) == minor


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("20.005", "USD", "has 3 digits after the point; USD has 2"),
        ("50.0", "JPY", "has 1 digits after the point; JPY has 0"),
        ("5.00", "ISK", "ISK has 0"),
        ("NaN", "USD", "is not an amount"),
        ("Infinity", "USD", "is not an amount"),
        ("1e3", "USD", "is not an amount"),
        ("1,350.00", "USD", "is not an amount"),
        ("1_000", "USD", "is not an amount"),
        ("$5", "USD", "is not an amount"),
        ("", "USD", "is not an amount"),
        (" 5", "USD", "is not an amount"),
        ("5\n", "USD", "is not an amount"),
        (".5", "USD", "is not an amount"),
        ("5.", "USD", "is not an amount"),
        ("+5", "USD", "is not an amount"),
        ("٥", "USD", "is not an amount"),
        ("1" * 16, "USD", "too large"),
    ],
)
def test_a_text_that_is_no_amount_is_refused_with_the_reason(text: str, code: str, says: str) -> None:
    with pytest.raises(AmountError, match=says):
        parse_amount(text, code)


@pytest.mark.parametrize("bad", [20.0, 20, Decimal("20.00"), None])
def test_amounts_are_read_from_text_alone(bad: object) -> None:
    with pytest.raises(TypeError):
        parse_amount(bad, "USD")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amount", "code", "shown"),
    [
        (135_000, "USD", "1,350.00 USD"),
        (0, "USD", "0.00 USD"),
        (7, "USD", "0.07 USD"),
        (-5, "USD", "-0.05 USD"),
        (1_234_567, "JPY", "1,234,567 JPY"),
        (1_234_567, "KWD", "1,234.567 KWD"),
        (123_400, "ISK", "1,234 ISK"),
        (123_456, "ISK", "1,234.56 ISK"),
    ],
)
def test_amounts_are_shown_in_major_units(amount: int, code: str, shown: str) -> None:
    assert format_amount(amount, code) == shown


@pytest.mark.parametrize("bad", [1.0, True, "1", Decimal(1)])
def test_an_amount_is_an_int(bad: object) -> None:
    with pytest.raises(TypeError):
        format_amount(bad, "USD")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Money(bad, "USD")  # type: ignore[arg-type]


def test_money_adds_up_within_a_currency() -> None:
    assert Money(2500, "USD") + Money(50, "USD") - Money(1, "USD") == Money(2549, "USD")
    assert -Money(5, "USD") < Money(0, "USD")
    assert str(Money(135_000, "USD")) == "1,350.00 USD"


def test_of_equal_amounts_none_is_less() -> None:
    assert not Money(5, "USD") < Money(5, "USD")
    assert Money(4, "USD") < Money(5, "USD")


def test_mixing_currencies_raises() -> None:
    dollars, euros = Money(1, "USD"), Money(1, "EUR")
    for mix in (dollars.__add__, dollars.__sub__, dollars.__lt__):
        with pytest.raises(CurrencyMismatch, match="USD and EUR"):
            mix(euros)
    assert dollars != euros


def test_a_float_or_a_bare_number_is_not_added_to_money() -> None:
    for other in (1.0, 1):
        with pytest.raises(TypeError):
            Money(1, "USD") + other  # type: ignore[operator]
