"""Long lists of ids, for queries that name them."""

from __future__ import annotations

from collections.abc import Iterable


def parts(ids: list[str], size: int = 1000) -> Iterable[list[str]]:
    """Ids in pieces that one query can name."""
    return (ids[start : start + size] for start in range(0, len(ids), size))
