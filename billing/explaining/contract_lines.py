"""Lines of an invoice for a contract: instalments of grants, and services (docs/rules.md §4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

from billing.explaining.steps import NUMBER, Operation, Step, Value, money, step
from billing.pricing.contract import Contract
from billing.pricing.instalments import instalments
from billing.pricing.line import Line, LineKind
from billing.reporting.contract_text import long_day

Explained = tuple[str, tuple[Step, ...]]
_ODD_CENTS = " Where the price does not divide evenly, the earlier ones take the odd cents."


def explain_contract_lines(
    contract: Contract, invoiced: Mapping[str, int], lines: tuple[Line, ...]
) -> list[Explained]:
    """The lines of one invoice, in their order. `invoiced` is what live invoices before it hold of each grant
    and service, by reference, in minor units. What was invoiced of a grant covers its instalments from the
    first on."""
    left = Counter(dict(invoiced))
    places: Counter[str] = Counter()
    found = []
    for line in lines:
        reference = line.reference or ""
        if line.kind is LineKind.INSTALMENT:
            found.append(_instalment(contract, reference, left, places))
        else:
            found.append(_service(contract, reference, left))
    return found


def _instalment(contract: Contract, reference: str, left: Counter[str], places: Counter[str]) -> Explained:
    """The first instalment of the grant from `places` on that is not wholly covered."""
    grant_id = reference.removeprefix("grant/")
    grant = next((each for each in contract.grants if each.id == grant_id), None)
    if grant is None:
        return "The grant that this is for is no longer in the contract.", ()
    parts = [each for each in instalments(contract) if each.grant == grant_id]
    code = contract.currency
    for number, part in list(enumerate(parts, start=1))[places[reference] :]:
        places[reference] = number
        covered = min(left[reference], part.amount)
        left[reference] -= covered
        if covered < part.amount:
            break
    else:
        return "All instalments of this grant were invoiced before.", ()
    share = step(
        Operation.SHARE,
        money(grant.price, code, f"the price of {grant.runs:,} runs"),
        Value(Decimal(len(parts)), NUMBER),
        Value(Decimal(number), NUMBER),
    )
    dates = "once" if len(parts) == 1 else f"in {len(parts)} instalments"
    sentence = (
        f"Contract {contract.id} commits to {grant.runs:,} runs (grant {grant.id}), usable from "
        f"{long_day(grant.granted_on)} and before {long_day(grant.expires_on)}. They are paid for {dates}; "
        f"this one is due on {long_day(part.due_on)}."
        f"{_ODD_CENTS if len(parts) > 1 else ''}"
    )
    return sentence, (share, *_rest(share.result, covered, code))


def _service(contract: Contract, reference: str, left: Counter[str]) -> Explained:
    number = int(reference.removeprefix("service/"))
    if not 0 < number <= len(contract.services):
        return "The service that this is for is no longer in the contract.", ()
    service = contract.services[number - 1]
    price = step(Operation.ADD, money(service.price, contract.currency, "its price"))
    sentence = (
        f"A service of contract {contract.id}, due on {long_day(service.due_on)}: {service.description}."
    )
    return sentence, (price, *_rest(price.result, min(left[reference], service.price), contract.currency))


def _rest(due: Value, covered: int, code: str) -> list[Step]:
    if not covered:
        return []
    return [step(Operation.SUBTRACT, due, money(covered, code, "invoiced before"))]
