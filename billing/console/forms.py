"""What a browser sends of a form: fields, and perhaps a file."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

from billing.console.visit import FormFields

# A form names a page of drafts at most, and the fields of what is written.
_MOST_FIELDS = 300


async def read_form(request: Request) -> FormFields:
    """Each name with its values; that of a file with its text, and `NAME.name` with what the file is called.
    Raises HTTPException."""
    body = await request.body()
    kind = request.headers.get("content-type", "")
    try:
        if kind.startswith("multipart/form-data"):
            return _parts(kind, body)
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise HTTPException(422, "This form cannot be read.") from None


def _parts(kind: str, body: bytes) -> FormFields:
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + kind.encode("latin-1", "replace") + b"\r\n\r\n" + body
    )
    found: dict[str, list[str]] = {}
    for part in list(message.iter_parts())[:_MOST_FIELDS] if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        held = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(held, bytes):
            continue
        found.setdefault(name, []).append(held.decode("utf-8"))
        if (file := part.get_filename()) is not None:
            found.setdefault(f"{name}.name", []).append(file)
    return found
