"""Fault schedules drawn from a seed, and the story that they happen to.

A schedule is data: which call of which route goes wrong and how, at which step each act is killed, how much
time passes between the acts, and in which order people do what they do.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from billing.payments.stripe_sandbox import Fault, FaultKind
from metering.period import HOUR_US, MINUTE_US, SECOND_US

_ONE = "/v1/invoices/{invoice}"
# Every route that the gateway uses: how likely a fault is there, and up to which of its calls. What is looked
# for is looked for once something went wrong, so seldom.
ROUTES = (
    ("POST", "/v1/customers", 4, 4),
    ("GET", "/v1/customers", 2, 1),
    ("GET", "/v1/customers/{customer}", 4, 6),
    ("POST", "/v1/customers/{customer}", 3, 3),
    ("GET", "/v1/customers/{customer}/tax_ids", 2, 1),
    ("POST", "/v1/customers/{customer}/tax_ids", 2, 1),
    ("POST", "/v1/invoices", 8, 8),
    ("GET", "/v1/invoices", 4, 2),
    ("GET", _ONE, 8, 20),
    ("DELETE", _ONE, 2, 1),
    ("GET", f"{_ONE}/lines", 6, 8),
    ("POST", f"{_ONE}/add_lines", 8, 8),
    ("POST", f"{_ONE}/finalize", 8, 8),
    ("POST", f"{_ONE}/void", 3, 1),
    ("POST", "/v1/credit_notes", 4, 3),
    ("GET", "/v1/credit_notes", 3, 2),
)
# A slow answer comes in time or, after the gateway's time-out, to nobody.
_SECONDS = (2.0, 25.0, 45.0)
# Longest: Stripe has forgotten the keys.
JUMPS_US = (0, 31 * SECOND_US, 2 * MINUTE_US, HOUR_US, 30 * HOUR_US, 30 * HOUR_US)

# It happened, and we are not told: the worst there is.
_DANGEROUS = 2 * (FaultKind.APPLIED_THEN_CLOSES, FaultKind.APPLIED_THEN_500, FaultKind.GARBLED_200)

# What happens, besides the month, in some order; each is done once, however often it is begun.
Act = Literal["month", "contracts", "details", "void", "note", "pay", "late note"]
FIRST: tuple[Act, ...] = ("month", "contracts")
THEN: tuple[Act, ...] = ("void", "note", "details", "pay", "late note")


@dataclass(frozen=True, slots=True)
class Step:
    """An act, the step of it at which the process is killed (None: it lives), and the time that passes
    afterwards."""

    act: Act
    kill_at: int | None
    pause_us: int


@dataclass(frozen=True, slots=True)
class Schedule:
    seed: int
    faults: tuple[Fault, ...]
    steps: tuple[Step, ...]
    retries: int
    """How often the SDK repeats a call."""
    attempt_payments: Literal["immediately", "later"]
    lag_us: int
    """How much later than an intent's next attempt the service gets to it."""
    payers: tuple[str, ...]
    """The accounts that pay by themselves what they see at Stripe."""


def draw(seed: int) -> Schedule:
    """The schedule of a seed: the same each time."""
    chance = random.Random(seed)
    faults = tuple(fault for _ in range(chance.randint(1, 8)) for fault in _burst(chance))
    acts = [*FIRST, *chance.sample(THEN, len(THEN))]
    if chance.random() < 0.3:  # people are early: before everything was sent
        acts = [acts[0], acts[2], acts[1], *acts[3:]]
    steps = tuple(
        Step(act, chance.randint(1, 60) if chance.random() < 0.5 else None, chance.choice(JUMPS_US))
        for act in acts
    )
    payers = tuple(account for account in "acde" if chance.random() < 0.4)
    return Schedule(
        seed,
        faults,
        steps,
        retries=chance.choice((0, 0, 2)),
        attempt_payments=chance.choice(("immediately", "later")),
        lag_us=chance.choice((0, 30 * HOUR_US)),
        payers=payers,
    )


def _burst(chance: random.Random) -> list[Fault]:
    """One fault, or one at each of several calls in a row, so that repeating at once does not help."""
    ((method, route, _, last),) = chance.choices(ROUTES, [each[2] for each in ROUTES])
    kind = chance.choice([*FaultKind, *_DANGEROUS])
    first = chance.randint(1, last)
    seconds = chance.choice(_SECONDS) if kind in (FaultKind.SLOW, FaultKind.APPLIED_THEN_HANGS) else 0.0
    return [
        Fault(method, route, first + place, kind, seconds) for place in range(chance.choice((1, 1, 2, 3, 6)))
    ]
