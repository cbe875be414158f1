"""Writes a story down in the language of `tests/scenarios`."""

from __future__ import annotations

from datetime import date
from typing import Any

import yaml

from tests.simulator.naive.books import Account, Invoice
from tests.simulator.naive.money import text

_NO_RUNS = {"program_discount", "price_protection", "credit", "carried", "instalment", "service"}


class Writer:
    """`data` is the story as a file of it would be read."""

    def __init__(self, title: str, why: str) -> None:
        self._steps: list[dict[str, Any]] = []
        self.data: dict[str, Any] = {"story": title, "why": why, "timeline": self._steps}

    def step(self, on: date, says: dict[str, Any], refused: str | None = None) -> None:
        self._steps.append({"on": on.isoformat(), **says} | ({} if refused is None else {"refused": refused}))


def story_text(data: dict[str, Any]) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Tables as blocks; everything else as plain as it may be: stories are read as text."""


def _str(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _str)


def described(account: Account, invoice: Invoice) -> dict[str, str]:
    """What a story says of a usage invoice."""
    assert invoice.own is not None
    not_billed = {what: n for what, n in invoice.counts.items() if n and what != "billable"}
    says = {
        "number": "any",
        "status": invoice.status,
        "lines": lines_of(account, invoice),
        "total": text(invoice.total, account.currency),
        "billable": f"{invoice.counts['billable']:,}",
        "plan": invoice.own.plan,
    }
    if not_billed:
        says["not billed"] = ", ".join(f"{n:,} {what}" for what, n in not_billed.items())
    if invoice.own.drawn is not None:
        says["drawn"] = f"{invoice.own.drawn:,}"
    if invoice.replaces:
        says["replaces"] = "one that is void"
    return says


def lines_of(account: Account, invoice: Invoice) -> str:
    rows = [
        [
            line.kind,
            "-" if line.kind in _NO_RUNS else f"{line.runs:,}",
            text(line.amount, account.currency),
            line.says,
        ]
        for line in invoice.lines
    ]
    widths = [max([len(row[column]) for row in rows], default=0) for column in range(4)]
    return "".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )
