"""Disputes: what may be disputed, and that what is reversed and what is replied never come apart."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from billing.disputes import Reverse, answer_dispute, dispute_data, list_disputes, raise_dispute, show_dispute
from billing.errors import Invalid, NotFound, Refused
from billing.invoices import invoice_data, list_invoices
from billing.reporting.proof import verify
from billing.repository.disputes import Dispute
from metering.outcome import Outcome
from metering.period import Month, parse_instant
from tests.events import event, runs
from tests.world import OCTOBER, World

DECEMBER_2 = parse_instant("2026-12-02T00:00:00Z")


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """Two accounts, of which October is invoiced."""
    return invoiced(engine, 20)


def invoiced(engine: sa.Engine, quantity: int) -> World:
    world = World(engine)
    world.account("acme", since="2026-10")
    world.account("other", since="2026-10")
    world.send(runs(quantity), [event("failed", state="FAILED")])
    world.send([event("september", end="2026-09-30T12:00:00Z")], runs(1, account="other", prefix="theirs"))
    world.service.run_month(OCTOBER)
    world.send([event("november", end="2026-11-01T12:00:00Z")])
    return world


def number(world: World, account: str = "acme") -> str:
    (invoice,) = list_invoices(world.engine, account=account, month=OCTOBER)
    assert invoice.number is not None
    return invoice.number


def dispute(
    world: World,
    ids: Sequence[str] = ("run-0000001", "run-0000002", "run-0000003"),
    message: str = "a load test",
    *,
    invoice: str | None = "the account's",
    account: str = "acme",
    raised_by: str = "Ada",
    request: str | None = None,
) -> Dispute:
    return raise_dispute(
        world.engine,
        world.store,
        account,
        ids,
        message,
        raised_by=raised_by,
        by="test",
        now=world.instant,
        invoice=number(world, account) if invoice == "the account's" else invoice,
        request=request,
    )


def answer(
    world: World, dispute_id: str, reverse_runs: Sequence[str] | None, reply: str = "You are right."
) -> Dispute:
    return world.service.answer_dispute(dispute_id, reply=reply, reverse_runs=reverse_runs, by="operator")


def outcomes(world: World, each: Dispute) -> list[Outcome]:
    found = world.store.find(each.account, each.runs, world.store.cutoff().position)
    return [run.outcome for run in found.values()]


def test_a_correction_reaches_usage_and_the_next_invoice_as_a_credit(engine: sa.Engine) -> None:
    """From the customer's word to the line on the next invoice, which verifies like any other: 400 runs
    beyond the free ones cost 1.00 USD."""
    world = invoiced(engine, 10_400)
    ids = [f"run-{place:07d}" for place in range(400)]
    raised = dispute(world, ids, request="form-1")
    assert show_dispute(world.engine, raised.id) == raised
    before = world.store.usage("acme", OCTOBER.start, OCTOBER.end).counts
    answered = answer(world, raised.id, [])
    assert (answered.status, answered.reversed, answered.reply) == (
        "corrected",
        raised.runs,
        "You are right.",
    )
    after = world.store.usage("acme", OCTOBER.start, OCTOBER.end).counts
    assert after.billable == before.billable - 400
    assert after.not_billed["reversed"] == 400
    world.instant = DECEMBER_2
    world.service.run_month(Month.parse("2026-11"))
    (november,) = list_invoices(world.engine, account="acme", month=Month.parse("2026-11"))
    lines = invoice_data(world.engine, november, world.instant)["lines"]
    assert [(line["kind"], line["amount"]) for line in lines if line["kind"] == "adjustment"] == [  # type: ignore[index, attr-defined]
        ("adjustment", -100)
    ]
    for invoice in list_invoices(world.engine, account="acme"):
        assert verify(world.engine, world.store, invoice.id).differences == ()


def test_part_of_it_is_reversed(world: World) -> None:
    raised = dispute(world)
    with pytest.raises(Invalid, match="run-0000009 is not in dispute"):
        answer(world, raised.id, ["run-0000001", "run-0000009"])
    answered = answer(world, raised.id, ["run-0000003", "run-0000001"])
    assert answered.status == "corrected"
    assert answered.reversed == ("run-0000001", "run-0000003")
    assert outcomes(world, raised).count(Outcome.REVERSED) == 2
    data = dispute_data(world.engine, answered)
    assert (data["runs"], data["runs_reversed"], data["invoice_number"]) == (3, 2, number(world))


def test_a_declined_one_changes_no_run(world: World) -> None:
    raised = dispute(world)
    answered = answer(world, raised.id, None, "They ran and succeeded.")
    assert (answered.status, answered.reversed) == ("declined", ())
    assert set(outcomes(world, raised)) == {Outcome.BILLABLE}
    assert answered.answered_by == "operator"


def test_an_answer_is_given_once(world: World) -> None:
    raised = dispute(world)
    first = answer(world, raised.id, None, "No.")
    world.instant += 1
    assert answer(world, raised.id, None, "No.") == first
    for runs_, reply in (([], "No."), (None, "Yes.")):
        with pytest.raises(Refused, match="is declined already, by operator"):
            answer(world, raised.id, runs_, reply)
    assert set(outcomes(world, raised)) == {Outcome.BILLABLE}
    with pytest.raises(NotFound):
        answer(world, "dsp_0", None)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("again", ["the same", "another"])
def test_who_is_killed_in_between_is_finished_by_the_next(world: World, after: bool, again: str) -> None:
    """Before or after the runs were reversed; and whoever decides otherwise meanwhile comes too late."""
    raised = dispute(world)
    reversing = world.service

    def killed(account: str, ids: Sequence[str], reason: str, author: str) -> None:
        if after:
            _reverse(world)(account, ids, reason, author)
        raise Killed

    with pytest.raises(Killed):
        answer_dispute(
            world.engine,
            raised.id,
            reply="Right.",
            reverse_runs=[],
            by="first",
            now=world.instant,
            reverse=killed,
        )
    half = show_dispute(world.engine, raised.id)
    assert half.status == "open"
    assert dispute_data(world.engine, half)["unfinished"]
    if again == "the same":
        reversing.answer_dispute(raised.id, reply="Right.", reverse_runs=[], by="second")
    else:
        with pytest.raises(Refused, match="is corrected already, by first"):
            reversing.answer_dispute(raised.id, reply="No.", reverse_runs=None, by="second")
    done = show_dispute(world.engine, raised.id)
    assert (done.status, done.reply, done.answered_by) == ("corrected", "Right.", "first")
    assert set(outcomes(world, raised)) == {Outcome.REVERSED}


def test_what_cannot_be_reversed_leaves_the_dispute_open(world: World) -> None:
    raised = dispute(world)

    def refused(account: str, ids: Sequence[str], reason: str, author: str) -> None:
        raise Refused("not now")

    with pytest.raises(Refused, match="not now"):
        answer_dispute(
            world.engine,
            raised.id,
            reply="x",
            reverse_runs=[],
            by="first",
            now=world.instant,
            reverse=refused,
        )
    assert answer(world, raised.id, None).status == "declined"


def _decided(world: World, raised: Dispute, reply: str, reverse: Reverse) -> Dispute:
    return answer_dispute(
        world.engine, raised.id, reply=reply, reverse_runs=[], by="first", now=world.instant, reverse=reverse
    )


def _reverse(world: World) -> Reverse:
    from billing.corrections import correct

    return lambda account, ids, reason, author: correct(
        world.engine, world.store, account, ids, "reverse", reason, author=author, now=world.instant
    )


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([], "runs is empty"),
        (["run-0000001", "nowhere"], "1 of 2 are not on the run list of"),
        (["failed"], "are not on the run list"),
        (["september"], "are not on the run list"),
        (["november"], "are not on the run list"),
        (["theirs-0000000"], "are not on the run list"),
        (["a b"], "'a b' is not the id of a task run"),
        (["\ud800"], "is not the id of a task run"),
        ([f"run-{place:07d}" for place in range(1001)], "1,001 task runs; dispute at most 1,000"),
    ],
)
def test_runs_that_cannot_be_disputed_are_named(world: World, ids: list[str], says: str) -> None:
    with pytest.raises(Invalid, match=says) as wrong:
        dispute(world, ids)
    assert wrong.value.field == "runs"
    assert list_disputes(world.engine) == []


def test_without_an_invoice_any_run_of_the_account_may_be_disputed(world: World) -> None:
    found = dispute(world, ["november", "failed", "run-0000001"], invoice=None)
    assert found.runs == ("failed", "november", "run-0000001")
    with pytest.raises(Invalid, match="1 of 1 are not task runs of acme, the first of them theirs-0000000"):
        dispute(world, ["theirs-0000000"], invoice=None)


@pytest.mark.parametrize(
    ("message", "raised_by", "field"),
    [
        (" \n", "Ada", "message"), ("x" * 2001, "Ada", "message"), ("a\0b", "Ada", "message"),
        ("\ud800", "Ada", "message"), ("x", "", "raised_by"), ("x", "y" * 101, "raised_by"),
        ("x", "a\nb", "raised_by"),
    ],
)  # fmt: skip
def test_texts_that_cannot_be_kept_are_named(world: World, message: str, raised_by: str, field: str) -> None:
    with pytest.raises(Invalid) as wrong:
        dispute(world, message=message, raised_by=raised_by)
    assert wrong.value.field == field


def test_texts_are_kept_as_they_were_written(world: World) -> None:
    raised = dispute(world, message="  <b>1</b>\r\n\r\n👨‍👩‍👧 é & ' \" {{ x }}\n" + "x" * 1900)
    message = "<b>1</b>\n\n👨‍👩‍👧 é & ' \" {{ x }}\n" + "x" * 1900
    assert show_dispute(world.engine, raised.id).message == message


def test_an_invoice_of_others_a_draft_and_a_void_one_cannot_be_disputed(world: World) -> None:
    with pytest.raises(NotFound):
        dispute(world, invoice=number(world, "other"))
    with pytest.raises(NotFound):
        dispute(world, invoice="2026-10-999999")
    with pytest.raises(NotFound):
        dispute(world, account="ghost", invoice=None)
    world.service.run_month(Month.parse("2026-11"), early=True)
    (draft,) = list_invoices(world.engine, account="acme", month=Month.parse("2026-11"))
    assert draft.status == "draft"
    with pytest.raises(NotFound, match="that was issued"):
        dispute(world, ["november"], invoice=draft.id)


def test_a_form_that_is_sent_twice_raises_one(world: World) -> None:
    first = dispute(world, request="form-1")
    assert dispute(world, request="form-1") == first
    assert dispute(world, ["theirs-0000000"], account="other", request="form-1") != first
    assert [each.account for each in list_disputes(world.engine)] == ["acme", "other"]


def test_a_run_waits_for_one_answer_at_a_time(world: World) -> None:
    first = dispute(world)
    with pytest.raises(Refused, match=f"run-0000002 is in dispute {first.id} already"):
        dispute(world, ["run-0000002", "run-0000007"])
    answer(world, first.id, None)
    assert dispute(world, ["run-0000002"]).status == "open"
    assert [each.status for each in list_disputes(world.engine, account="acme")] == ["declined", "open"]
    assert len(list_disputes(world.engine, status="open")) == 1
    assert list_disputes(world.engine, after=first.id)[0].runs == ("run-0000002",)
