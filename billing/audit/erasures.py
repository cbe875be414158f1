"""Whose details are gone from the trail, and which erasures of accounts account for it: pure.

An erasure's entry names the entries whose details it erased. The first ones ever said only how many: of these
it can only be said that as many are gone before the last of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from billing.audit.entry import ERASURE, Entry, Finding, said_in


class Erasures:
    """Goes along the trail, and finds at its end what is gone or back without an erasure that says so."""

    def __init__(self) -> None:
        self._gone: set[int] = set()
        self._named: set[int] = set()
        self._back: set[int] = set()
        self._missing: list[range] = []
        self._last = 0
        self._counted = 0
        self._counted_before = 0

    @property
    def count(self) -> int:
        """Of the details that are gone."""
        return len(self._gone)

    def follow(self, entry: Entry) -> None:
        if not isinstance(entry.number, int):
            return  # a finding by itself
        if entry.number > self._last + 1:
            self._missing.append(range(self._last + 1, entry.number))
        self._last = entry.number
        if entry.detail is None:
            self._gone.add(entry.number)
        said = said_in(entry.detail) if entry.deed == ERASURE else None
        if said is None:
            return
        numbers = said.get("details_of")
        if isinstance(numbers, list):
            named = {each for each in numbers if isinstance(each, int) and each < entry.number}
            self._named |= named
            self._back |= {each for each in named - self._gone if not self._is_missing(each)}
            return
        erased = said.get("erased")
        count = erased.get("audit_details") if isinstance(erased, dict) else None
        if isinstance(count, int) and count:
            self._counted += count
            self._counted_before = entry.number

    def _is_missing(self, number: int) -> bool:
        """Whether the whole entry is: a finding by itself."""
        return any(number in each for each in self._missing)

    def end(self) -> Iterator[Finding]:
        unnamed = self._gone - self._named
        later = {number for number in unnamed if number >= self._counted_before}
        for number in sorted(later):
            yield Finding(f"the detail of entry {number} is gone, and no erasure tells of it", number)
        for number in sorted(self._back):
            yield Finding(f"the detail of entry {number} is there again, which was erased", number)
        counted = len(unnamed - later)
        if counted != self._counted:
            says = f"{counted:,} entries before entry {self._counted_before} have no details that no erasure"
            yield Finding(f"{says} names, and those that name none tell of {self._counted:,}")
