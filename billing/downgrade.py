"""Takes the schema back to an older one, with what it holds: says first what that would lose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from billing.audit.entry import Digest
from billing.audit.trail import changed_many
from billing.audit_tables import audit_entries
from billing.errors import Invalid, Refused
from billing.repository.audited import AT_ONCE, KINDS, digests, ids
from billing.schema import back_one, held_revision, lock, migrations, to_head
from metering.database import migrating

DEED = "schema.taken_back"
# Counted from the runs, and counted again by a newer version.
_COUNTED_AGAIN = frozenset(
    {"usage_changes", "usage_days", "usage_months", "usage_hours", "run_buckets", "audit_end"}
)

# Of each thing of a kind the digest of what it is.
_States = dict[str, dict[str, Digest]]


@dataclass(frozen=True, slots=True)
class Step:
    """A migration that is taken back. `lost`: tables with how many rows they have, and columns with how many
    rows have something in them. `says`: what else becomes of it."""

    revision: str
    title: str
    lost: Mapping[str, int]
    says: str

    def to_data(self) -> dict[str, object]:
        return {"revision": self.revision, "title": self.title, "lost": dict(self.lost), "says": self.says}


@dataclass(frozen=True, slots=True)
class TakenBack:
    """From one revision to another, the newest step first. Not `done` where something would be lost."""

    begins: str
    ends: str
    steps: tuple[Step, ...]
    done: bool

    @property
    def loses(self) -> bool:
        return any(step.lost for step in self.steps)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        steps = [step.to_data() for step in self.steps]
        return {"from": self.begins, "to": self.ends, "steps": steps, "loses": self.loses, "done": self.done}


class _OnlyLooking(Exception):  # noqa: N818 - it is no error
    """Nothing of the transaction is to stay."""


def take_back(engine: sa.Engine, to: str, *, now: int, may_lose: bool = False) -> TakenBack:
    """Take migrations back until the schema is that of revision `to`, in one transaction; nothing is done
    where something would be lost, unless `may_lose`. The service must not run. Raises Invalid for a revision
    that is none, Refused where a migration cannot be taken back with what is held."""
    names = [each.revision for each in migrations()]
    if to not in names:
        raise Invalid(f"there is no revision {to!r}; known: {', '.join(reversed(names))}", field="to")
    steps: list[Step] = []
    begins = names[0]
    try:
        with migrating(engine) as connection:
            lock(connection)
            begins = held_revision(connection) or ""
            if begins != names[0]:
                raise Refused("the schema is not this version's; bring it there first: billing init")
            before = _all_states(connection)
            steps = _go_back(connection, to)
            if any(step.lost for step in steps) and not may_lose:
                raise _OnlyLooking
            if sa.inspect(connection).has_table(audit_entries.name):
                # What the trail tells of is now as an upgrade will find it: there and back again shows how.
                to_head(connection)
                _note(connection, before, now)
                _go_back(connection, to)
    except _OnlyLooking:
        return TakenBack(begins, to, tuple(steps), False)
    return TakenBack(begins, to, tuple(steps), True)


def _go_back(connection: sa.Connection, to: str) -> list[Step]:
    steps: list[Step] = []
    held = _held(connection)
    for each in migrations():
        if each.revision == to:
            return steps
        try:
            back_one(connection)
        except RuntimeError as error:
            raise Refused(f"revision {each.revision} cannot be taken back: {error}") from None
        left = _held(connection)
        gone = {name: rows for name, rows in held.items() if rows and name not in left}
        # Of a table that is gone its columns are not told of.
        lost = {name: rows for name, rows in gone.items() if "." not in name or name.split(".")[0] in left}
        title, _, _ = (each.doc or "").partition("\n")
        says = " ".join((each.module.downgrade.__doc__ or "").split())
        steps.append(Step(each.revision, title, lost, says))
        held = left
    raise AssertionError(f"{to} is a revision")


def _held(connection: sa.Connection) -> dict[str, int]:
    """How many rows each table has, and how many each `table.column` that may be empty."""
    found: dict[str, int] = {}
    for (_, name), columns in sa.inspect(connection).get_multi_columns().items():
        if name in _COUNTED_AGAIN:
            continue
        table = sa.table(name)
        empty = [each["name"] for each in columns if each["nullable"]]
        counts = [sa.func.count(), *(sa.func.count(sa.column(each)) for each in empty)]
        rows, *filled = connection.execute(sa.select(*counts).select_from(table)).one()
        found[name] = rows
        found |= {f"{name}.{column}": count for column, count in zip(empty, filled, strict=True)}
    return found


def _all_states(connection: sa.Connection) -> _States:
    found: _States = {}
    for kind in KINDS:
        found[kind] = {}
        for some in ids(connection, kind):
            found[kind] |= digests(connection, kind, some)
    return found


def _note(connection: sa.Connection, before: _States, now: int) -> None:
    after = _all_states(connection)
    for kind, held in before.items():
        changed = sorted(each for each, digest in held.items() if after[kind].get(each) != digest)
        for at in range(0, len(changed), AT_ONCE):
            changed_many(connection, DEED, kind, changed[at : at + AT_ONCE], now=now, was=held)
