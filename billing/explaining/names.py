"""Which workspaces and flows a month's billable runs are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

# How many of each are named; the others are one figure.
MOST = 10

Place = tuple[str, str]
"""Workspace and flow; empty where a run names none."""


@dataclass(frozen=True, slots=True)
class Named:
    """Billable runs of one workspace, or of one flow in a workspace (None: of the workspace as a whole)."""

    workspace: str
    flow: str | None
    billable: int


@dataclass(frozen=True, slots=True)
class Top:
    """The largest first. `billable` are all billable runs, also those of what is not named here. `as_of_now`:
    they are as they are now, and not as of the document's cutoff."""

    billable: int
    workspaces: tuple[Named, ...]
    flows: tuple[Named, ...]
    workspaces_held: int
    flows_held: int
    as_of_now: bool

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers. `share` is in percent of all billable runs, with one place."""
        return {
            "as_of": "now" if self.as_of_now else "cutoff",
            "billable": self.billable,
            "workspaces": [
                {"workspace": each.workspace, "billable": each.billable, "share": self.share(each)}
                for each in self.workspaces
            ],
            "flows": [
                {
                    "workspace": each.workspace,
                    "flow": each.flow,
                    "billable": each.billable,
                    "share": self.share(each),
                }
                for each in self.flows
            ],
            "other_workspaces": self._others(self.workspaces, self.workspaces_held),
            "other_flows": self._others(self.flows, self.flows_held),
        }

    def share(self, each: Named) -> str:
        """`12.5`"""
        tenths = (each.billable * 2000 + self.billable) // (2 * self.billable) if self.billable else 0
        return f"{tenths // 10}.{tenths % 10}"

    def _others(self, named: tuple[Named, ...], held: int) -> dict[str, int]:
        return {
            "quantity": held - len(named),
            "billable": self.billable - sum(each.billable for each in named),
        }


def top(counted: Mapping[Place, int], *, as_of_now: bool = False) -> Top:
    """The largest of billable runs that were counted by workspace and flow."""
    by_workspace: Counter[str] = Counter()
    for (workspace, _), billable in counted.items():
        by_workspace[workspace] += billable
    workspaces = sorted(
        (Named(name, None, billable) for name, billable in by_workspace.items() if billable),
        key=lambda each: (-each.billable, each.workspace),
    )
    flows = sorted(
        (Named(*place, billable) for place, billable in counted.items() if billable),
        key=lambda each: (-each.billable, each.workspace, each.flow or ""),
    )
    return Top(
        sum(counted.values()),
        tuple(workspaces[:MOST]),
        tuple(flows[:MOST]),
        len(workspaces),
        len(flows),
        as_of_now,
    )
