"""What can go wrong in pricing. Every message is one sentence fit for the person who caused it.

    PricingError (a ValueError)
    ├── CurrencyError         a code that is no currency we can bill in
    ├── CurrencyMismatch      two currencies where one is needed
    ├── AmountError           a text that is not an amount of a currency
    ├── CatalogueError        a plan file or plan version that breaks a rule; names plan and bracket
    │   ├── VersionConflict   a version that exists, with other content
    │   └── UnknownPlan       no such plan or version, or none in effect in the month
    ├── ContractError         a contract that breaks a rule; names the contract, and the grant or service
    │   └── ContractsOverlap  an account under two contracts at once
    └── TermsError            a program, a price protection or a credit that breaks a rule
        ├── UnknownProgram    no such program
        └── ProgramRefused    an application that does not meet its program; says why

`field` names the value at fault, where one is. A float where money is meant, or a quantity that is not a
whole number, is a mistake of the programmer, not of a user: TypeError.
"""

from __future__ import annotations


class PricingError(ValueError):
    """The root: catch this at a door and show its sentence."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class CurrencyError(PricingError):
    pass


class CurrencyMismatch(PricingError):  # noqa: N818 - reads as what happened
    pass


class AmountError(PricingError):
    pass


class CatalogueError(PricingError):
    pass


class VersionConflict(CatalogueError):  # noqa: N818
    pass


class UnknownPlan(CatalogueError):  # noqa: N818
    pass


class ContractError(PricingError):
    pass


class ContractsOverlap(ContractError):  # noqa: N818
    pass


class TermsError(PricingError):
    pass


class UnknownProgram(TermsError):  # noqa: N818
    pass


class ProgramRefused(TermsError):  # noqa: N818
    pass
