"""Usage: how many task runs count, and how many do not and why, in a period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from metering.outcome import NOT_BILLED, Outcome
from metering.period import format_instant

WindowSize = Literal["hour", "day", "month"]
GroupBy = Literal["workspace", "flow", "both"]
"""`both`: by workspace and flow together."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Task runs by outcome. `by_outcome[outcome]` is a quantity; absent means none."""

    by_outcome: Mapping[Outcome, int] = field(default_factory=dict)

    @property
    def billable(self) -> int:
        return self.by_outcome.get(Outcome.BILLABLE, 0)

    @property
    def not_billed(self) -> dict[str, int]:
        """Every reason, zero included, in the order of the answers."""
        return {outcome.reason: self.by_outcome.get(outcome, 0) for outcome in NOT_BILLED}

    @property
    def total(self) -> int:
        """All task runs, billed or not."""
        return sum(self.by_outcome.values())


@dataclass(frozen=True, slots=True)
class Window:
    """Counts of one window; `workspace` and `flow` are set when the question was grouped by them."""

    start: int
    counts: Counts
    workspace: str | None = None
    flow: str | None = None


def group_name(group_by: GroupBy | None, workspace: str, flow: str) -> str:
    """The group of a run, as one text. No name has a NUL in it, so groups are in the order of both names."""
    if group_by == "both":
        return f"{workspace}\0{flow}"
    return {"workspace": workspace, "flow": flow}[group_by] if group_by else ""


def group_window(start: int, name: str, group_by: GroupBy | None, counts: Counts) -> Window:
    """The window of a group that `group_name` named."""
    workspace, _, flow = name.partition("\0") if group_by == "both" else (name, "", name)
    return Window(
        start,
        counts,
        workspace=workspace if group_by in ("workspace", "both") else None,
        flow=flow if group_by in ("flow", "both") else None,
    )


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of an account in `[start, end)` (instants), with windows that hold any runs, in time order."""

    account: str
    start: int
    end: int
    counts: Counts
    windows: tuple[Window, ...] = ()


def usage_data(usage: Usage) -> dict[str, object]:
    """Usage in the shape of JSON answers; a window names its `workspace` and `flow` where grouped by them."""
    return {
        "account": usage.account,
        "period": {"start": format_instant(usage.start), "end": format_instant(usage.end)},
        "billable": usage.counts.billable,
        "not_billed": usage.counts.not_billed,
        "windows": [_window_data(window) for window in usage.windows],
    }


def _window_data(window: Window) -> dict[str, object]:
    data: dict[str, object] = {
        "start": format_instant(window.start),
        "billable": window.counts.billable,
        "not_billed": window.counts.not_billed,
    }
    if window.workspace is not None:
        data["workspace"] = window.workspace
    if window.flow is not None:
        data["flow"] = window.flow
    return data


class Run(NamedTuple):
    """A task run with the outcome that holds as of a cutoff. Instants and durations in microseconds."""

    task_run_id: str
    outcome: Outcome
    ended_at: int
    duration_us: int
    workspace: str
    flow: str
    source: str = ""
