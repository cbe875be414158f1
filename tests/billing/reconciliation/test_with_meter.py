"""The meter against the source and against the invoices: every cause, and agreement."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from billing.pricing.adjustment import Priced
from billing.reconciliation.difference import Difference
from billing.reconciliation.with_meter import (
    Invoiced,
    Uninvoiced,
    not_adjusted,
    not_invoiced,
    unassigned,
)
from billing.reconciliation.with_source import compare_with_source
from metering.agreement import Disagreement, Ended
from metering.outcome import Outcome
from tests.billing.reconciliation.values import OCTOBER


@pytest.mark.parametrize(
    ("left", "seen", "expected"),
    [
        (Priced(), Priced(), None),
        (Priced(300, 3), Priced(), ("late events not yet adjusted", 3, 300)),
        (Priced(-200, -2), Priced(), ("late events not yet adjusted", -2, -200)),
        (Priced(0, 5), Priced(), ("late events not yet adjusted", 5, 0)),
        (Priced(0, 5), Priced(0, 5), None),  # looked at, and it costs nothing
        (Priced(0, 6), Priced(0, 5), ("late events not yet adjusted", 6, 0)),
        (Priced(300, 3), Priced(300, 3), ("late events not yet adjusted", 3, 300)),
        (Priced(-300, 0), Priced(), ("terms or credit not yet adjusted", 0, -300)),
    ],
)
def test_what_is_still_to_be_adjusted(
    left: Priced, seen: Priced, expected: tuple[str, int, int] | None
) -> None:
    found = not_adjusted(Invoiced("acme", "USD", "2026-10-000001", left, seen), OCTOBER)
    assert (None if found is None else (found.cause, found.quantity, found.amount)) == expected


@pytest.mark.parametrize(
    ("given", "amount", "says"),
    [
        (
            Uninvoiced("acme", "USD", 5, 500),
            500,
            "and no invoice; bill it: billing run 2026-10 --account acme",
        ),
        (Uninvoiced("acme", "USD", 5, None, "no plan"), None, "no invoice (no plan); bill it"),
        (
            Uninvoiced("acme", "USD", 5, 500, void="2026-10-000001"),
            500,
            "no invoice since 2026-10-000001 was voided; bill",
        ),
        (Uninvoiced("acme", "USD", 5, 500, draft=True), 500, "billing invoices approve --month 2026-10"),
        (
            Uninvoiced("acme", "USD", 5, None, closed_on=date(2026, 9, 1)),
            None,
            "was closed on 2026-09-01; stop what sends them, or reopen",
        ),
    ],
)
def test_what_was_not_invoiced(given: Uninvoiced, amount: int | None, says: str) -> None:
    found = not_invoiced(given, OCTOBER)
    assert (found.between, found.cause, found.quantity, found.amount) == (
        "meter-invoice", "not invoiced", 5, amount
    )  # fmt: skip
    assert says in found.message


def test_an_account_that_billing_does_not_know() -> None:
    found = unassigned("stranger", 7, OCTOBER)
    assert (found.account, found.cause, found.quantity) == ("stranger", "unassigned account", 7)
    assert "billing accounts add stranger --billing-from 2026-10" in found.message


def _differences(source: dict[str, Outcome], meter: dict[str, Outcome]) -> list[Difference]:
    found = Disagreement()
    found.add(
        {name: Ended(name, outcome, 0) for name, outcome in source.items()},
        {name: Ended(name, outcome, 0) for name, outcome in meter.items()},
    )
    return compare_with_source("acme", OCTOBER, found)


def test_a_source_and_a_meter_that_agree() -> None:
    runs = {"a": Outcome.BILLABLE, "b": Outcome.FAILED}
    assert _differences(runs, runs) == []


def test_each_way_in_which_runs_differ_is_named_with_its_first_runs() -> None:
    lost = {f"lost-{number}": Outcome.BILLABLE for number in range(5)}
    found = _differences(
        {**lost, "changed": Outcome.FAILED, "other": Outcome.BILLABLE},
        {"changed": Outcome.BILLABLE, "other": Outcome.REVERSED, "ghost": Outcome.CACHED},
    )
    assert Counter(each.cause for each in found) == {"meter differs from the source": 4}
    assert [each.quantity for each in found] == [-5, 1, 1, -1]
    texts = [each.message for each in found]
    assert texts[0].startswith(
        "the source has 5 task runs (billable) of 2026-10 that the meter does not hold: "
        "lost-0, lost-1, lost-2, …; hand in their events: "
    )
    assert "the meter holds 1 task run (cached) of 2026-10 that the source does not have: ghost;" in texts[1]
    assert "1 task run is failed at the source and billable in the meter: changed;" in texts[2]
    assert "1 task run is billable at the source and reversed in the meter: other;" in texts[3]
