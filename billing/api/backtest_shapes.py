"""The answers of /v1/backtests and /v1/what-if. Amounts are in minor units: `current` and `draft` are usage
lines, `current_net` and `draft_net` what is left after programs and price protection."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Amounts(BaseModel):
    current: int
    draft: int
    current_net: int
    draft_net: int


class MonthAnswer(Amounts):
    month: str
    currency: str
    accounts: int
    billable: int


class PlanMonthAnswer(MonthAnswer):
    """Accounts of a month that are on `plan` now and on `plan_then` under the drafts."""

    plan: str
    plan_then: str


class AccountAnswer(Amounts):
    """All months together. `hold_every_month`: the monthly charge of a price protection with which no month
    costs more than now, null where none does; `hold_in_all`: the highest with which all together do not."""

    account: str
    currency: str
    moves: bool
    billable: int
    change: int
    hold_every_month: int | None
    hold_every_month_costs: int | None
    hold_in_all: int | None
    hold_in_all_costs: int | None


class TotalAnswer(Amounts):
    """`gained` from those who pay more, `lost` from those who pay less; `hold_in_all_costs` is what it would
    cost to hold all harmless."""

    currency: str
    accounts: int
    moves: int
    pay_more: int
    pay_less: int
    begin_to_pay: int
    stop_paying: int
    billable: int
    change: int
    gained: int
    lost: int
    hold_in_all_costs: int


class BandAnswer(BaseModel):
    """Accounts by their change in percent; null: without bound."""

    currency: str
    above_percent: int | None
    up_to_percent: int | None
    from_nothing: bool
    accounts: int
    current_net: int
    draft_net: int


class RiskAnswer(BaseModel):
    """Accounts that pay more by more than so many percent."""

    currency: str
    above_percent: int
    accounts: int
    current_net: int
    draft_net: int


class CrossingAnswer(BaseModel):
    """Months by the bracket that their last run is in, now and then."""

    currency: str
    plan: str
    plan_then: str
    bracket: int
    bracket_then: int
    unit_price: str
    unit_price_then: str
    months: int
    current_net: int
    draft_net: int


class SolvedAnswer(BaseModel):
    """`value` brings `brings`, at least `target`; `next_value`, a unit on, brings `next_brings`, which is
    less. `plan` is the draft with it. Null, and a `message`, where nothing does."""

    what: str
    draft: str
    currency: str
    target: int
    value: int | str | None
    brings: int | None
    next_value: int | str | None
    next_brings: int | None
    plan: dict[str, Any] | None
    message: str


class DraftAnswer(BaseModel):
    plan: str
    instead_of: str


class LeftOutAnswer(BaseModel):
    accounts: int
    billable: int


class BacktestAnswer(BaseModel):
    from_: str = Field(alias="from")
    to: str
    partial: bool = Field(description="The last month is not over.")
    basis: str = Field(description="What now is, and then.")
    drafts: list[DraftAnswer]
    totals: list[TotalAnswer]
    months: list[MonthAnswer]
    plans: list[PlanMonthAnswer]
    distribution: list[BandAnswer]
    at_risk: list[RiskAnswer]
    crossings: list[CrossingAnswer]
    solved: list[SolvedAnswer]
    accounts: list[AccountAnswer]
    accounts_left_off: int
    stay: dict[str, int] = Field(description="Months of accounts that do not move, by why.")
    left_out: dict[str, LeftOutAnswer]


class DurationBandAnswer(BaseModel):
    """Runs that took longer than `above` and at most `up_to` seconds; null: without bound."""

    above: str
    up_to: str | None
    completed: int
    cached: int
    billable_now: bool


class ThresholdMonthAnswer(BaseModel):
    month: str
    billable_now: int
    billable: dict[str, int] = Field(description="By threshold.")


class ThresholdAnswer(BaseModel):
    """`just_below` and `just_above`: completions within 5 % of the threshold."""

    threshold: str
    billable: int
    just_below: int
    just_above: int
    totals: list[TotalAnswer]
    months: list[MonthAnswer]
    distribution: list[BandAnswer]
    accounts: list[AccountAnswer]
    accounts_left_off: int
    left_out: dict[str, LeftOutAnswer]


class WhatIfAnswer(BaseModel):
    from_: str = Field(alias="from")
    to: str
    partial: bool
    threshold_now: str
    billable_now: int
    histogram: list[DurationBandAnswer]
    months: list[ThresholdMonthAnswer]
    thresholds: list[ThresholdAnswer]
