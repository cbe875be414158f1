"""What of a contract is due and not yet invoiced: the lines of an invoice of kind `contract` (docs/rules.md
§4, Instalments).

What live contract invoices hold is told by reference: `grant/g1` for the grant of that id, `service/1` for
the first service. An amount invoiced for a grant covers its instalments from the first on, whatever dates
they had when it was invoiced. So an amendment that moves the dates invoices nothing twice and loses nothing:
what is due is always the instalments so far less what was invoiced. Nothing is refunded here; where more was
invoiced than has fallen due, nothing is due until the dates have caught up.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from billing.pricing.contract import Contract
from billing.pricing.instalments import instalments
from billing.pricing.line import Line, LineKind, flat_line
from billing.pricing.money import require_whole


class Status(enum.StrEnum):
    """Whether an amount is wholly on live invoices, has fallen due and is not, or will fall due."""

    INVOICED = "invoiced"
    DUE = "due"
    UPCOMING = "upcoming"


@dataclass(frozen=True, slots=True)
class InstalmentStatus:
    """An instalment of a grant. `amount` and `invoiced`, the part of it that live invoices hold, are in minor
    units."""

    due_on: date
    grant: str
    amount: int
    status: Status
    invoiced: int


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The service of a number, counted from 1. `status` is None where the price is 0: there is nothing to
    invoice."""

    number: int
    due_on: date
    description: str
    amount: int
    status: Status | None
    invoiced: int


def due_lines(contract: Contract, invoiced: Mapping[str, int], as_of: date) -> tuple[Line, ...]:
    """A line for each instalment, then for each service, that is due on or before `as_of` and not wholly
    invoiced, by date. `invoiced` holds what live contract invoices have, by reference, in minor units; the
    lines carry the references under which they are to be counted. What costs nothing makes no line.

    References that the contract does not have (an amendment took a grant away) change nothing. Raises
    TypeError, AmountError or ValueError for an amount that no invoice can hold.
    """
    claims = sorted(
        _claims(contract, invoiced), key=lambda claim: (claim.kind is LineKind.SERVICE, claim.due_on)
    )
    return tuple(
        flat_line(claim.kind, claim.description, claim.missing, contract.currency, reference=claim.reference)
        for claim in claims
        if claim.missing and claim.due_on <= as_of
    )


def instalment_status(
    contract: Contract, invoiced: Mapping[str, int], as_of: date
) -> tuple[InstalmentStatus, ...]:
    """Every instalment above 0, by date, with what `invoiced` covers of it. Raises as `due_lines` does."""
    return tuple(
        InstalmentStatus(claim.due_on, claim.of, claim.amount, claim.status(as_of), claim.invoiced)
        for claim in _claims(contract, invoiced)
        if claim.kind is LineKind.INSTALMENT and claim.amount
    )


def service_status(contract: Contract, invoiced: Mapping[str, int], as_of: date) -> tuple[ServiceStatus, ...]:
    """Every service in the order of the contract, those of price 0 too. Raises as `due_lines` does."""
    claims = (claim for claim in _claims(contract, invoiced) if claim.kind is LineKind.SERVICE)
    return tuple(
        ServiceStatus(
            number,
            claim.due_on,
            claim.of,
            claim.amount,
            claim.status(as_of) if claim.amount else None,
            claim.invoiced,
        )
        for number, claim in enumerate(claims, start=1)
    )


@dataclass(frozen=True, slots=True)
class _Claim:
    """An amount that falls due on a day; `of` is the grant's id or the service's description, `text` what the
    line says, and `invoiced` the part that is covered."""

    kind: LineKind
    reference: str
    of: str
    text: str
    due_on: date
    amount: int
    invoiced: int

    @property
    def missing(self) -> int:
        return self.amount - self.invoiced

    @property
    def description(self) -> str:
        if not self.invoiced:
            return self.text
        # Only an amendment covers a part: the customer should see why the amount is another.
        text = self.text if self.kind is LineKind.SERVICE else self.text[0].lower() + self.text[1:]
        return f"Rest of {text}"

    def status(self, as_of: date) -> Status:
        if not self.missing:
            return Status.INVOICED
        return Status.DUE if self.due_on <= as_of else Status.UPCOMING


def _claims(contract: Contract, invoiced: Mapping[str, int]) -> Iterator[_Claim]:
    """The instalments by date, then the services in their order, each with what was invoiced of it."""
    left = Counter({each: _require_invoiced(invoiced[each], contract.currency) for each in invoiced})

    def claim(kind: LineKind, reference: str, of: str, text: str, due_on: date, amount: int) -> _Claim:
        covered = min(left[reference], amount)
        left[reference] -= covered
        return _Claim(kind, reference, of, text, due_on, amount, covered)

    runs = {grant.id: _runs(grant.runs) for grant in contract.grants}
    parts = instalments(contract)
    of = Counter(part.grant for part in parts)
    place: Counter[str] = Counter()
    for part in parts:
        place[part.grant] += 1
        text = (
            f"Instalment {place[part.grant]} of {of[part.grant]}, due {part.due_on}: "
            f"{runs[part.grant]} (grant {part.grant})"
        )
        yield claim(LineKind.INSTALMENT, f"grant/{part.grant}", part.grant, text, part.due_on, part.amount)
    for number, service in enumerate(contract.services, start=1):
        text = f"{service.description}, due {service.due_on}"
        yield claim(
            LineKind.SERVICE, f"service/{number}", service.description, text, service.due_on, service.price
        )


def _runs(quantity: int) -> str:
    return "1 task run" if quantity == 1 else f"{quantity:,} task runs"


def _require_invoiced(amount: int, code: str) -> int:
    if require_whole(amount, code) < 0:
        raise ValueError(f"what live invoices hold is never negative: {amount}")
    return amount
