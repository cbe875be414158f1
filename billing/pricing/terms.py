"""What was agreed with an account, and from when on (docs/rules.md §3, Months and plans; §4; §5).

Terms are never edited. They are a list of changes in the order in which they were recorded, and what holds
in a month is read by going through them: so what held when an invoice was made can always be read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from billing.pricing.contract import Contract, Grant, refuse_overlap
from billing.pricing.days import first_day
from billing.pricing.errors import ContractError, TermsError
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, ProgramName, best
from metering.period import Month


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The plan version that prices a monthly account from a month on, in place of all later enrolments."""

    from_month: Month
    plan: str
    version: str

    @property
    def plan_id(self) -> str:
        return f"{self.plan}@{self.version}"


@dataclass(frozen=True, slots=True)
class Protection:
    """Price protection from a month on, in place of any that is later; one that ended protects nothing."""

    from_month: Month
    price: PriceProtection


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """The account leaves a program on a day, earlier than was agreed; the day is the first one without it."""

    name: ProgramName
    ends_on: date


@dataclass(frozen=True, slots=True)
class MoreRuns:
    """A grant more in a contract."""

    contract: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class NewEnd:
    """A contract's term ends on another day. Grants that would outlive it end with it; `extend_grants`: those
    that ended with the old term end with the new one."""

    contract: str
    end: date
    extend_grants: bool = False


@dataclass(frozen=True, slots=True)
class NewPlan:
    """Another plan version prices a contract's on-demand usage from a month on."""

    contract: str
    from_month: Month
    plan: str


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A contract was recorded by mistake: it never held."""

    contract: str


Change = Enrolment | Protection | Program | ProgramEnd | Contract | MoreRuns | NewEnd | NewPlan | Withdrawal


@dataclass(frozen=True, slots=True)
class MonthTerms:
    """All terms that have a say in a month's price. Equal ones price any usage equally."""

    plan: str
    contract: str | None
    grants: tuple[Grant, ...]
    # When either ends later on is no matter of the month.
    percentage_off: Decimal | None
    protected_at: int | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds. `contracts` have their plan of the start; `repriced` says which have another, and from
    when on. Only `terms_of` makes these."""

    enrolments: tuple[Enrolment, ...] = ()
    protections: tuple[Protection, ...] = ()
    programs: tuple[Program, ...] = ()
    contracts: tuple[Contract, ...] = ()
    repriced: tuple[NewPlan, ...] = ()

    def plan(self, month: Month) -> str:
        """The plan version, like `starter@2021-02`, that prices a month: under contract the contract's; after
        its term its last one, until another is agreed; else that of the enrolment. A month before all
        enrolments has the first."""
        contract = self.contract(month)
        if contract is not None:
            return contract.plan
        agreed = [(each.from_month, each.plan_id) for each in self.enrolments]
        ended = [
            (Month(each.end.year, each.end.month), self._plan_of(each, month))
            for each in self.contracts
            if each.end <= first_day(month)
        ]
        held = [each for each in (*ended, *agreed) if each[0] <= month] or agreed[:1]
        assert held, "an account is enrolled when it is added"
        # Of an end and an enrolment of one month, the enrolment was agreed for it: `max` keeps the first of
        # equals, so look from the back.
        return max(reversed(held), key=lambda each: each[0])[1]

    def contract(self, month: Month) -> Contract | None:
        """The contract that covers a month, with the plan that prices its on-demand usage then."""
        for contract in self.contracts:
            if contract.covers(month):
                return replace(contract, plan=self._plan_of(contract, month))
        return None

    def protection(self, month: Month) -> PriceProtection | None:
        """The protection that covers a month."""
        held = [each for each in self.protections if each.from_month <= month]
        return held[-1].price if held and held[-1].price.covers(month) else None

    def plan_ids(self) -> frozenset[str]:
        """Every plan version that prices some month."""
        return frozenset(
            [each.plan_id for each in self.enrolments]
            + [each.plan for each in self.contracts]
            + [each.plan for each in self.repriced]
        )

    def find_contract(self, contract_id: str) -> Contract:
        """Raises ContractError if the account has no such contract."""
        for contract in self.contracts:
            if contract.id == contract_id:
                return contract
        raise ContractError(f"there is no contract {contract_id}")

    def in_month(self, month: Month) -> MonthTerms:
        """What has a say in a month's price."""
        contract = self.contract(month)
        end = first_day(month.next())
        # What is granted after the month serves none of its days. When a grant expires after it is all one.
        grants = [
            replace(grant, expires_on=min(grant.expires_on, end))
            for grant in (() if contract is None else contract.grants)
            if grant.granted_on < end
        ]
        program = best(self.programs, month)
        protection = self.protection(month)
        return MonthTerms(
            plan=self.plan(month),
            contract=None if contract is None else contract.id,
            grants=tuple(sorted(grants, key=lambda each: (each.expires_on, each.granted_on, each.id))),
            percentage_off=None if program is None else program.percentage,
            protected_at=None if protection is None else protection.charge,
        )

    def _plan_of(self, contract: Contract, month: Month) -> str:
        last = Month(contract.end.year, contract.end.month).previous()
        held = [
            each
            for each in self.repriced
            if each.contract == contract.id and each.from_month <= min(month, last)
        ]
        return held[-1].plan if held else contract.plan


