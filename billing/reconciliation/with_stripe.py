"""Our invoices of a month and Stripe's: which are there, what they say, and what of them is paid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from billing.payments.stripe_objects import StripeInvoice
from billing.pricing.money import format_amount
from billing.reconciliation.difference import (
    EXTRA,
    LINES_DIFFER,
    LINK_DIFFERS,
    MISSING,
    NOTES_DIFFER,
    NUMBER_DIFFERS,
    PAID_DIFFERS,
    TOTAL_DIFFERS,
    VOID_WAITS,
    Difference,
)
from billing.reconciliation.drafts import is_our_draft
from billing.reconciliation.links import same_place
from metering.period import SECOND_US, Month

# What an operator writes into the metadata of an invoice made by hand that is none of ours.
IGNORE = ("reconcile", "ignore")

# Stripe's status → ours, and how far each is: a state only ever moves forward.
_STATUS = {"draft": "finalized"}
_RANK = {"finalized": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}


@dataclass(frozen=True, slots=True)
class Ours:
    """An invoice of our books. `credited`: its credit notes together. `waiting`: what is still to be done for
    it at Stripe, by kind (send, credit_note, void), with what is in the way, empty if nothing was. `go_on` is
    the command that takes it up again."""

    id: str
    account: str
    number: str
    status: str
    currency: str
    total: int
    amount_paid: int
    lines: tuple[tuple[str, int], ...]
    go_on: str
    # As Stripe's automatic tax takes them (`payments/tax.py`); the same where it changes none.
    lines_to_tax: tuple[tuple[str, int], ...] = ()
    credited: int = 0
    waiting: Mapping[str, str] = field(default_factory=dict)
    stripe_invoice_id: str | None = None
    page: str | None = None
    pdf: str | None = None

    @property
    def belongs_there(self) -> bool:
        """Whether Stripe is to have it: issued, with something to pay, and not void."""
        return self.status not in ("draft", "void") and self.total != 0

    @property
    def name(self) -> str:
        return self.number or self.id


@dataclass(frozen=True, slots=True)
class Listed:
    """An invoice at Stripe, and what our books say of it: `ours` is the id of the invoice of ours that it is
    or names, of `month`; `account` that of its customer, whose last invoice when it was made was `last`'s."""

    held: StripeInvoice
    ours: str | None = None
    month: Month | None = None
    account: str | None = None
    last: Month | None = None


def month_of(listed: Listed) -> Month | None:
    """The one month in which an invoice at Stripe is reconciled: that of ours which it names, else that of
    the last invoice of its account before it, else the one before it was made. None if it is no business of
    ours: of a customer that stands for no account, or marked to be ignored."""
    if listed.month is not None:
        return listed.month
    held = listed.held
    if held.ignored or (held.invoice_id is None and listed.account is None):
        return None
    return listed.last or Month.of(held.created * SECOND_US).previous()


def compare_with_stripe(month: Month, ours: Iterable[Ours], listed: Iterable[Listed]) -> list[Difference]:
    """All differences of a month's invoices, ours in their order first, then what is there beyond them."""
    named: defaultdict[str, list[StripeInvoice]] = defaultdict(list)
    strangers: list[Difference] = []
    for each in listed:
        if month_of(each) == month:
            if each.ours is None:
                strangers += _stranger(each)
            else:
                named[each.ours].append(each.held)
    found = [difference for mine in ours for difference in _compare(mine, named[mine.id])]
    return found + strangers


def _compare(mine: Ours, held: list[StripeInvoice]) -> list[Difference]:
    match = _match(mine, held)
    found = [_duplicate(mine, match, each) for each in held if each is not match and each.status != "void"]
    if match is None:
        return [*found, _missing(mine)] if mine.belongs_there else found
    if not mine.belongs_there:
        return found if match.status == "void" or _is_empty(match) else [*found, _unwanted(mine, match)]
    if "send" in mine.waiting and match.status == "draft":
        return [*found, _missing(mine, match)]
    return [*_pair(mine, match), *found]


def _is_empty(held: StripeInvoice) -> bool:
    """Finalized without lines: it asks for nothing, and nobody paid."""
    return held.status == "paid" and not held.amount_paid and not held.total_excluding_tax


def _match(mine: Ours, held: list[StripeInvoice]) -> StripeInvoice | None:
    """The one that we hold it to be; if we were never told which, the furthest and oldest that names it."""
    if mine.stripe_invoice_id is not None:
        return next((each for each in held if each.id == mine.stripe_invoice_id), None)
    furthest_first = sorted(held, key=lambda each: (each.status in ("draft", "void"), each.created, each.id))
    return furthest_first[0] if furthest_first else None


