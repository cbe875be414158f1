"""Who is the same person: by the name that is recorded with what they do.

An operator is the same at the command line, in the console, and however the name is written. A key is the
same as whoever made it, as the keys that it took the place of, and as those that were made with it.
"""

from __future__ import annotations

import sqlalchemy as sa

from billing.repository import audit, keys

_KEY = "key "


def same_person(connection: sa.Connection, one: str, other: str) -> bool:
    return _folded(other) in _behind(connection, one) or _folded(one) in _behind(connection, other)


def _behind(connection: sa.Connection, name: str) -> set[str]:
    """The name, and whoever stands behind it if it is a key's."""
    found: set[str] = set()
    names = [name]
    while names:
        each = names.pop()
        if _folded(each) in found:
            continue
        found.add(_folded(each))
        if each.startswith(_KEY):
            key_id = each.removeprefix(_KEY)
            names += [f"{_KEY}{old}" for old in keys.replaced_by(connection, key_id)]
            maker = audit.author_of(connection, "key.created", key_id)
            names += [] if maker is None else [maker]
    return found


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
