"""The shape of a contract in answers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from billing.api.examples import CONTRACT


class GrantSummary(BaseModel):
    """Committed task runs; `price` is text, in major units. Usable on the days `[granted_on, expires_on)`."""

    id: str
    runs: int
    price: str
    granted_on: str
    expires_on: str


class ServiceSummary(BaseModel):
    """A line beside the runs; `price` is text, in major units."""

    description: str
    price: str
    due_on: str


class ContractSummary(BaseModel):
    """The shape of a contract's file. The term is `[start, end)`, whole months."""

    model_config = ConfigDict(json_schema_extra={"examples": [CONTRACT]})

    id: str
    account: str
    start: str
    end: str
    plan: str
    currency: str
    instalments: str = Field(description="`upfront`, `quarterly` or `monthly`.")
    grants: list[GrantSummary]
    services: list[ServiceSummary]


class GrantAnswer(GrantSummary):
    left: int = Field(description="As the ledger has it; 0 before it is granted.")


class ServiceAnswer(ServiceSummary):
    delivered_on: str | None


class ContractPlan(BaseModel):
    """From a month on, the plan version that prices on-demand usage."""

    from_: str = Field(alias="from")
    plan: str


class RunLedgerEntry(BaseModel):
    """`kind` is grant, usage, expiry or correction; `corrects` says what a correction corrects."""

    kind: str
    grant: str
    effective_on: str
    quantity: int
    corrects: str | None
    recorded_at: str


class ContractAnswer(BaseModel):
    """A contract with its run balance."""

    id: str
    account: str
    start: str
    end: str
    plan: str
    currency: str
    instalments: str
    grants: list[GrantAnswer]
    services: list[ServiceAnswer]
    plans: list[ContractPlan]
    balance: int = Field(description="Task runs, the sum of the ledger.")
    ledger: list[RunLedgerEntry]
