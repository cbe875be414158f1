"""What a browser sends of a form: fields, and perhaps a file. It is read before anybody is known to have sent
it, so it is gone through once, and what is not of a form that we made is no form."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

from billing.console.visit import FormFields

# A form names a page of drafts at most, and the fields of what is written.
_MOST_FIELDS = 300
_MULTIPART = "multipart/form-data"
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(r'[;\s]name="([^"]{1,200})"')
_FILE = re.compile(r'[;\s]filename="([^"]{0,1000})"')
_HEADERS_END = b"\r\n\r\n"
_LONGEST_HEADERS = 2_000


async def read_form(request: Request) -> FormFields:
    """Each name with its values; that of a file with its text, and `NAME.name` with what the file is called.
    Raises HTTPException."""
    body = await request.body()
    kind = request.headers.get("content-type", "")
    try:
        if kind.startswith(_MULTIPART):
            return _parts(kind, body)
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise HTTPException(422, "This form cannot be read.") from None


def _parts(kind: str, body: bytes) -> FormFields:
    """As RFC 7578 has it. Raises ValueError."""
    named = _BOUNDARY.search(kind)
    if named is None:
        raise ValueError("no boundary")
    mark = b"--" + (named[1] or named[2]).encode("latin-1")
    # The first begins the body; each further one begins a line. What is before the first and after the last
    # is nothing.
    pieces = (b"\r\n" + body).split(b"\r\n" + mark, _MOST_FIELDS + 1)
    found: dict[str, list[str]] = {}
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            return found
        end = piece.find(_HEADERS_END, 0, _LONGEST_HEADERS)
        if end < 0:
            raise ValueError("a part without headers")
        headers = piece[:end].decode("utf-8")
        if (name := _NAME.search(headers)) is None:
            continue
        found.setdefault(name[1], []).append(piece[end + len(_HEADERS_END) :].decode("utf-8"))
        if (file := _FILE.search(headers)) is not None:
            found.setdefault(f"{name[1]}.name", []).append(file[1])
    raise ValueError("too many fields, or cut short")
