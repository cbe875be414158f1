"""Signs of misuse: accounts of which a share of the runs is far from what it used to be, or from others'.

A sign is a figure to look at, never an accusation: docs/anomalies.md has the rule, why its thresholds are
what they are, and the honest causes. Pure; knows no price.

Shares are compared on the scale of log odds, on which a change from 5 % to 10 % is as large as one from 90 %
to 95 %, roughly. What is usual is a median, and how much it varies the median distance from it (MAD): both
stay what they are if a few months, or accounts, are odd themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal, NamedTuple, get_args

from metering.figures import RunFigures, SharedRuns
from metering.outcome import Outcome
from metering.usage import Counts

Kind = Literal[
    "cached_share", "reversed_share", "too_short_share", "just_under_a_second", "backdated", "shared_run_id"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

# Shares nearer to 0 or 1 than this are as good as 0 or 1: none of a thousand runs is as usual as ten.
_SOFT = 0.01
# Fewer runs than these say nothing; a window on them is a small part.
LEAST_RUNS = 500
LEAST_WINDOW = 100
# A sign is of at least so many runs beyond what is usual, and of at least this part of all.
LEAST_EXCESS = 100
LEAST_PART = 0.05
# So many months, or accounts, are needed to say what is usual.
LEAST_MONTHS = 3
LEAST_ACCOUNTS = 10
# How many months back an account's own past is.
PAST_MONTHS = 6
# How far is far, in spreads; and the least spread: few months may agree by chance, and the honest change.
FAR = 4.0
OWN_SPREAD = 0.35
OTHERS_SPREAD = 0.5
# Ids that two accounts have by mistake: a file that was handed in twice under another name.
LEAST_SHARED = 20
# The MAD of a normal distribution, times this, is its standard deviation.
_MAD_SCALE = 1.4826


class Portion(NamedTuple):
    """`part` of `whole` runs, of an account that has `of` runs which the part is weighed against. Runs that
    are in the part against what is usual would be in the rest of the whole, or, if it is a `window` on all
    runs, most of them outside it."""

    part: int
    whole: int
    of: int
    window: bool = False

    @property
    def share(self) -> float:
        return self.part / self.whole if self.whole else 0.0

    @property
    def says_something(self) -> bool:
        return self.whole >= (LEAST_WINDOW if self.window else LEAST_RUNS) and self.of >= LEAST_RUNS

    @property
    def may_be_a_sign(self) -> bool:
        """Whether there are enough runs, whatever is usual."""
        return self.says_something and self.part >= self._least

    @property
    def _least(self) -> float:
        return max(LEAST_EXCESS, LEAST_PART * self.of)

    def beyond(self, usual: float) -> int:
        """How many runs of the part there would not be at a usual share; 0 if these are too few for a
        sign."""
        rest = self.whole - self.part
        expected = rest * usual / max(1 - usual, _SOFT) if self.window else self.whole * usual
        excess = round(self.part - expected)
        return excess if excess >= self._least else 0


class Norm(NamedTuple):
    """What is usual: the median share of `of` months or accounts, their `spread` (log odds), and the share of
    this account from which on it would be far."""

    median: float
    spread: float
    limit: float
    of: int


@dataclass(frozen=True, slots=True)
class Sign:
    """`part` of `whole` runs; `excess` of the part are beyond what is usual. `own` and `others` are None
    where there is too little to say what is usual; `far_from` names which of them the share is far from, or
    `chance` where neither is known and there would be as many on either side of a second.
    Of back-dated runs, `after_month` were told after the month's end; of the billable runs, `younger` have an
    id made after they ended. `accounts` are the others that have the same ids."""

    account: str
    kind: Kind
    part: int
    whole: int
    excess: int
    own: Norm | None = None
    others: Norm | None = None
    far_from: tuple[str, ...] = ()
    after_month: int = 0
    younger: int = 0
    accounts: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        return self.part / self.whole if self.whole else 0.0

    def with_lateness(self, after_month: int, younger: int) -> Sign:
        return replace(self, after_month=after_month, younger=younger)


_OF_OUTCOME: Mapping[Kind, Outcome] = {
    "cached_share": Outcome.CACHED,
    "reversed_share": Outcome.REVERSED,
    "too_short_share": Outcome.TOO_SHORT,
}
OUTCOME_KINDS: tuple[Kind, ...] = tuple(_OF_OUTCOME)
# Runs that came to a good end, at first: what fails is never billed, and a bad month is no sign.
_WELL = (Outcome.CACHED, Outcome.TOO_SHORT, Outcome.BILLABLE, Outcome.REVERSED)


def well_ended(counts: Counts) -> int:
    """Runs that did not fail, crash, and were not cancelled."""
    return sum(counts.by_outcome.get(outcome, 0) for outcome in _WELL)


def outcome_portion(kind: Kind, counts: Counts) -> Portion:
    """The share of an outcome among the runs that ended well."""
    whole = well_ended(counts)
    return Portion(counts.by_outcome.get(_OF_OUTCOME[kind], 0), whole, whole)


def near_portion(figures: RunFigures, counts: Counts) -> Portion:
    """Of the completions of 0.9 to 1.1 seconds, those that took up to one. Durations that nobody
    shapes lie about as often on either side; the bands are `NEAR_A_SECOND`."""
    _, below, above, _ = figures.bands
    return Portion(below, below + above, well_ended(counts), window=True)


def late_portion(figures: RunFigures, counts: Counts) -> Portion:
    """The share of billable runs that were told late."""
    return Portion(figures.late, counts.billable, counts.billable)


def far_shares(
    kind: Kind,
    now: Mapping[str, Portion],
    past: Mapping[str, Sequence[Portion]],
) -> list[Sign]:
    """The accounts whose share `now` is far above their own `past` months', or above the others' of now;
    `now` has all accounts."""
    heard = {account: portion for account, portion in now.items() if portion.says_something}
    others = _usual((portion.share for portion in heard.values()), LEAST_ACCOUNTS, OTHERS_SPREAD)
    found = []
    for account, portion in sorted(heard.items()):
        if not portion.may_be_a_sign:
            continue
        months = (each.share for each in past.get(account, ()) if each.says_something)
        own = _usual(months, LEAST_MONTHS, OWN_SPREAD)
        norms = {name: _norm(portion, usual) for name, usual in (("own", own), ("others", others)) if usual}
        if portion.window and not norms:  # nobody has such runs to tell; then they lie evenly, if by chance
            norms = {"chance": _norm(portion, _EVEN)}
        far = tuple(name for name, norm in norms.items() if portion.share > norm.limit)
        if not far:
            continue
        excess = portion.beyond(min(norms[name].median for name in far))
        if excess:
            both = norms.get("own"), norms.get("others")
            found.append(Sign(account, kind, portion.part, portion.whole, excess, *both, far))
    return found


def shared_ids(shared: Iterable[SharedRuns], now: Mapping[str, Counts]) -> list[Sign]:
    """A sign for each account that has many ids which another has, too."""
    together: dict[str, list[SharedRuns]] = {}
    for each in shared:
        for account in each.accounts:
            together.setdefault(account, []).append(each)
    found = []
    for account, several in sorted(together.items()):
        runs, billable = sum(each.runs for each in several), sum(each.billable for each in several)
        if runs >= LEAST_SHARED:
            names = sorted({name for each in several for name in each.accounts} - {account})
            total = now[account].total if account in now else runs
            found.append(
                Sign(account, "shared_run_id", runs, max(total, runs), billable, accounts=tuple(names))
            )
    return found


class _Usual(NamedTuple):
    centre: float
    spread: float
    of: int


# Durations that nobody shapes lie as often on either side of a second; flows of one length are the exception.
_EVEN = _Usual(0.0, OTHERS_SPREAD, 0)


def _usual(shares: Iterable[float], least: int, least_spread: float) -> _Usual | None:
    places = [_log_odds(share) for share in shares]
    if len(places) < least:
        return None
    centre = median(places)
    mad = median(abs(place - centre) for place in places)
    return _Usual(centre, max(_MAD_SCALE * mad, least_spread), len(places))


def _norm(portion: Portion, usual: _Usual) -> Norm:
    """Beside what varies between months or accounts there is chance: that of so many runs."""
    share = portion.share
    slope = 1 / (share + _SOFT) + 1 / (1 - share + _SOFT)
    chance = slope * math.sqrt(max(share * (1 - share), 1 / portion.whole) / portion.whole)
    limit = usual.centre + FAR * math.hypot(usual.spread, chance)
    return Norm(_share(usual.centre), usual.spread, _share(limit), usual.of)


def _log_odds(share: float) -> float:
    return math.log((share + _SOFT) / (1 - share + _SOFT))


def _share(log_odds: float) -> float:
    """The share at log odds; beyond all shares, 0 or 1."""
    odds = math.exp(log_odds)
    return min(1.0, max(0.0, (odds * (1 + _SOFT) - _SOFT) / (1 + odds)))
