"""The record of corrections is what the trail says: who corrected which task runs, when, and why."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from billing.audit.entry import canonical, seal, sha256
from billing.audit.reading import list_entries
from billing.audit_tables import audit_end, audit_entries
from billing.corrections import confirm
from billing.errors import Invalid, NotFound
from billing.reporting.everything import prove
from billing.repository.audit import Wanted
from metering.outcome import Action
from metering.store import Correction
from tests.billing.reporting.behind import corrected, found, made, rewrite
from tests.events import runs
from tests.world import World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return made(engine)


CORRECTIONS = [
    "UPDATE task_run_corrections SET author = 'bob' WHERE author = 'ann'",
    "UPDATE task_run_corrections SET reason = 'asked' WHERE reason = 'once'",
    "UPDATE task_run_corrections SET recorded_at = 1 WHERE author = 'key key_1'",
    "UPDATE task_run_corrections SET place = place + 7, author = 'key key_2' WHERE author = 'key key_1'",
    "DELETE FROM task_run_corrections WHERE author = 'ann' AND place = 0",
]


@pytest.mark.behind_the_back
@pytest.mark.parametrize("statement", CORRECTIONS)
def test_the_record_of_corrections_is_what_the_trail_says(world: World, statement: str) -> None:
    assert found(world) == []
    rewrite(world, statement)
    (says,) = found(world)
    assert says.startswith("the record of corrections at position ")


def forge(world: World, position: int, *, reason: str = "asked", at: int = 7) -> None:
    """A reversal of a run that nobody asked for, behind the service's back."""
    columns = "recorded_at, place, action, author, reason, bucket, account_id, run_key"
    rewrite(
        world,
        f"INSERT INTO task_run_corrections (position, {columns}) "
        f"SELECT {position}, {at}, 50, action, 'ann', '{reason}', bucket, account_id, task_runs.run_key "
        "FROM task_runs CROSS JOIN (SELECT min(action) AS action FROM task_run_corrections) AS reverse "
        "WHERE run_key IN (SELECT max(run_key) FROM task_runs WHERE account_id ="
        " (SELECT min(account_id) FROM task_run_corrections))",
    )


def positions(world: World) -> list[int]:
    with world.engine.connect() as connection:
        query = "SELECT DISTINCT position FROM task_run_corrections ORDER BY position"
        return list(connection.exec_driver_sql(query).scalars())


@pytest.mark.behind_the_back
def test_a_correction_that_nobody_made_is_found_until_it_is_confirmed(world: World) -> None:
    forge(world, 5_000)
    (says,) = found(world)
    assert says.startswith("no entry tells of the correction at position 5000: 1 task runs of acme, such as ")
    assert "reverse at 1970-01-01T00:00:00.000007Z" in says
    assert "billing corrections confirm 5000 --reason TEXT" in says
    with pytest.raises(NotFound, match="nothing was corrected at position 6000"):
        confirm(world.engine, [5_000, 6_000], "x", now=world.instant)
    for wrong in ([], [5_000]):
        with pytest.raises(Invalid) as caught:
            confirm(world.engine, wrong, "" if wrong else "x", now=world.instant)
        assert caught.value.field == ("reason" if wrong else "positions")
    assert found(world) == [says]
    assert confirm(world.engine, [5_000], "a crash, ticket 1", now=world.instant) == 1
    assert prove(world.engine, world.store).trail.findings == () and found(world) == []
    (entry,) = list_entries(world.engine, Wanted(deed="runs.confirmed"))
    assert (entry.account, entry.reason) == ("acme", "a crash, ticket 1")
    rewrite(world, "UPDATE task_run_corrections SET author = 'bob' WHERE position = 5000")
    assert found(world) == [
        f"the record of corrections at position 5000 is not what entry {entry.number} says: who corrected"
        " which task runs, and why"
    ]


@pytest.mark.behind_the_back
def test_a_correction_that_was_put_beside_a_true_one_is_found(world: World) -> None:
    """In its transaction, for its reason, at its instant."""
    first = positions(world)[0]
    forge(world, first, reason="twice", at=world.instant - 1)
    (says,) = found(world)
    assert says.startswith(f"the record of corrections at position {first} is not what entry ")


