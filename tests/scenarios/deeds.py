"""What may happen in a story: the operations that every door uses, and runs that sources send."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

from billing import (
    accounts,
    closing,
    contracts,
    corrections,
    credit_notes,
    credits,
    grandfathering,
    plan_migration,
    plans,
    programs,
    voids,
)
from billing.approvals import approve_month
from billing.contract_invoices import invoice_contracts
from billing.payments import state
from billing.payments.stripe_objects import StripeInvoice
from billing.pricing.contract import Contract, Grant, Instalments, Service
from billing.pricing.money import parse_amount
from metering.outcome import Outcome
from metering.period import SECOND_US, Month
from tests.quantities import Batch
from tests.scenarios.office import Office
from tests.scenarios.story import StoryError, day, days, money, months, rows, whole, yes
from tests.scenarios.verbs import does

BY = "operator"
ROOT = Path(__file__).parents[2]

_OUTCOMES = {outcome.reason: outcome for outcome in Outcome} | dict.fromkeys(
    ("run", "runs"), Outcome.BILLABLE
)
_CORRECTED = re.compile(
    r"(?P<quantity>[\d,]+) (?P<was>runs?|failed|reversed) are (?P<done>reversed|restored)"
)
_SENT = re.compile(r"([\d,]+) (\w+)")
_LATER = re.compile(
    r"(?P<quantity>[\d,]+) (?P<was>runs?|failed|crashed|cancelled) "
    r"(?:(?P<reversed>(were|was) reversed)(?: on (?P<on>\S+))?"
    r"|ended on (?P<ended>\S+) after all|succeeded on (?P<succeeded>\S+))"
)


@does("runs of {account}")
def send_runs(office: Office, value: dict[str, str], account: str) -> None:
    """`2026-10-03: 12,000 runs, 7 failed`"""
    batches: list[Batch] = []
    for when, what in value.items():
        for on in days(when):
            for part in what.split(", "):
                match = _SENT.fullmatch(part)
                if match is None or match[2] not in _OUTCOMES:
                    raise StoryError(f"{part!r} is not a quantity such as 12,000 runs, or 7 failed")
                batches += office.sender(account).new(whole(match[1]), on, _OUTCOMES[match[2]])
    office.send(batches)


@does("later news of {account}")
def send_again(office: Office, value: dict[str, str], account: str) -> None:
    """`2026-10-03: 200 runs were reversed`, `5 runs ended on 2026-09-30 after all`, `3 failed succeeded on
    2026-11-01`"""
    batches: list[Batch] = []
    for when, what in value.items():
        match = _LATER.fullmatch(what)
        if match is None:
            raise StoryError(f"{what!r} is not news of runs such as: 200 runs were reversed")
        to = Outcome.REVERSED if match["reversed"] else Outcome.BILLABLE
        to_day = match["on"] or match["ended"] or match["succeeded"] or when
        batches += office.sender(account).again(
            whole(match["quantity"]), day(when), _OUTCOMES[match["was"]], to=to, to_day=day(to_day)
        )
    office.send(batches)


@does("corrections of {account}")
def correct(office: Office, value: dict[str, str], account: str) -> None:
    """The operator's word: `2026-10-03: 200 runs are reversed`, `50 reversed are restored`"""
    for when, what in value.items():
        match = _CORRECTED.fullmatch(what)
        if match is None:
            raise StoryError(f"{what!r} is no correction such as: 200 runs are reversed")
        action, to = {
            "reversed": ("reverse", Outcome.REVERSED),
            "restored": ("restore", Outcome.BILLABLE),
        }[match["done"]]
        quantity = whole(match["quantity"])
        ids = office.sender(account).corrected(quantity, day(when), _OUTCOMES[match["was"]], to=to)
        done = corrections.correct(
            office.engine, office.store, account, ids, action, "a story", author=BY, now=office.now
        )
        assert (done.corrected, done.unchanged, done.errors) == (quantity, 0, ())


@does("load plans from")
def load_plans(office: Office, value: str) -> None:
    plans.load_plan_text(office.engine, (ROOT / value).read_text("utf-8"), value, office.now)