def _pair(mine: Ours, held: StripeInvoice) -> list[Difference]:
    """What differs between an invoice and itself at Stripe."""
    looked_at = _content(mine, held), _paid(mine, held) or _links(mine, held), _notes(mine, held)
    found = [each for each in looked_at if each]
    if "void" in mine.waiting and mine.status not in ("paid", "void") and held.status not in ("paid", "void"):
        message = f"{mine.name} is to be void and can still be paid{_why(mine, 'void')}; go on: {mine.go_on}"
        found.append(_of(mine, VOID_WAITS, message, held, fix="send"))
    return found


def _content(mine: Ours, held: StripeInvoice) -> Difference | None:
    """What an issued invoice says: it is fixed on both sides, so this is for a person."""
    if held.status == "draft":
        return None
    less = mine.total - held.total_excluding_tax
    theirs = None if held.lines is None else sorted((line.description, line.amount) for line in held.lines)
    causes, parts = [], []
    if less or held.currency != mine.currency:
        there = format_amount(held.total_excluding_tax, held.currency)
        causes.append(TOTAL_DIFFERS)
        parts.append(f"its total there is {there}, ours {format_amount(mine.total, mine.currency)}")
    if held.number != mine.number:
        causes.append(NUMBER_DIFFERS)
        parts.append(f"its number there is {held.number}")
    wanted = mine.lines_to_tax if held.automatic_tax else mine.lines
    if theirs is not None and theirs != sorted(wanted):
        causes.append(LINES_DIFFER)
        parts.append(f"its {len(theirs)} lines there are not our {len(mine.lines)}")
    if not causes:
        return None
    message = f"{mine.name} was changed in Stripe: {'; '.join(parts)}; {_instead(mine, held)}"
    same_currency = held.currency == mine.currency
    return _of(mine, causes[0], message, held, amount=less if same_currency else mine.total)


def _instead(mine: Ours, held: StripeInvoice) -> str:
    """What to do about an issued invoice that says something else there."""
    if held.amount_paid:
        return (
            f"{format_amount(held.amount_paid, held.currency)} of it is paid: credit what is too much with: "
            f"billing invoices credit-note {mine.name} AMOUNT --kind goodwill --reason TEXT"
        )
    return f"void it, and bill it again: billing invoices void {mine.name} --reason TEXT"


def _paid(mine: Ours, held: StripeInvoice) -> Difference | None:
    status = _STATUS.get(held.status, held.status)
    less = mine.amount_paid - held.amount_paid
    if status == mine.status and not less:
        return None
    told = (
        f"{mine.name} is {_is(held)} in Stripe with {format_amount(held.amount_paid, held.currency)} paid, "
        f"here {mine.status} with {format_amount(mine.amount_paid, mine.currency)}"
    )
    if "send" in mine.waiting and held.status != "draft":
        message = f"{told}: its sending was cut short{_why(mine, 'send')}; go on: {mine.go_on}"
        return _of(mine, PAID_DIFFERS, message, held, amount=less, fix="send")
    if _is_ahead(mine, held, status):
        message = (
            f"{told}: its webhook did not arrive; take it over with --fix, and check the webhook endpoint"
        )
        return _of(mine, PAID_DIFFERS, message, held, amount=less, fix="refresh")
    message = f"{told}: look at the invoice in Stripe; nothing here goes back by itself"
    return _of(mine, PAID_DIFFERS, message, held, amount=less)


def _is_ahead(mine: Ours, held: StripeInvoice, status: str) -> bool:
    """Whether taking over what Stripe has makes both the same."""
    forward = status == mine.status or _RANK[status] > _RANK[mine.status]
    return forward and held.status != "draft" and held.amount_paid >= mine.amount_paid


def _links(mine: Ours, held: StripeInvoice) -> Difference | None:
    """Where customers are sent to pay; whoever writes to the database could send them elsewhere."""
    if same_place(mine.page, held.hosted_invoice_url) and same_place(mine.pdf, held.invoice_pdf):
        return None
    message = f"{mine.name} leads to another page or PDF than in Stripe; take those over with --fix"
    return _of(mine, LINK_DIFFERS, message, held, amount=0, fix="refresh")


