"""Changes that take two persons: asked by one, approved by another, and done word by word."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from billing.access import create_key, rotate_key
from billing.audit.actor import acting
from billing.audit.entry import sha256
from billing.audit.reading import entry_data, list_entries
from billing.audit.verification import verify
from billing.corrections import corrections
from billing.credits import show_credit
from billing.disputes import raise_dispute, show_dispute
from billing.errors import Invalid, NotFound, Refused
from billing.operator_tables import proposals as table
from billing.plans import list_plans
from billing.proposals import Proposal, perform
from billing.proposals.deed import Deed
from billing.proposals.deeds import ANSWER_DISPUTE, CORRECT, CREDIT, CREDIT_NOTE, DEEDS, LOAD_PLANS
from billing.proposals.operation import (
    approve,
    list_proposals,
    proposal_data,
    refuse,
    show_proposal,
    state_of,
)
from billing.repository.audit import Wanted
from metering.database import writing
from metering.period import HOUR_US
from metering.store import Verdict
from metering.store.sql import SqlEventStore
from tests.conftest import NewDatabase
from tests.events import runs
from tests.examples import share
from tests.world import OCTOBER, World

ROOT = Path(__file__).parents[3]
ADA, BOB = "operator ada", "operator bob"
PLAN = """{"plan": "gold", "version": "1", "effective_from": "2027-01-01", "currency": "USD",
 "brackets": [{"up_to": null, "unit_price": "0.001"}]}"""


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return set_up(World(engine))


def set_up(world: World) -> World:
    world.account()
    world.send(runs(20_000))
    world.service.run_month(OCTOBER)
    world.service.settings.second_person_plans = "on"
    world.service.settings.second_person_credit = Decimal("100.00")
    world.service.settings.second_person_runs = 2
    return world


def run(number: int) -> str:
    return f"run-{number:07d}"


def request(deed: Deed[Any], world: World) -> dict[str, Any]:
    """One that takes two."""
    if deed is LOAD_PLANS:
        return {"text": PLAN, "name": "gold.json"}
    if deed is CREDIT:
        return {"account": "acme", "amount": "100.01", "reason": "the outage"}
    if deed is CREDIT_NOTE:
        world.service.settings.second_person_credit = Decimal(5)
        note = {"invoice": "2026-10-000001", "amount": "6.00", "kind": "goodwill", "reason": "slow"}
        return note | {"stripe_note": None}
    wrong = [run(1), run(2), run(3)]
    if deed is CORRECT:
        return {
            "account": "acme",
            "task_run_ids": wrong,
            "action": "reverse",
            "reason": "wrong table",
            "author": None,
        }
    made = raise_dispute(
        world.engine, world.store, "acme", wrong, "no", raised_by="Eve", by="x", now=world.instant
    )
    return {"dispute": made.id, "reply": "right", "reverse_runs": []}


def is_done(deed: Deed[Any], world: World) -> bool:
    if deed is LOAD_PLANS:
        return "gold@1" in {each.id for each in list_plans(world.engine)}
    if deed is CREDIT:
        return show_credit(world.engine, "acme")["balance"] == 10_001
    if deed is CREDIT_NOTE:
        return bool(list_entries(world.engine, Wanted(deed="invoice.credited")))
    return len(list(corrections(world.engine))) == 3


def ask(world: World, deed: Deed[Any], asked: dict[str, Any], by: str = ADA) -> Any:
    with acting(by, "request-1"):
        return perform(world.service, deed, asked, by=by)


def decide(world: World, proposal_id: str, by: str = BOB, **more: Any) -> Proposal:
    with acting(by, "request-2"):
        return approve(world.service, proposal_id, **more)


@contextmanager
def refused(says: str) -> Iterator[None]:
    with pytest.raises(Refused, match=says):
        yield


@pytest.mark.parametrize("deed", DEEDS.values(), ids=lambda deed: deed.name)
def test_one_asks_another_approves_and_it_is_done(world: World, deed: Deed[Any]) -> None:
    asked = request(deed, world)
    made = ask(world, deed, asked)
    assert isinstance(made, Proposal) and not is_done(deed, world)
    assert ask(world, deed, asked).id == made.id  # asked again
    data = proposal_data(made, world.instant)
    assert data["request"] == asked and data["sha256"] == sha256(made.request)
    assert (data["state"], data["asked_by"]) == ("waiting", ADA)
    with refused("which is you"):
        decide(world, made.id, ADA)
    assert not is_done(deed, world)
    done = decide(world, made.id, sha256_seen=made.request_sha256)
    assert is_done(deed, world) and state_of(done, world.instant) == "done"
    assert (done.decided_by, done.asked_by) == (BOB, ADA)
    with refused("was approved already, by operator bob"):
        decide(world, made.id)
    deeds = [entry_data(each) for each in list_entries(world.engine, Wanted(), limit=8)]
    said = [each for each in deeds if (each["more"] or {}).get("proposal") == made.id]  # type: ignore[attr-defined]
    assert said, "what was done says under which proposal"
    for each in said:
        assert each["by"] == ADA and each["request"] == "request-2"
        assert each["more"]["approved_by"] == BOB  # type: ignore[index]
    told = {(each["deed"], each["by"]) for each in deeds if each["kind"] == "proposal"}
    assert told == {("proposal.asked", ADA), ("proposal.approved", BOB), ("proposal.done", BOB)}
    assert verify(world.engine).findings == ()


@pytest.mark.parametrize("deed", DEEDS.values(), ids=lambda deed: deed.name)
def test_what_was_not_asked_for_in_time_or_was_refused_is_not_done(world: World, deed: Deed[Any]) -> None:
    asked = request(deed, world)
    first = ask(world, deed, asked)
    with acting(BOB), pytest.raises(Invalid) as caught:
        refuse(world.service, first.id, " ")
    assert caught.value.field == "reason"
    with acting(BOB):
        gone = refuse(world.service, first.id, "twice too much")
    assert (state_of(gone, world.instant), gone.reason) == ("refused", "twice too much")
    with refused("was refused already"):
        decide(world, first.id)
    second = ask(world, deed, asked)  # asked for anew
    assert second.id != first.id
    with acting(ADA):  # who asked may take it back
        refuse(world.service, second.id, "a mistake")
    third = ask(world, deed, asked)
    world.instant += 72 * HOUR_US - 1
    assert [each.id for each in list_proposals(world.engine, world.instant)] == [third.id]
    world.instant += 1
    assert list_proposals(world.engine, world.instant) == []
    with refused("expired at 2026-11-05T00:00:00Z; ask for it again"):
        decide(world, third.id)
    assert not is_done(deed, world)
    found = list_proposals(world.engine, world.instant, every=True)
    assert [state_of(each, world.instant) for each in found] == ["expired", "refused", "refused"]
    assert verify(world.engine).findings == ()


@pytest.mark.parametrize("deed", DEEDS.values(), ids=lambda deed: deed.name)
def test_off_it_takes_one(world: World, deed: Deed[Any]) -> None:
    asked = request(deed, world)
    world.service.settings.second_person_plans = "off"
    world.service.settings.second_person_credit = None
    world.service.settings.second_person_runs = None
    assert not isinstance(ask(world, deed, asked), Proposal)
    assert is_done(deed, world) and list_proposals(world.engine, world.instant, every=True) == []


def test_a_limit_is_what_one_may(world: World) -> None:
    assert ask(world, CREDIT, {"account": "acme", "amount": "100.00", "reason": "x"})["balance"] == 10_000
    two = request(CORRECT, world) | {"task_run_ids": [run(1), run(2), run(1)]}
    assert ask(world, CORRECT, two).corrected == 2
    ask(world, LOAD_PLANS, {"text": PLAN, "name": "gold.json"})
    made = ask(world, LOAD_PLANS, {"text": PLAN, "name": "gold.json"})
    decide(world, made.id)
    assert ask(world, LOAD_PLANS, {"text": PLAN, "name": "gold.json"}) == []  # nothing new
    world.service.settings.second_person_credit = Decimal(0)
    assert isinstance(ask(world, CREDIT, {"account": "acme", "amount": "0.01", "reason": "x"}), Proposal)


def test_what_can_not_be_done_is_told_to_who_asks(world: World) -> None:
    for deed, asked, error in (
        (CREDIT, {"account": "nobody", "amount": "500", "reason": "x"}, NotFound),
        (CREDIT, {"account": "acme", "amount": "-500", "reason": "x"}, Invalid),
        (CREDIT, {"account": "acme", "amount": "500", "reason": " "}, Invalid),
        (LOAD_PLANS, {"text": "{}", "name": "x.json"}, Invalid),
        (LOAD_PLANS, {"text": PLAN.replace("gold", "starter").replace('"1"', '"2021-02"'), "name": "x.json"},
         Refused),
        (CORRECT, request(CORRECT, world) | {"reason": ""}, Invalid),
        (ANSWER_DISPUTE, {"dispute": "dsp_0", "reply": "x", "reverse_runs": []}, NotFound),
    ):  # fmt: skip
        with pytest.raises(error):
            ask(world, deed, asked)
    assert list_proposals(world.engine, world.instant, every=True) == []


def test_what_fails_when_it_is_approved_is_told_and_not_tried_again(world: World) -> None:
    made = ask(world, CREDIT_NOTE, request(CREDIT_NOTE, world) | {"amount": "20.00"})
    one = ask(world, CREDIT_NOTE, request(CREDIT_NOTE, world) | {"amount": "15.00"}, BOB)
    assert decide(world, made.id).outcome == "done"
    failed = decide(world, one.id, ADA)
    assert state_of(failed, world.instant) == "failed" and "left to credit" in failed.says
    with refused("was approved already"):
        decide(world, one.id, ADA)
    assert verify(world.engine).findings == ()


def test_a_dispute_is_answered_and_not_asked_for_twice(world: World) -> None:
    asked = request(ANSWER_DISPUTE, world)
    decide(world, ask(world, ANSWER_DISPUTE, asked).id)
    assert show_dispute(world.engine, asked["dispute"]).status == "corrected"
    declined = request(ANSWER_DISPUTE, world) | {"reverse_runs": None, "reply": "no"}
    assert ask(world, ANSWER_DISPUTE, declined).status == "declined"


@pytest.mark.parametrize("other", ["operator ADA", " operator  ada ", "Operator Ada"])
def test_a_name_is_the_same_person_everywhere_and_however_it_is_written(world: World, other: str) -> None:
    made = ask(world, CREDIT, request(CREDIT, world))
    with refused("which is you"):
        decide(world, made.id, other)


def test_a_key_is_whoever_made_it(world: World) -> None:
    def key(by: str) -> str:
        with acting(by):
            return create_key(world.engine, "admin", None, world.instant).key.id

    adas, bobs = key(ADA), key(BOB)
    other = key(f"key {adas}")
    with acting(BOB):
        rotated, _ = rotate_key(world.engine, adas, world.instant)
    same = [ADA, f"key {adas}", f"key {other}", f"key {rotated.key.id}"]
    for asker, approver in ((same[0], same[1]), (same[1], same[0]), (same[2], same[0]), (same[1], same[2]),
                            (same[1], same[3]), (same[3], same[1]), (same[3], same[0])):  # fmt: skip
        made = ask(world, CREDIT, request(CREDIT, world), asker)
        with refused("which is you"):
            decide(world, made.id, approver)
    made = ask(world, CREDIT, request(CREDIT, world), f"key {adas}")
    assert decide(world, made.id, f"key {bobs}").outcome == "done"


@pytest.mark.behind_the_back
def test_a_request_that_was_changed_behind_the_back_is_not_done(world: World) -> None:
    made = ask(world, CREDIT, request(CREDIT, world))
    with writing(world.engine) as connection:
        more = made.request.replace("100.01", "999.01")
        connection.execute(table.update().values(request=more))
    with refused("is not what you looked at"):
        decide(world, made.id)
    with writing(world.engine) as connection:
        connection.execute(table.update().values(request_sha256=sha256(more)))
    with refused("is not what you looked at"):
        decide(world, made.id, sha256_seen=made.request_sha256)
    (finding,) = verify(world.engine).findings
    assert finding.says == f"proposal {made.id} was changed behind the service's back"
    assert show_credit(world.engine, "acme")["balance"] == 0


def test_of_many_who_approve_at_once_one_does(world: World) -> None:
    made = ask(world, CREDIT, request(CREDIT, world))

    def try_it(number: int) -> bool:
        try:
            return decide(world, made.id, f"operator {number}").outcome == "done"
        except Refused:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_it, range(8))) == 1
    assert show_credit(world.engine, "acme")["balance"] == 10_001
    assert verify(world.engine).findings == ()


class CutShort(SqlEventStore):
    """Ends in the middle of a correction, as a process that is killed does."""

    def correct(self, *_asked: object, **_noting: object) -> list[Verdict]:
        raise RuntimeError("killed")


def test_what_is_cut_short_is_not_done_again(world: World) -> None:
    made = ask(world, CORRECT, request(CORRECT, world))
    with acting(BOB), pytest.raises(RuntimeError):
        approve(replace(world.service, store=CutShort(world.engine)), made.id)
    assert state_of(show_proposal(world.engine, made.id), world.instant) == "approved"
    with refused("was approved already"):
        decide(world, made.id)
    again = ask(world, CORRECT, request(CORRECT, world))
    assert again.id != made.id and decide(world, again.id).outcome == "done"
    assert verify(world.engine).findings == ()


def test_there_are_no_other_proposals(world: World) -> None:
    for do in (lambda: decide(world, "prp_0"), lambda: show_proposal(world.engine, "prp_0"),
               lambda: refuse(world.service, "prp_0", "x")):  # fmt: skip
        with pytest.raises(NotFound):
            do()


@share(20)
@given(cents=st.integers(1, 30_000), limit=st.integers(0, 20_000))
def test_credit_above_a_limit_is_given_by_two_and_never_by_one(
    sqlite_databases: NewDatabase, cents: int, limit: int
) -> None:
    world = World(sqlite_databases())
    world.account()
    world.service.settings.second_person_credit = Decimal(limit).scaleb(-2)
    amount = f"{cents // 100}.{cents % 100:02d}"
    made = ask(world, CREDIT, {"account": "acme", "amount": amount, "reason": "x"})
    balance = show_credit(world.engine, "acme")["balance"]
    assert balance == (0 if cents > limit else cents)
    if isinstance(made, Proposal):
        decide(world, made.id)
        assert show_credit(world.engine, "acme")["balance"] == cents


def test_no_door_goes_around_it() -> None:
    """The doors do these deeds by `perform`: none of them knows the functions that do it at once."""
    deeds = {"add_credit", "load_plan_text", "load_versions", "correct", "credit_note", "answer_dispute"}
    found = []
    for door in ("api", "cli", "console", "pages"):
        for path in (ROOT / "billing" / door).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                named = (
                    {each.name for each in node.names} if isinstance(node, ast.ImportFrom)
                    else {node.attr} if isinstance(node, ast.Attribute) else set()
                )  # fmt: skip
                module = getattr(node, "module", None) or ""
                if named & deeds and module != "billing.cli":
                    found.append((path.relative_to(ROOT).as_posix(), sorted(named & deeds)))
    assert found == []


def test_the_request_is_kept_as_it_came(world: World) -> None:
    asked = {"account": "acme", "amount": "500.00", "reason": 'Ünïcode "x" 🙂'}
    made = ask(world, CREDIT, asked)
    assert json.loads(show_proposal(world.engine, made.id).request) == asked
