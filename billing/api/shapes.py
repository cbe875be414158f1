"""The shapes of answers that several nouns share. They describe; the operations' own functions print."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Period(BaseModel):
    """`[start, end)`, RFC 3339 in UTC."""

    start: str
    end: str


class NotBilled(BaseModel):
    """Task runs that are not billed, by reason."""

    too_short: int
    cached: int
    failed: int
    crashed: int
    cancelled: int
    reversed: int


class ContractMonthAnswer(BaseModel):
    """Billable runs that committed ones served, and those beyond them."""

    id: str
    drawn: int | None
    on_demand: int


class Sending(BaseModel):
    """How far it is at Stripe: `pending`, `done`, `failed` (a person must look at `error`) or `withdrawn`."""

    status: str
    step: str
    attempts: int
    error: str | None


class Voiding(Sending):
    reason: str


class CreditNoteAnswer(BaseModel):
    """`amount` in minor units; `usage` says that less was billed for the month, `goodwill` does not."""

    id: str
    number: str
    invoice: str
    kind: str
    amount: int
    reason: str
    author: str
    issued_at: str
    stripe_credit_note_id: str | None
    sending: Sending | None


class LineAnswer(BaseModel):
    kind: str
    description: str
    quantity: int | None
    unit_price: str | None = Field(description="Of one task run, in major units.")
    exact_amount: str = Field(description="In major units, unrounded.")
    amount: int = Field(description="In minor units, rounded once.")
    month: str | None = Field(None, description="Of an adjustment: the month it is for.")
    reference: str | None = Field(None, description="Of a credit: which one it consumes.")


class InvoiceSummary(BaseModel):
    """Amounts in minor units."""

    id: str
    number: str | None
    account: str
    kind: str
    period: Period
    currency: str
    status: str
    plan: str
    billable: int
    total: int
    amount_paid: int
    stripe_invoice_id: str | None
    hosted_invoice_url: str | None


class CollectionAnswer(BaseModel):
    """How Stripe stands with collecting an invoice. Amounts in minor units, tax included."""

    dunning: str = Field(
        description="waiting, retrying, action required, past due, exhausted, uncollectible, not finalized, "
        "or none where nothing is to be collected."
    )
    amount_due: int
    amount_remaining: int
    tax: int | None = Field(description="What Stripe added to the total; null where it is not known.")
    method: str
    attempts: int
    next_attempt_at: str | None
    due_at: str | None
    failure: str | None = Field(description="Why the last attempt failed.")
    fetched_at: str


class StripeRecordAnswer(BaseModel):
    """A refund, a dispute or a credit note at Stripe; `credit_note` is ours, where it stands for one."""

    id: str
    kind: str
    amount: int
    currency: str
    status: str
    reason: str
    created_at: str
    credit_note: str | None


class PlanBracket(BaseModel):
    """The runs of a month up to `up_to` (null: without end), from the bracket before on."""

    up_to: int | None
    unit_price: str


class InvoiceAnswer(InvoiceSummary):
    cutoff: int | None = Field(description="The position in the order of commits up to which events count.")
    cutoff_at: str | None
    rule_version: str
    not_billed: NotBilled
    usage_by_day: dict[str, dict[str, int]]
    run_list_sha256: str | None = Field(description="The digest of runs.csv.")
    lines: list[LineAnswer]
    brackets: list[PlanBracket] = Field(description="Of the plan version that priced it.")
    over_soft_limit: int
    notes: list[str]
    contract: ContractMonthAnswer | None
    credit_notes: list[CreditNoteAnswer]
    bill_to: dict[str, str | int] = Field(description="Who it is made out to, as of issue.")
    replaces: str | None = Field(description="The void invoice that this one was issued instead of.")
    replaces_number: str | None
    replaced_by: str | None = Field(description="The number of the one issued instead of this void one.")
    voided_at: str | None
    void_reason: str | None
    issued_at: str | None
    invoice_pdf: str | None
    approved_by: str | None = Field(description="Who approved the draft that it was.")
    collection: CollectionAnswer | None = Field(description="Null before the invoice is at Stripe.")
    stripe_records: list[StripeRecordAnswer]
    sending: Sending | None
    voiding: Voiding | None = Field(description="A void that was asked for and is not done.")


class PreviewAnswer(BaseModel):
    """An invoice that does not exist yet."""

    id: None
    number: None
    account: str
    kind: str
    period: Period
    currency: str
    plan: str
    billable: int
    not_billed: NotBilled
    lines: list[LineAnswer]
    total: int
    over_soft_limit: int
    notes: list[str]
    contract: ContractMonthAnswer | None = None
    status: str
    cutoff: int
    cutoff_at: str | None
    run_list_sha256: None
    amount_paid: int
    stripe_invoice_id: None
