"""Ids that sort by the time they were made."""

from __future__ import annotations

import itertools
import secrets

_made = itertools.count()


def new_id(prefix: str, now: int) -> str:
    """`prefix_` + the instant in hex + a count of this process + 32 random bits: the id of a later instant
    sorts after, and so does a later one of the same instant and process."""
    return f"{prefix}_{now:014x}{next(_made) % 2**24:06x}{secrets.token_hex(4)}"
