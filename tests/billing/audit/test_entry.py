"""What seals the trail: worked out by hand, and any edit, removal or exchange is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.audit.entry import NO_SEAL, Chain, Deed, Entry, difference, sealed, state_digest

DEED = Deed(
    "key.revoked", "key", "key_1", None, "key key_0", "r-1", 7, "lost", {"before": {}}, {"key_1": "ab"}
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
deeds = st.builds(
    Deed,
    texts,
    texts,
    texts,
    st.none() | texts,
    texts,
    st.none() | texts,
    st.integers(0, 2**62),
    texts,
    st.dictionaries(texts, texts, max_size=2),
    st.dictionaries(texts, st.none() | texts, max_size=2),
)


def trail(*done: Deed) -> list[Entry]:
    entries: list[Entry] = []
    for deed in done:
        last = entries[-1] if entries else None
        entries += sealed([deed], last.number if last else 0, last.seal if last else NO_SEAL, "salt")
    return entries


def findings(entries: list[Entry], end: Entry) -> list[str]:
    chain = Chain()
    found = [each.says for entry in entries for each in chain.follow(entry)]
    return found + [each.says for each in chain.end(end.number, end.seal)]


def test_a_seal_is_the_digest_of_the_seal_before_and_the_entry_as_one_line() -> None:
    first, second = trail(DEED, replace(DEED, name="key.made"))
    line = (
        '{"account":null,"at":7,"by":"key key_0","deed":"key.revoked",'
        '"detail_sha256":"' + hashlib.sha256(b'{"before":{},"salt":"salt"}').hexdigest() + '",'
        '"kind":"key","number":1,"reason":"lost","request":"r-1","states":{"key_1":"ab"},"subject":"key_1"}'
    )
    assert first.line() == line
    assert first.seal == hashlib.sha256(f"{'0' * 64}\n{line}".encode()).hexdigest()
    assert second.seal == hashlib.sha256(f"{first.seal}\n{second.line()}".encode()).hexdigest()


def test_what_differs() -> None:
    before = {"accounts/a": {"name": "A", "email": ""}, "deliveries/c/1": {"on": "2026-10-01"}}
    after = {"accounts/a": {"name": "B", "email": ""}, "account_terms/a/1": {"kind": "plan"}}
    assert difference(before, after) == {
        "before": {"accounts/a": {"name": "A"}, "deliveries/c/1": {"on": "2026-10-01"}},
        "after": {"accounts/a": {"name": "B"}, "account_terms/a/1": {"kind": "plan"}},
    }
    assert state_digest(before) != state_digest(after)
    assert state_digest({"b": {"y": 1, "x": 2}, "a": {}}) == state_digest({"a": {}, "b": {"x": 2, "y": 1}})


@given(st.lists(deeds, min_size=1, max_size=6))
def test_an_untouched_trail_holds(done: list[Deed]) -> None:
    entries = trail(*done)
    assert findings(entries, entries[-1]) == []
    # Erased details are no edits.
    assert findings([replace(each, detail=None) for each in entries], entries[-1]) == []


@given(st.lists(deeds, min_size=1, max_size=6), st.data())
def test_every_edit_is_found(done: list[Deed], data: st.DataObject) -> None:
    entries = trail(*done)
    end = entries[-1]
    at = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(st.sampled_from([name for name in Entry.__slots__ if name != "number"]))
    held = getattr(entries[at], field)
    other: Any = {
        "at": st.integers(0, 2**62),
        "states": st.dictionaries(texts, st.none() | texts, min_size=1),
        "detail": texts,
    }.get(field, texts)
    made = data.draw(other.filter(lambda value: not _same(value, held)))
    entries[at] = replace(entries[at], **{field: made})
    assert findings(entries, end)


def _same(value: object, held: object) -> bool:
    if isinstance(value, Mapping) and isinstance(held, Mapping):
        return json.dumps(dict(value), sort_keys=True) == json.dumps(dict(held), sort_keys=True)
    return value == held


@given(st.lists(deeds, min_size=1, max_size=6), st.data())
def test_every_removal_and_exchange_is_found(done: list[Deed], data: st.DataObject) -> None:
    entries = trail(*done)
    end = entries[-1]
    at = data.draw(st.integers(0, len(entries) - 1))
    assert findings(entries[:at] + entries[at + 1 :], end)
    if len(entries) > 1:
        other = data.draw(st.integers(0, len(entries) - 1).filter(lambda place: place != at))
        moved = list(entries)
        moved[at], moved[other] = moved[other], moved[at]
        assert findings(moved, end)
        # Also with their numbers exchanged.
        renumbered = [replace(entry, number=place + 1) for place, entry in enumerate(moved)]
        assert findings(renumbered, end)
    assert findings([*entries, replace(end, number=end.number + 1)], end)