@does("offer plan {plan}")
def offer_plan(
    office: Office, plan: str, *, from_: str = "2021-01-01", currency: str = "USD", brackets: str
) -> None:
    name, _, version = plan.partition("@")
    data = {
        "plan": name,
        "version": version,
        "effective_from": from_,
        "currency": currency,
        "brackets": [
            {"up_to": None if up_to == "beyond" else whole(up_to.removeprefix("up to ")), "unit_price": price}
            for up_to, price in rows(brackets, 2)
        ],
    }
    plans.load_plan_text(office.engine, json.dumps(data), "story.json", office.now)


@does("add account {account}")
def add_account(
    office: Office,
    account: str,
    *,
    plan: str = "starter",
    billed_from: str | None = None,
    currency: str = "USD",
    legacy_charge: str | None = None,
    protected_until: str | None = None,
    opening_credit: str | None = None,
    opening_runs: str | None = None,
    opening_runs_until: str | None = None,
) -> None:
    accounts.add_account(
        office.engine,
        account,
        now=office.now,
        currency=currency,
        plan=plan,
        billing_from=None if billed_from is None else Month.parse(billed_from),
        legacy_charge=None if legacy_charge is None else money(legacy_charge),
        protected_until=None if protected_until is None else day(protected_until),
        opening_credit=None if opening_credit is None else money(opening_credit),
        opening_runs=None if opening_runs is None else whole(opening_runs),
        opening_runs_until=None if opening_runs_until is None else day(opening_runs_until),
    )


@does("set plan of {account}")
def set_plan(office: Office, account: str, *, plan: str, from_: str, amend: str = "no") -> None:
    accounts.set_plan(
        office.engine, account, plan, Month.parse(from_), now=office.now, by=BY, amend=yes(amend)
    )


@does("move accounts to {plan}")
def migrate(
    office: Office, plan: str, *, from_: str, accounts: str = "", protect_until: str | None = None
) -> None:
    office.result = plan_migration.migrate_plan(
        office.engine,
        office.store,
        plan,
        Month.parse(from_),
        account_ids=accounts.split(),
        protect_until=None if protect_until is None else day(protect_until),
        by=BY,
        now=office.now,
    ).to_data()


@does("sign contract {contract}")
def sign(
    office: Office,
    contract: str,
    *,
    account: str,
    term: str,
    plan: str,
    grants: str = "",
    services: str = "",
    currency: str = "USD",
    instalments: str = "upfront",
    amend: str = "no",
) -> None:
    """A row each: of `grants` id, runs, price, `2026-01-01 to 2027-01-01`; of `services` what, price, due."""
    start, _, end = term.partition(" to ")
    held = []
    for grant, runs, price, usable in rows(grants, 4):
        first, _, last = usable.partition(" to ")
        minor = parse_amount(money(price), currency)
        held.append(Grant(grant, whole(runs), minor, day(first), day(last)))
    made = Contract(
        contract,
        account,
        day(start),
        day(end),
        plan,
        currency,
        Instalments(instalments),
        tuple(held),
        tuple(
            Service(what, parse_amount(money(price), currency), day(due))
            for what, price, due in rows(services, 3)
        ),
    )
    contracts.add_contract(office.engine, made, by=BY, now=office.now, amend=yes(amend))


@does("grant more in {contract}")
def grant(
    office: Office,
    contract: str,
    *,
    runs: str,
    price: str,
    from_: str,
    until: str | None = None,
    id: str | None = None,
    amend: str = "no",
) -> None:
    contracts.add_grant(
        office.engine,
        contract,
        whole(runs),
        money(price),
        day(from_),
        expires_on=None if until is None else day(until),
        grant_id=id,
        by=BY,
        now=office.now,
        amend=yes(amend),
    )


@does("change contract {contract}")
def amend_contract(
    office: Office,
    contract: str,
    *,
    end: str | None = None,
    extend_grants: str = "no",
    plan: str | None = None,
    from_: str | None = None,
    amend: str = "no",
) -> None:
    contracts.amend_contract(
        office.engine,
        contract,
        end=None if end is None else day(end),
        extend_grants=yes(extend_grants),
        plan=plan,
        from_month=None if from_ is None else Month.parse(from_),
        by=BY,
        now=office.now,
        amend=yes(amend),
    )


@does("withdraw contract {contract}")
def withdraw(office: Office, value: str, contract: str) -> None:
    contracts.withdraw_contract(office.engine, contract, by=BY, now=office.now, reason=value)


