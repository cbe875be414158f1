"""Seconds, read exactly: the threshold is exact, so no float comes near it (docs/rules.md §2)."""

from __future__ import annotations

import re

MAX_SECONDS_DIGITS = 12  # below 10¹² seconds, so that microseconds fit 64 bits
_MICRO_DIGITS = 6
# A JSON number; a duration sent as text is written the same way.
_DECIMAL = re.compile(r"(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?)(\d+))?", re.ASCII).fullmatch
# An exponent of more digits than this moves the point further than any body is long.
_MAX_EXPONENT_DIGITS = 12


def parse_duration(text: str) -> int:
    """Whole microseconds of a decimal number of seconds; finer digits are cut off, never rounded up.

    Takes time and memory in proportion to the text, whatever its exponent says. Raises ValueError with a
    predicate fit for a user, for something that is not a decimal, negative, or 10¹² seconds and more.

    >>> parse_duration("4.25"), parse_duration("1.0000009999999999999999"), parse_duration("5e-1")
    (4250000, 1000000, 500000)
    """
    whole, _, fraction = text.partition(".")
    if (
        fraction.isdigit()
        and whole.isdigit()
        and len(whole) <= MAX_SECONDS_DIGITS
        and (whole[0] != "0" or whole == "0")
        and text.isascii()
    ):
        return int(whole + fraction[:_MICRO_DIGITS].ljust(_MICRO_DIGITS, "0"))
    return _parse_any(text)


def _parse_any(text: str) -> int:
    match = _DECIMAL(text)
    if match is None:
        raise ValueError("is not a decimal number of seconds such as 4.25")
    sign, whole, fraction, exponent_sign, exponent = match.groups(default="")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0
    if sign:
        raise ValueError("is negative; send the seconds that the task ran")
    # Where the decimal point of the microseconds stands among `digits`.
    point = len(whole) - (len(whole) + len(fraction) - len(digits)) + _MICRO_DIGITS
    shift = int(exponent.lstrip("0")[: _MAX_EXPONENT_DIGITS + 1] or "0")
    point += -shift if exponent_sign == "-" else shift
    if point > MAX_SECONDS_DIGITS + _MICRO_DIGITS:
        raise ValueError("is too large; a duration is below 10^12 seconds")
    return int(digits[:point].ljust(point, "0")) if point > 0 else 0
