"""How often garbage is looked for, in each process of the service."""

from __future__ import annotations

import gc


def seek_garbage_seldom() -> None:
    """What is imported, and events by the hundred thousand, are never in cycles: looking for cycles at the
    usual pace takes a fifth of a start, a tenth of a writer's time, and now and then 15 ms from who waits."""
    gc.set_threshold(100_000, 20, 20)