@does("program for {account}")
def apply_program(
    office: Office,
    account: str,
    *,
    program: str,
    percent: str,
    until: str,
    from_: str | None = None,
    founded: str | None = None,
    raised: str | None = None,
    amend: str = "no",
) -> None:
    programs.apply_program(
        office.engine,
        account,
        program,
        percent=percent,
        until=day(until),
        starts_on=None if from_ is None else day(from_),
        founded_on=None if founded is None else day(founded),
        raised=None if raised is None else money(raised),
        by=BY,
        now=office.now,
        amend=yes(amend),
    )


@does("{account} leaves program {program}")
def leave_program(office: Office, account: str, program: str, *, on: str, amend: str = "no") -> None:
    programs.leave_program(office.engine, account, program, day(on), by=BY, now=office.now, amend=yes(amend))


@does("protect {account}")
def protect(office: Office, account: str, *, charge: str, until: str, from_: str, amend: str = "no") -> None:
    grandfathering.protect(
        office.engine,
        account,
        money(charge),
        day(until),
        now=office.now,
        from_month=Month.parse(from_),
        by=BY,
        amend=yes(amend),
    )


@does("credit {account}")
def credit(office: Office, account: str, *, amount: str, reason: str) -> None:
    credits.add_credit(office.engine, account, money(amount), reason, by=BY, now=office.now)


@does("{referrer} refers {referred}")
def refer(office: Office, value: str, referrer: str, referred: str) -> None:
    programs.refer(office.engine, referrer, referred, by=BY, now=office.now)


@does("Stripe reports invoice {number}")
def stripe_reports(office: Office, number: str, *, status: str, paid: str) -> None:
    """What Stripe has of an invoice, as a webhook brings it, and what follows from it."""
    invoice = office.invoice(number)
    amount = parse_amount(money(paid), invoice.currency)
    held = StripeInvoice(
        id=f"in_{invoice.id}",
        status=status,
        number=invoice.number,
        currency=invoice.currency,
        total_excluding_tax=invoice.total,
        amount_paid=amount,
        amount_remaining=invoice.total - amount,
        charge_automatically=False,
        invoice_id=invoice.id,
        hosted_invoice_url=None,
        invoice_pdf=None,
    )
    state.apply(office.engine, invoice.id, held, office.now, seen=state.version(office.engine, invoice.id))
    office.service.reward_referrals()


@does("bill")
def bill(office: Office, value: str) -> None:
    _bill(office, value)


@does("bill {account} alone")
def bill_one(office: Office, value: str, account: str) -> None:
    _bill(office, value, account=account)


@does("bill early")
def bill_early(office: Office, value: str) -> None:
    _bill(office, value, early=True)


def _bill(office: Office, value: str, *, account: str | None = None, early: bool = False) -> None:
    for month in months(value):
        office.bill(month, account, early)


@does("invoice contracts")
def invoice_what_is_due(office: Office, value: str) -> None:
    """As the daily job does it at the end of a day."""
    for invoice in invoice_contracts(office.engine, day(value), now=office.now):
        office.issued[invoice.id] = invoice


@does("approve drafts")
def approve(office: Office, value: str) -> None:
    office.instant += SECOND_US
    approval = approve_month(
        office.engine, office.store, Month.parse(value), by=BY, now=office.instant, grace_hours=24
    )
    office.failed |= dict(approval.failed)
    for invoice in approval.approved:
        office.issued[invoice.id] = invoice


@does("void invoice {number}")
def void(office: Office, value: str, number: str) -> None:
    voids.void_invoice(office.engine, number, value, by=BY, now=office.now)


@does("credit note on {number}")
def note(office: Office, number: str, *, amount: str, kind: str, reason: str) -> None:
    credit_notes.credit_note(office.engine, number, money(amount), kind, reason, by=BY, now=office.now)


@does("close {account}")
def close(office: Office, value: str, account: str) -> None:
    office.result = closing.close_account(
        office.engine, office.store, account, on=date.fromisoformat(value), by=BY, now=office.now
    )


@does("reopen {account}")
def reopen(office: Office, value: str, account: str) -> None:
    closing.reopen_account(office.engine, account, by=BY, now=office.now)
