"""Ids that sort by the time they were made."""

from __future__ import annotations

import secrets


def new_id(prefix: str, now: int) -> str:
    """`prefix_` + the instant in hex + 48 random bits; the id of a later instant sorts after."""
    return f"{prefix}_{now:014x}{secrets.token_hex(6)}"