def terms_of(changes: Iterable[Change]) -> Terms:
    """The terms after all changes, given in the order in which they were recorded. Raises ContractError or
    TermsError for one that cannot be made."""
    terms = Terms()
    for change in changes:
        terms = changed(terms, change)
    return terms


def changed(terms: Terms, change: Change) -> Terms:  # noqa: PLR0911 - a case a kind
    """The terms after one change more. Raises ContractError or TermsError if it cannot be made."""
    match change:
        case Enrolment():
            kept = [each for each in terms.enrolments if each.from_month < change.from_month]
            return replace(terms, enrolments=(*kept, change))
        case Protection():
            held = [each for each in terms.protections if each.from_month < change.from_month]
            return replace(terms, protections=(*held, change))
        case Program():
            return replace(terms, programs=(*terms.programs, change))
        case ProgramEnd():
            return replace(terms, programs=_left(terms.programs, change))
        case Contract():
            refuse_overlap((*terms.contracts, change))
            return replace(terms, contracts=(*terms.contracts, change))
        case Withdrawal():
            contract = terms.find_contract(change.contract)
            rest = tuple(each for each in terms.contracts if each is not contract)
            plans = tuple(each for each in terms.repriced if each.contract != change.contract)
            return replace(terms, contracts=rest, repriced=plans)
        case NewPlan():
            _check_inside(terms.find_contract(change.contract), change.from_month)
            earlier = [
                each
                for each in terms.repriced
                if each.contract != change.contract or each.from_month < change.from_month
            ]
            return replace(terms, repriced=(*earlier, change))
        case MoreRuns():
            contract = terms.find_contract(change.contract)
            return _with(terms, contract, contract.with_grant(change.grant))
        case NewEnd():
            contract = terms.find_contract(change.contract)
            return _with(terms, contract, contract.with_end(change.end, extend_grants=change.extend_grants))


def _with(terms: Terms, old: Contract, new: Contract) -> Terms:
    contracts = tuple(new if each is old else each for each in terms.contracts)
    refuse_overlap(contracts)
    return replace(terms, contracts=contracts)


def _left(programs: tuple[Program, ...], end: ProgramEnd) -> tuple[Program, ...]:
    """Programs of that name end by the day; one that would begin only then is gone."""
    if not any(each.name is end.name and each.ends_on > end.ends_on for each in programs):
        raise TermsError(f"the account is not in program {end.name} on {end.ends_on} or later", field="on")
    cut = [
        each
        if each.name is not end.name or each.ends_on <= end.ends_on
        else replace(each, ends_on=end.ends_on)
        for each in programs
        if each.name is not end.name or each.starts_on < end.ends_on
    ]
    return tuple(cut)


def _check_inside(contract: Contract, month: Month) -> None:
    if not contract.covers(month):
        raise ContractError(
            f"contract {contract.id}: its plan cannot change from {month} on, which is not in its term, "
            f"{contract.start} to {contract.end}",
            field="from",
        )
