"""Every reader of strangers' bytes, with what senders send, with what made one fail before, and with each of
these cut short and with a byte changed. `scripts/fuzz` goes on from here."""

from __future__ import annotations

import random

import pytest

from tests.fuzzing.seeds import seeds
from tests.fuzzing.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_make_a_reader_fail(target: str) -> None:
    chance = random.Random(target)
    for seed in seeds(target):
        TARGETS[target](seed)
        for _ in range(5):
            changed = bytearray(seed[: chance.randrange(len(seed) + 1)] if chance.random() < 0.3 else seed)
            if changed:
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            TARGETS[target](bytes(changed))
