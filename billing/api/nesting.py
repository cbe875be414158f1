"""How deep a JSON text is nested, without building any of it."""

from __future__ import annotations

import re

# A text that does not end is one to the end: whatever it is, it is gone through once.
_MARKS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_OPEN = (b"[", b"{")
_CLOSE = (b"]", b"}")


def is_deeper(text: bytes, most: int) -> bool:
    """Whether arrays and objects lie in one another more than `most` deep.

    >>> is_deeper(b'[[["]]]]"]]]', 3), is_deeper(b'[[["]]]]"]]]', 2)
    (False, True)
    """
    if text.count(b"[") + text.count(b"{") <= most:
        return False
    depth = 0
    for mark in _MARKS.finditer(text):
        sign = mark[0]
        if sign in _OPEN:
            depth += 1
            if depth > most:
                return True
        elif sign in _CLOSE:
            depth -= 1
    return False
