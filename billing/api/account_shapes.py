"""The shape of an account in bodies and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Details(BaseModel):
    """What invoices say of the customer, and how they are paid; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    line1: str = ""
    line2: str = ""
    city: str = ""
    postal_code: str = ""
    state: str = ""
    country: str = Field("", description="A code such as DE.")
    tax_id_type: str = Field("", description="One of Stripe's, such as eu_vat.")
    tax_id: str = ""
    tax_exempt: Literal["none", "exempt", "reverse"] = "none"
    purchase_order: str = ""
    collection: Literal["automatic", "charge", "send"] = Field(
        "automatic",
        description="`charge` the payment method that Stripe has, `send` the invoice to be paid, or "
        "`automatic`: charge where there is a payment method, else send.",
    )
    days_until_due: Annotated[int, Field(strict=True, ge=1, le=365)] = 30

    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return self.model_dump(exclude_unset=True)


class AccountPlan(BaseModel):
    """From a month on, a plan version."""

    from_: str = Field(alias="from", examples=["2026-10"])
    plan: str = Field(examples=["starter@2021-02"])


class AccountContract(BaseModel):
    """The term of a contract; `end` is the first day without it."""

    id: str
    start: str
    end: str


class AccountProgram(BaseModel):
    """A program that the account is in from `starts_on` on; `ends_on` is the first day without it."""

    program: str
    percentage: str
    starts_on: str
    ends_on: str


class AccountProtection(BaseModel):
    """No more than `charge` (in minor units) a month, until `ends_on`."""

    from_: str = Field(alias="from", examples=["2026-10"])
    charge: int
    ends_on: str


class AccountAnswer(BaseModel):
    id: str
    name: str
    email: str
    currency: str
    billing_from: str
    closed_on: str | None
    plans: list[AccountPlan]
    contracts: list[AccountContract]
    programs: list[AccountProgram]
    price_protection: list[AccountProtection]
    details: dict[str, str | int] = Field(description="What its invoices say, and how they are paid.")
    stripe_customer_id: str | None
