"""The deeds that may take two persons. Doors do them by `perform`, and in no other way (a test looks)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from billing.billing_details import check_text
from billing.corrections import Corrected, correct
from billing.credit_notes import show_credit_note
from billing.credits import add_credit, positive_amount
from billing.disputes import dispute_data, show_dispute
from billing.errors import Invalid, Refused
from billing.invoices import show_invoice
from billing.payments.outbox import Delivery
from billing.plans import list_plans, load_plan_text, parse_plans
from billing.pricing.catalogue import PlanVersion
from billing.pricing.errors import VersionConflict
from billing.pricing.money import format_amount, to_major
from billing.proposals.deed import Deed, Progress, Request, Weight
from billing.repository.credit_notes import CreditNote
from billing.repository.disputes import Dispute
from billing.terms import get_account
from billing.voids import check_reason
from metering.database import reading

if TYPE_CHECKING:
    from billing.app import Service


def _plans_weight(service: Service, request: Request) -> Weight:
    held = list_plans(service.engine)
    versions = parse_plans(request["text"], request["name"])
    new = [version.id for version in versions if version.id not in held]
    try:
        held.add(*versions)
    except VersionConflict as error:
        raise Refused(str(error), field="version") from None
    return Weight(bool(new), f"load {', '.join(new) or 'nothing new'} into the catalogue")


def _load(service: Service, request: Request, _by: str, _progress: Progress) -> list[PlanVersion]:
    return load_plan_text(service.engine, request["text"], request["name"], service.now())


LOAD_PLANS: Deed[list[PlanVersion]] = Deed(
    "plans.load",
    lambda settings: settings.second_person_plans == "on",
    _plans_weight,
    _load,
    lambda _service, new: [version.to_data() for version in new],
)


def _is_more(amount: int, currency: str, limit: Decimal | None) -> bool:
    return limit is not None and to_major(amount, currency) > limit


def _credit_weight(service: Service, request: Request) -> Weight:
    check_text("reason", request["reason"])
    if not request["reason"].strip():
        raise Invalid("say what the credit is for; its line on the invoice says it", field="reason")
    with reading(service.engine) as connection:
        currency = get_account(connection, request["account"]).currency
    amount = positive_amount(request["amount"], currency, "amount")
    return Weight(
        _is_more(amount, currency, service.settings.second_person_credit),
        f"credit account {request['account']} with {format_amount(amount, currency)}: {request['reason']}",
        request["account"],
    )


def _credit(service: Service, request: Request, by: str, _progress: Progress) -> dict[str, object]:
    account, amount, reason = request["account"], request["amount"], request["reason"]
    return add_credit(service.engine, account, amount, reason, by=by, now=service.now())


CREDIT: Deed[dict[str, object]] = Deed(
    "accounts.credit",
    lambda settings: settings.second_person_credit is not None,
    _credit_weight,
    _credit,
    lambda _service, data: {"balance": data["balance"], "currency": data["currency"]},
)


def _note_weight(service: Service, request: Request) -> Weight:
    check_reason(request["reason"])
    invoice = show_invoice(service.engine, request["invoice"])
    amount = positive_amount(request["amount"], invoice.currency, "amount")
    return Weight(
        _is_more(amount, invoice.currency, service.settings.second_person_credit),
        f"credit note on invoice {invoice.number or invoice.id} of {invoice.account} over "
        f"{format_amount(amount, invoice.currency)}: {request['reason']}",
        invoice.account,
    )


def _note(service: Service, request: Request, by: str, _progress: Progress) -> tuple[CreditNote, Delivery]:
    return service.credit_note(
        request["invoice"],
        request["amount"],
        request["kind"],
        request["reason"],
        by=by,
        stripe_note=request["stripe_note"],
    )


CREDIT_NOTE: Deed[tuple[CreditNote, Delivery]] = Deed(
    "invoices.credit_note",
    lambda settings: settings.second_person_credit is not None,
    _note_weight,
    _note,
    lambda service, done: show_credit_note(service.engine, done[0].id),
)


def _is_many(service: Service, runs: int) -> bool:
    limit = service.settings.second_person_runs
    return limit is not None and runs > limit


def _correction_weight(service: Service, request: Request) -> Weight:
    check_reason(request["reason"])
    runs = len(set(request["task_run_ids"]))
    says = f"{request['action']} {runs:,} task runs of {request['account']}: {request['reason']}"
    return Weight(_is_many(service, runs), says, request["account"])


def _correct(service: Service, request: Request, by: str, progress: Progress) -> Corrected:
    return correct(
        service.engine,
        service.store,
        request["account"],
        request["task_run_ids"],
        request["action"],
        request["reason"],
        author=request["author"] or by,
        now=service.now(),
        progress=progress,
    )


CORRECT: Deed[Corrected] = Deed(
    "corrections.correct",
    lambda settings: settings.second_person_runs is not None,
    _correction_weight,
    _correct,
    lambda _service, done: done.to_data(),
)


def _answer_weight(service: Service, request: Request) -> Weight:
    dispute = show_dispute(service.engine, request["dispute"])
    chosen = request["reverse_runs"]
    runs = 0 if chosen is None else len(set(chosen)) or len(dispute.runs)
    says = f"answer dispute {dispute.id} of {dispute.account}, and reverse {runs:,} task runs"
    # An answer that was begun was decided already.
    return Weight(_is_many(service, runs) and dispute.decision is None, says, dispute.account)


def _answer(service: Service, request: Request, by: str, _progress: Progress) -> Dispute:
    return service.answer_dispute(
        request["dispute"], reply=request["reply"], reverse_runs=request["reverse_runs"], by=by
    )


ANSWER_DISPUTE: Deed[Dispute] = Deed(
    "disputes.answer",
    lambda settings: settings.second_person_runs is not None,
    _answer_weight,
    _answer,
    lambda service, done: dispute_data(service.engine, done),
)

DEEDS: dict[str, Deed[Any]] = {
    each.name: each for each in (LOAD_PLANS, CREDIT, CREDIT_NOTE, CORRECT, ANSWER_DISPUTE)
}
