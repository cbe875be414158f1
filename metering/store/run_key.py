"""How a task run id is stored: a UUID in 16 bytes, anything else as its text; and its bucket.

Most orchestrators name runs by UUID; 16 bytes instead of 36 halve the index that every event must touch. A
UUIDv7 begins with the time of its making: ids of about 17 minutes share a bucket, and lie together. It is
part of the key, but no part of the identity: it follows from the id alone, and never changes.
"""

from __future__ import annotations

import re
from binascii import hexlify, unhexlify
from collections.abc import Sequence

UUID_BYTES = 16

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII).fullmatch


def encode(task_run_id: str) -> bytes:
    """16 bytes for a UUID in its canonical lower-case form; otherwise NUL and the UTF-8 text, never 16 bytes
    long. Among keys of one kind, byte order is the order of the ids' own bytes.

    >>> len(encode("0192d3a4-5b6c-7d8e-9f00-112233445566")), encode("run-1")
    (16, b'\\x00run-1')
    """
    if len(task_run_id) == 36 and _UUID(task_run_id) is not None:
        return unhexlify(task_run_id.replace("-", ""))
    key = b"\0" + task_run_id.encode()
    return key + b"\0" if len(key) == UUID_BYTES else key


def encode_all(task_run_ids: Sequence[str]) -> list[bytes]:
    """Each id as `encode` stores it; a third of the time where all of them are UUIDs.

    >>> encode_all(["0192d3a4-5b6c-7d8e-9f00-112233445566"])[0].hex()
    '0192d3a45b6c7d8e9f00112233445566'
    """
    quantity = len(task_run_ids)
    text = "".join(task_run_ids)
    if (
        all(text[place::36] == "-" * quantity for place in (8, 13, 18, 23))
        and text.isascii()
        and text.lower() == text
        and set(map(len, task_run_ids)) == {36}
    ):
        try:
            raw = unhexlify(text.replace("-", ""))
        except ValueError:
            pass  # some are no UUIDs
        else:
            if len(raw) == 16 * quantity:
                return [raw[start : start + 16] for start in range(0, len(raw), 16)]
    return [encode(task_run_id) for task_run_id in task_run_ids]


def decode(key: bytes) -> str:
    """The id that `encode` was given."""
    if len(key) == UUID_BYTES:
        text = hexlify(key).decode()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return key.strip(b"\0").decode()


def least_uuid(text: str) -> bytes | None:
    """The least key of a UUID whose id is not before a text, in the order of their bytes: where to begin to
    look. None: all are before it.

    >>> least_uuid("0192d3a4-5").hex(), least_uuid("run-1"), least_uuid("").hex()[:4]
    ('0192d3a4500000000000000000000000', None, '0000')
    """
    digits = ""
    for place, here in enumerate(text[:36]):
        if place in (8, 13, 18, 23):
            if here != "-":
                return _padded(digits) if here < "-" else _above(digits)
        elif here in "0123456789abcdef":
            digits += here
        elif "9" < here < "a":
            return _padded(digits + "a")
        else:
            return _padded(digits) if here < "0" else _above(digits)
    return _above(digits) if len(text) > 36 else _padded(digits)


def _padded(digits: str) -> bytes:
    return unhexlify(digits.ljust(2 * UUID_BYTES, "0"))


def _above(digits: str) -> bytes | None:
    """The least key that is above all that begin with these digits."""
    above = f"{int(digits or '0', 16) + 1:0{len(digits)}x}"
    return _padded(above) if digits and len(above) == len(digits) else None


# The bucket of ids that do not tell a time.
NO_TIME = 0
# Bits of a UUIDv7's first 32 that do not name its bucket: 2**20 milliseconds are 17 minutes.
BUCKET_SHIFT = 4


def bucket_from(key: bytes) -> int:
    """The first bucket that may have this UUID's key, or one above it."""
    return int.from_bytes(key[:4], "big") >> BUCKET_SHIFT


def bucket(key: bytes) -> int:
    """The bucket of a key: in the order of the keys, for those that have a time.

    >>> bucket(encode("0192d3a4-5b6c-7d8e-9f00-112233445566")), bucket(encode("run-1"))
    (1649978, 0)
    """
    if len(key) == UUID_BYTES and key[6] >> 4 == 7 and key[8] >> 6 == 2:
        return bucket_from(key)
    return NO_TIME