def _notes(mine: Ours, held: StripeInvoice) -> Difference | None:
    if "void" in (mine.status, held.status) or mine.credited == held.credited:
        return None
    if held.tax and mine.credited and held.credited >= mine.credited:
        return None  # theirs give back tax as well, of which our books know nothing
    told = (
        f"credit notes of {mine.name} come to {format_amount(mine.credited, mine.currency)} here and to "
        f"{format_amount(held.credited, held.currency)} in Stripe"
    )
    if "credit_note" in mine.waiting:
        message = f"{told}{_why(mine, 'credit_note')}; go on: {mine.go_on}"
        return _of(mine, NOTES_DIFFER, message, held, amount=mine.credited - held.credited, fix="send")
    message = f"{told}: {_note_by_hand(mine, held)}"
    return _of(mine, NOTES_DIFFER, message, held, amount=mine.credited - held.credited)


def _note_by_hand(mine: Ours, held: StripeInvoice) -> str:
    if mine.credited > held.credited:
        return "one of ours was voided there by hand; give it there again, with the same metadata"
    book = f"billing invoices credit-note {mine.name} AMOUNT --kind goodwill --reason TEXT --stripe-note cn_…"
    return f"one was given there by hand; book the same one here, by its id in Stripe: {book}"


def _missing(mine: Ours, draft: StripeInvoice | None = None) -> Difference:
    if "send" in mine.waiting:
        there = "is only a draft in Stripe" if draft else "is not sent yet"
        message = f"{mine.name} {there}{_why(mine, 'send')}; go on: {mine.go_on}"
    elif mine.waiting:
        message = f"{mine.name} is not in Stripe, and is to be void; go on: {mine.go_on}"
    else:
        held = mine.stripe_invoice_id or "an invoice"
        message = (
            f"{mine.name} is {mine.status} here and Stripe does not have {held}; check that "
            "BILLING_STRIPE_API_KEY is of the right account, and whether it was deleted there"
        )
    return _of(mine, MISSING, message, draft, amount=mine.total, fix="send" if mine.waiting else None)


def _duplicate(mine: Ours, match: StripeInvoice | None, extra: StripeInvoice) -> Difference:
    """A second invoice that names ours. A draft is one too many, if the one we hold is issued there."""
    issued = match is not None and match.status != "draft"
    spare = issued and extra.status == "draft" and is_our_draft(extra.lines, mine.lines, mine.lines_to_tax)
    held = (
        f"which our books hold as {mine.stripe_invoice_id}" if mine.stripe_invoice_id else "which is not it"
    )
    message = f"{extra.id} is {_is(extra)} in Stripe and names {mine.name}, {held}; " + (
        "it can be deleted with --fix" if spare else _get_rid_of(extra)
    )
    return _beyond(mine.account, extra, message, mine, fix="delete draft" if spare else None)


def _unwanted(mine: Ours, held: StripeInvoice) -> Difference:
    here = "of nothing" if not mine.total else "a draft" if mine.status == "draft" else mine.status
    message = f"{mine.name} is {here} here, and {held.id} is {_is(held)} in Stripe; {_get_rid_of(held)}"
    return _beyond(mine.account, held, message, mine)


def _stranger(listed: Listed) -> list[Difference]:
    held = listed.held
    if held.status == "void":
        return []
    why = (
        f"is of {listed.account} and was not made by this service"
        if held.invoice_id is None
        else f"names invoice {held.invoice_id}, which our books do not hold"
    )
    message = f"{held.id} {why}; {_get_rid_of(held)}, or mark it there with the metadata {'='.join(IGNORE)}"
    return [_beyond(listed.account or held.customer or held.id, held, message)]


def _get_rid_of(held: StripeInvoice) -> str:
    if held.status == "paid":
        return "it was paid: give the money back in Stripe"
    return "delete the draft in Stripe" if held.status == "draft" else "void it in Stripe"


def _is(held: StripeInvoice) -> str:
    return "a draft" if held.status == "draft" else held.status


def _why(mine: Ours, kind: str) -> str:
    error = mine.waiting[kind]
    return f" ({error})" if error else ""


def _of(mine: Ours, cause: str, message: str, held: StripeInvoice | None, **more: object) -> Difference:
    stripe_id = mine.stripe_invoice_id if held is None else held.id
    made = Difference(
        mine.account,
        "invoice-stripe",
        cause,
        message,
        currency=mine.currency,
        invoice=mine.number or None,
        invoice_id=mine.id,
        stripe_invoice_id=stripe_id,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def _beyond(
    account: str, held: StripeInvoice, message: str, mine: Ours | None = None, **more: object
) -> Difference:
    """Something there that is not here: all of it is less than nothing."""
    made = Difference(
        account,
        "invoice-stripe",
        EXTRA,
        message,
        amount=-held.total_excluding_tax,
        currency=held.currency,
        invoice=mine.number or None if mine else held.number,
        invoice_id=mine.id if mine else None,
        stripe_invoice_id=held.id,
    )
    return replace(made, **more)  # type: ignore[arg-type]
