"""Lengths of time as people write them: 90s, 15m, 24h, 30d. Pure."""

from __future__ import annotations

import re

from metering.period import DAY_US, HOUR_US, MINUTE_US, SECOND_US

_UNITS = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US}
_SPAN = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII).fullmatch


def parse_span(text: str) -> int:
    """In microseconds. Raises ValueError.

    >>> parse_span("24h") == 24 * HOUR_US, parse_span("0s")
    (True, 0)
    """
    match = _SPAN(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a length of time; write it like 24h, 30d or 90s")
    return int(match[1]) * _UNITS[match[2]]