def as_older_services_wrote_it(world: World) -> None:
    """Entries that do not say which part of the record they are of."""
    with world.engine.begin() as connection:
        entries = connection.execute(sa.select(audit_entries).order_by(audit_entries.c.number)).all()
        last = "0" * 64
        for row, entry in zip(entries, reversed(list_entries(world.engine, Wanted())), strict=True):
            said = json.loads(row.detail)
            said.pop("position", None)
            said.pop("record_sha256", None)
            digest = sha256(canonical(said))
            last = seal(last, replace(entry, detail_sha256=digest).line())
            mine = audit_entries.update().where(audit_entries.c.number == row.number)
            values = {"detail": canonical(said), "detail_sha256": digest, "seal": last}
            connection.execute(mine.values(values))
        connection.execute(audit_end.update().values(seal=last))


@pytest.mark.behind_the_back
@pytest.mark.parametrize("statement", [*CORRECTIONS, None])
def test_what_an_older_service_recorded_is_compared_by_its_instant(
    world: World, statement: str | None
) -> None:
    as_older_services_wrote_it(world)
    assert prove(world.engine, world.store).ok
    if statement is None:  # a service that was killed between the record and its entry
        left = Correction(Action.REVERSE, "asked", "ann")
        world.store.correct("acme", ["run-0000006"], left, world.instant)
        assert [each[:44] for each in found(world)] == ["no entry tells of the correction at position"]
        confirm(world.engine, positions(world)[-1:], "a crash", now=world.instant)
        assert prove(world.engine, world.store).ok
        return
    rewrite(world, statement)
    assert found(world)


# Which correction of a run is the last one: it holds, so an invoice depends on it.
SWAPPED = (
    "UPDATE task_run_corrections SET position = 999999 WHERE position = {0}",
    "UPDATE task_run_corrections SET position = {0} WHERE position = {1}",
    "UPDATE task_run_corrections SET position = {1} WHERE position = 999999",
)
OF_BOTH = "SET {0} = {{2}} - {0} WHERE position IN ({{0}}, {{1}})"
ORDER = [
    SWAPPED,
    (*SWAPPED, f"UPDATE meter_commits {OF_BOTH.format('committed_at')}"),
    (*SWAPPED, f"UPDATE task_run_corrections {OF_BOTH.format('recorded_at')}"),
    ("UPDATE task_run_corrections SET position = position + 1 WHERE position = {1}",),
    ("UPDATE task_run_corrections SET position = position + 1000",),
]


@pytest.mark.behind_the_back
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("statements", ORDER)
def test_the_order_of_corrections_is_what_the_trail_says(
    world: World, statements: tuple[str, ...], older: bool
) -> None:
    """Twenty runs were reversed and then restored; swapped, they stay reversed."""
    sent = runs(20, prefix="swapped")
    world.send(sent)
    at = world.instant
    for action in ("reverse", "restore"):
        world.instant += 1
        corrected(world, [each.task_run_id for each in sent], action, action, "ann")
    if older:
        as_older_services_wrote_it(world)
    assert prove(world.engine, world.store, counters=True).ok
    first, second = positions(world)[-2:]
    for statement in statements:
        rewrite(world, statement.format(first, second, 2 * at + 3))
    says = found(world)
    assert says and all("corrections" in each for each in says), says


@pytest.mark.behind_the_back
def test_other_places_in_a_correction_are_found(world: World) -> None:
    """Older entries do not say them; they order nothing but the list."""
    rewrite(world, "UPDATE task_run_corrections SET place = place + 10")
    assert len(found(world)) == 3


@pytest.mark.behind_the_back
def test_corrections_of_a_clock_that_was_put_back_are_no_finding(world: World) -> None:
    corrected(world, ["run-0000007"], "reverse", "a", "ann")
    world.instant -= 50
    corrected(world, ["run-0000007"], "restore", "b", "ann")
    assert found(world) == []
    as_older_services_wrote_it(world)
    assert found(world) == []
