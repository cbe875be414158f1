"""An entry of the audit trail, what seals it, and what differs between two states of a thing: pure.

An entry's seal is the SHA-256 of the seal before, a line feed, and the entry as one line of JSON (keys in
order, no spaces). So whoever knows the last seal knows that no entry before it was edited, removed or moved.
The detail, which may name people, is sealed by a digest of its own: it can be erased, and the trail still
holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

# What stands before the first entry.
NO_SEAL = "0" * 64

# The rows of a thing, by their place: `table/key` → column → value.
State = Mapping[str, Mapping[str, Any]]

# Of the state of a thing; None where there is none.
Digest = str | None


class Step(NamedTuple):
    """What a change did to a thing: the digest of its state as it found it, and as it left it."""

    was: Digest
    now: Digest


# What an entry says of a thing. The first entries ever said only what it was since.
Said = Step | Digest


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done, before it has its place in the trail. `states`: of each thing that it changed the digest
    of its state before and afterwards, None where there is none. `kind` says what things they are."""

    name: str
    kind: str
    subject: str
    account: str | None
    by: str
    request: str | None
    at: int
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[str, Said] = field(default_factory=dict)


BEGUN = "audit.begun"
"""The deed of the first entries: of what was there before there was a trail."""

ERASURE = "account.erased"
"""The deed that erases details, and says in its own of which entries."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A deed in its place. `detail` is the text that `detail_sha256` is of, None once it was erased. `states`
    are None where what is stored cannot be read."""

    number: int
    at: int
    by: str
    request: str | None
    deed: str
    kind: str
    subject: str
    account: str | None
    reason: str
    states: Mapping[str, Said] | None
    detail: str | None
    detail_sha256: str
    seal: str = ""

    def line(self) -> str:
        """What is sealed, as one line of JSON."""
        return canonical(
            {
                "number": self.number,
                "at": self.at,
                "by": self.by,
                "request": self.request,
                "deed": self.deed,
                "kind": self.kind,
                "subject": self.subject,
                "account": self.account,
                "reason": self.reason,
                "states": None if self.states is None else dict(self.states),
                "detail_sha256": self.detail_sha256,
            }
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the trail does not explain. `entry` is where, if it is in the trail itself."""

    says: str
    entry: int | None = None
    subject: str | None = None

    def to_data(self) -> dict[str, object]:
        return {"says": self.says, "entry": self.entry, "subject": self.subject}


def canonical(value: Any) -> str:
    """One line of JSON, the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_odd)


def _odd(value: object) -> dict[str, str]:
    """Something that this service never writes, such as bytes in a column of texts."""
    return {type(value).__name__: repr(value)}


def sha256(text: str) -> str:
    """Also of a text that is none in UTF-8, as `metering.database.reading_anything` reads it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def readable(text: object) -> str:
    """To be shown, whatever it is."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def said_in(detail: str | None) -> dict[str, Any] | None:
    """What a detail says; None where it cannot be read."""
    said = _parsed(detail)
    return said if isinstance(said, dict) else None


def parse_states(text: str) -> dict[str, Said] | None:
    """None where it cannot be read."""
    held = _parsed(text)
    if not isinstance(held, dict):
        return None
    found: dict[str, Said] = {}
    for subject, said in held.items():
        digests = said if isinstance(said, list) else [said]
        if not all(each is None or isinstance(each, str) for each in digests):
            return None
        if not isinstance(said, list):
            found[subject] = said
        elif len(said) == len(Step._fields):
            found[subject] = Step(*said)
        else:
            return None
    return found


def _parsed(text: object) -> object:
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def seal(previous: str, line: str) -> str:
    """
    >>> seal(NO_SEAL, "{}")[:8]
    'f1bdaf5c'
    """
    return sha256(f"{previous}\n{line}")


def sealed(deeds: Iterable[Deed], number: int, previous: str, salt: str) -> Iterator[Entry]:
    """The entries of deeds that come after entry `number`, whose seal is `previous`. The salt keeps a detail
    that was erased from being guessed by its digest."""
    for deed in deeds:
        number += 1
        detail = canonical({"salt": salt, **deed.detail})
        entry = Entry(
            number,
            deed.at,
            deed.by,
            deed.request,
            deed.name,
            deed.kind,
            deed.subject,
            deed.account,
            deed.reason,
            deed.states,
            detail,
            sha256(detail),
        )
        previous = seal(previous, entry.line())
        yield replace(entry, seal=previous)


def state_digest(state: State) -> Digest:
    """None where there is nothing.

    >>> state_digest({}) is None
    True
    """
    return sha256(canonical(state)) if state else None


def difference(before: State, after: State) -> dict[str, dict[str, Any]]:
    """What a change did, for people: of each row the columns that differ, before and after.

    >>> difference({"keys/1": {"scope": "read", "ends": None}}, {"keys/1": {"scope": "read", "ends": 5}})
    {'before': {'keys/1': {'ends': None}}, 'after': {'keys/1': {'ends': 5}}}
    """
    said: dict[str, dict[str, Any]] = {"before": {}, "after": {}}
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            said["after"][key] = dict(new)
        elif old is not None and new is None:
            said["before"][key] = dict(old)
        if old is None or new is None:
            continue
        changed = [column for column in {**old, **new} if new.get(column) != old.get(column)]
        if changed:
            said["before"][key] = {column: old.get(column) for column in changed}
            said["after"][key] = {column: new.get(column) for column in changed}
    return said


class Chain:
    """Goes along the trail and finds where it was touched."""

    def __init__(self) -> None:
        self.number = 0
        self.seal = NO_SEAL

    def follow(self, entry: Entry) -> list[Finding]:
        """What is wrong with the next entry."""
        found: list[Finding] = []
        if not isinstance(entry.number, int):
            return [Finding(f"an entry of the trail has the number {readable(entry.number)!r}")]
        if entry.number != self.number + 1:
            missing = f"entry {self.number + 1}"
            if entry.number > self.number + 2:
                missing = f"entries {self.number + 1} to {entry.number - 1}"
            found.append(Finding(f"{missing} of the trail is missing", entry.number))
        if entry.detail is not None and (
            not isinstance(entry.detail, str) or sha256(entry.detail) != entry.detail_sha256
        ):
            found.append(Finding(f"the detail of entry {entry.number} was edited", entry.number))
        if entry.states is None:
            found.append(Finding(f"entry {entry.number} was edited: its states cannot be read", entry.number))
        elif seal(self.seal, entry.line()) != entry.seal and not found:
            found.append(Finding(f"entry {entry.number} was edited, or moved to this place", entry.number))
        self.number, self.seal = entry.number, entry.seal
        return found

    def end(self, entries: int, last: str) -> list[Finding]:
        """What is wrong with the end, which is kept beside the entries."""
        if self.number != entries:
            return [Finding(f"the trail ends at entry {self.number}; it had {entries} entries", self.number)]
        if self.seal != last:
            return [Finding(f"entry {self.number} is not the last one that was written", self.number)]
        return []
