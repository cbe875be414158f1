"""Verifies the audit trail: that nobody touched it, and that what it tells of is as it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from billing.audit.entry import Chain, Digest, Entry, Finding, Step, readable
from billing.audit.erasures import Erasures
from billing.errors import Invalid
from billing.repository import audit
from billing.repository.audited import KINDS, digests, ids
from metering.database import reading_anything

# Findings that are named; all are counted.
NAMED = 100
_NO_END = Finding("the trail has lost its end: the table audit_end is to have one row")


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at and found. `seal` is that of the last entry: kept elsewhere, it proves later that
    nothing before it was rewritten."""

    entries: int
    erased: int
    subjects: int
    seal: str
    count: int
    findings: tuple[Finding, ...]

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "entries": self.entries,
            "erased_details": self.erased,
            "subjects": self.subjects,
            "seal": f"{self.entries}:{self.seal}",
            "findings_count": self.count,
            "findings": [each.to_data() for each in self.findings],
        }


def parse_seal(text: str) -> tuple[int, str]:
    """A seal as `verify` tells it: `NUMBER:SHA256`. Raises Invalid."""
    number, _, digest = text.strip().partition(":")
    if not number.isascii() or not number.isdecimal() or len(number) > 18 or len(digest) != 64:
        raise Invalid(
            "seal must be a number, a colon and 64 hexadecimal digits, as `billing audit verify` told it",
            field="seal",
        )
    return int(number), digest.lower()


def verify(engine: sa.Engine, noted: str | None = None) -> Verified:
    """Go through the whole trail, and compare each thing that is audited with the last entry about it.
    `noted`: a seal that was kept elsewhere. Raises Invalid for one that can be none."""
    known = None if noted is None else parse_seal(noted)
    with reading_anything(engine) as connection:
        chain = Chain()
        held: dict[str, dict[str, Digest]] = {kind: {} for kind in KINDS}
        found: list[Finding] = []
        count = 0
        subjects = 0

        def add(findings: Iterator[Finding] | list[Finding]) -> None:
            nonlocal count
            for each in findings:
                count += 1
                if len(found) < NAMED:
                    found.append(each)

        seen = known is None or known[0] == 0
        erasures = Erasures()
        for entry in audit.every(connection):
            add(chain.follow(entry))
            erasures.follow(entry)
            if entry.kind in held:
                add(_follow(entry, held[entry.kind]))
            if known is not None and entry.number == known[0]:
                seen = True
                if entry.seal != known[1]:
                    add([Finding(f"entry {entry.number} has another seal than the one given", entry.number)])
        if not seen and known is not None:
            add([Finding(f"the trail has no entry {known[0]}, whose seal was given", None)])
        last = audit.end(connection)
        add([_NO_END] if last is None else chain.end(*last))
        add(erasures.end())
        for kind, said in held.items():
            subjects += sum(digest is not None for digest in said.values())
            add(_compare(connection, kind, said))
        return Verified(chain.number, erasures.count, subjects, chain.seal, count, tuple(found))


def _follow(entry: Entry, last: dict[str, Digest]) -> Iterator[Finding]:
    """Notes in `last` what the entry says, and finds what it found other than the entries before it left it:
    it was changed in between, and the service has changed it since, too."""
    for subject, said in (entry.states or {}).items():
        if isinstance(said, Step):
            what = _differs(last.get(subject), said.was)
            if what is not None:
                yield _finding(entry.kind, subject, what, entry.number)
        last[subject] = said.now if isinstance(said, Step) else said


def _compare(connection: sa.Connection, kind: str, last: dict[str, Digest]) -> Iterator[Finding]:
    """Takes out of `last` what is there as the trail says."""
    for page in ids(connection, kind):
        some = [each for each in page if readable(each) == each]
        for each in page:
            if readable(each) != each:  # no text, and nothing can be asked about it
                yield _finding(kind, each, "made")
        for each, held in digests(connection, kind, some).items():
            said = last.pop(each, None)
            if said is None:
                yield _finding(kind, each, "made")
            elif said != held:
                yield _finding(kind, each, "changed")
    for each, said in last.items():
        if said is not None:
            yield _finding(kind, each, "removed")


def _finding(kind: str, subject: str, what: str, entry: int | None = None) -> Finding:
    where = "" if entry is None else f" before entry {entry}"
    says = f"{kind.replace('_', ' ')} {readable(subject)} was {what} behind the service's back{where}"
    return Finding(says, entry, readable(subject))


def _differs(said: Digest, held: Digest) -> str | None:
    """What became of a thing between what the trail says and what is held; None if nothing."""
    if said == held:
        return None
    if said is None:
        return "made"
    return "removed" if held is None else "changed"
