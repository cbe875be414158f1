"""However often, late or out of order a contract is invoiced, and whatever its end is amended to in between:
in the end its invoices hold the prices of its grants and services, and never a coin more on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing.pricing.contract import Contract, Grant, Instalments, Service
from billing.pricing.contract_invoice import Status, due_lines, instalment_status, service_status

START = date(2024, 1, 1)
LAST = date(2030, 1, 1)

as_of_days = st.integers(-40, 1_200).map(lambda number: START + timedelta(days=number))
ends = st.integers(1, 30).map(lambda months: date(2024 + months // 12, months % 12 + 1, 1))
prices = st.integers(0, 40) | st.integers(0, 10**8)


@st.composite
def contracts(draw_: st.DrawFn) -> Contract:
    end = draw_(ends)
    code, step = draw_(st.sampled_from([("USD", 1), ("ISK", 100)]))
    grants = tuple(
        Grant(
            f"g{number}",
            draw_(st.integers(1, 9)),
            draw_(prices) * step,
            START + timedelta(draw_(st.integers(0, (end - START).days - 1))),
            end,
        )
        for number in range(draw_(st.integers(0, 3)))
    )
    services = tuple(
        Service("Support", draw_(prices) * step, draw_(as_of_days)) for _ in range(draw_(st.integers(0, 2)))
    )
    return Contract(
        "c", "acme", START, end, "standard", code, draw_(st.sampled_from(Instalments)), grants, services
    )


def ending(contract: Contract, end: date) -> Contract:
    """The contract amended to another end; a grant that would lie beyond it keeps its last day."""
    return replace(
        contract,
        end=end,
        grants=tuple(
            replace(grant, granted_on=min(grant.granted_on, end - timedelta(days=1)), expires_on=end)
            for grant in contract.grants
        ),
    )


def owed(contract: Contract) -> Counter[str]:
    """The prices by reference, without those of nothing."""
    found = Counter({f"grant/{grant.id}": grant.price for grant in contract.grants})
    found.update({f"service/{number}": each.price for number, each in enumerate(contract.services, 1)})
    return +found


@given(contracts(), st.lists(st.tuples(as_of_days, st.none() | ends), max_size=8))
def test_what_is_invoiced_comes_to_the_prices(
    contract: Contract, history: list[tuple[date, date | None]]
) -> None:
    invoiced: Counter[str] = Counter()
    prices = owed(contract)
    for as_of, end in [*history, (LAST, None)]:
        if end is not None:
            contract = ending(contract, end)
        for line in due_lines(contract, invoiced, as_of):
            assert line.amount > 0
            assert line.reference is not None
            invoiced[line.reference] += line.amount
            assert invoiced[line.reference] <= prices[line.reference]
        assert due_lines(contract, invoiced, as_of) == ()
    assert invoiced == prices


@given(
    contracts(), as_of_days, st.dictionaries(st.sampled_from(["grant/g0", "grant/g1", "service/1"]), prices)
)
def test_status_and_lines_say_the_same(contract: Contract, as_of: date, coins: dict[str, int]) -> None:
    step = 100 if contract.currency == "ISK" else 1
    invoiced = {reference: amount * step for reference, amount in coins.items()}
    due: Counter[str] = Counter()
    for each in instalment_status(contract, invoiced, as_of):
        assert 0 <= each.invoiced <= each.amount
        assert (each.status is Status.INVOICED) == (each.invoiced == each.amount)
        if each.status is Status.DUE:
            due[f"grant/{each.grant}"] += each.amount - each.invoiced
    for service in service_status(contract, invoiced, as_of):
        if service.status is Status.DUE:
            due[f"service/{service.number}"] += service.amount - service.invoiced
    lines: Counter[str] = Counter()
    for line in due_lines(contract, invoiced, as_of):
        lines[line.reference or ""] += line.amount
    assert lines == due
