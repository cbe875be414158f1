"""Backtests, the same for every door."""

from __future__ import annotations

import re
from collections.abc import Sequence

import sqlalchemy as sa

from billing.backtest.gathering import gather, months_between
from billing.backtest.history import Draft, refuse_overlap
from billing.backtest.report import Report
from billing.backtest.rerating import Rerated, rerate
from billing.backtest.solving import PRICE_PLACES, Solved, solve_free_runs, solve_price
from billing.backtest.thresholds import other_rule, read_threshold
from billing.errors import Invalid
from billing.pricing.catalogue import Catalogue, PlanVersion
from billing.pricing.errors import PricingError
from billing.pricing.plan_file import parse_plan_file
from billing.repository import plans
from metering.database import reading
from metering.period import Month
from metering.store import EventStore

MOST_MONTHS = 60
FREE_RUNS = "free-runs"
_PRICE = re.compile(r"price:([1-9][0-9]{0,2})", re.ASCII)


def backtest(
    engine: sa.Engine,
    store: EventStore,
    files: Sequence[tuple[str, str]],
    first: Month,
    last: Month,
    *,
    now: int,
    instead_of: str | None = None,
    solve: Sequence[str] = (),
    places: int = PRICE_PLACES,
    unbilled: bool = False,
    threshold: str | None = None,
) -> Report:
    """What the runs of some months cost now, and under draft plans that are not loaded: texts of plan files,
    each with the name whose suffix says how to read it. A draft takes the place of all versions of its plan,
    or of `instead_of`. `solve`: `free-runs`, or `price:2` (of the draft's second bracket, to `places`), to be
    found so that revenue is kept. `threshold`: then, only what takes longer than so many seconds is billed;
    all runs of the months are read for it. Nothing is changed, nor loaded. Raises Invalid."""
    check_months(first, last, now)
    versions = [version for text, name in files for version in _read(text, name)]
    with reading(engine) as connection:
        catalogue = plans.catalogue(connection)
    drafts = draft_plans(catalogue, versions, instead_of)
    asked = [_solving(each, versions) for each in solve]
    months = months_between(first, last)
    rule = None if threshold is None else other_rule(store, months, read_threshold(threshold))
    history = gather(engine, store, months, unbilled=unbilled, threshold=rule)
    rerated = rerate(history, drafts)
    solved = [each for bracket in asked for each in _solved(rerated, bracket, places)]
    return Report.of(rerated, solved, partial=last == Month.of(now))


def check_months(first: Month, last: Month, now: int) -> None:
    """Raises Invalid for months that cannot be looked back on."""
    if last < first:
        raise Invalid(f"{first}:{last} ends before it begins; write the earlier month first", field="months")
    if Month.of(now) < last:
        raise Invalid(f"{last} has not begun; name months that are over, or the current one", field="months")
    if len(months_between(first, last)) > MOST_MONTHS:
        raise Invalid(f"{first}:{last} is more than {MOST_MONTHS} months; name fewer", field="months")


def draft_plans(
    catalogue: Catalogue, versions: Sequence[PlanVersion], instead_of: str | None
) -> tuple[Draft, ...]:
    """Each version and whose place it takes. Raises Invalid."""
    if instead_of is not None and len(versions) != 1:
        raise Invalid(
            f"of one draft it can be said whose place it takes, and these are {len(versions)}",
            field="instead_of",
        )
    drafts = tuple(Draft(each, instead_of or each.plan) for each in versions)
    if (overlap := refuse_overlap(drafts)) is not None:
        raise Invalid(overlap, field="plan")
    for each in versions:
        if each.id in catalogue and catalogue.get(each.id) != each:
            raise Invalid(
                f"{each.id} is loaded already, with other content; give the draft another version",
                field="version",
            )
    for draft in drafts:
        if not any(draft.instead_of in (held.plan, held.id) for held in catalogue):
            raise Invalid(
                f"nobody can be on plan {draft.instead_of!r}, which is not loaded; name the plan whose "
                "accounts to compare",
                field="instead_of",
            )
    return drafts


def _read(text: str, name: str) -> tuple[PlanVersion, ...]:
    try:
        return parse_plan_file(text, name)
    except PricingError as error:
        raise Invalid(str(error), field="plan") from None


def _solving(text: str, versions: Sequence[PlanVersion]) -> int | None:
    """The bracket whose price is to be found; None: the free runs."""
    if text == FREE_RUNS:
        return None
    match = _PRICE.fullmatch(text)
    if match is None:
        raise Invalid(
            f"{text[:40]!r} cannot be solved for; write {FREE_RUNS}, or price:2 for the second bracket",
            field="solve",
        )
    bracket = int(match[1])
    for version in versions:
        if bracket > len(version.brackets):
            raise Invalid(
                f"plan {version.id} has no bracket {bracket}; it has {len(version.brackets)}", field="solve"
            )
    return bracket


def _solved(rerated: Rerated, bracket: int | None, places: int) -> list[Solved]:
    drafts = range(len(rerated.drafts))
    try:
        if bracket is None:
            return [solve_free_runs(rerated, place) for place in drafts]
        return [solve_price(rerated, place, bracket, places) for place in drafts]
    except PricingError as error:
        raise Invalid(str(error), field="solve") from None
