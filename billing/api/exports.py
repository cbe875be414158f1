"""/v1/exports: a month's usage, invoices and contracts as files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path as File
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse

from billing.api.auth import Reader
from billing.api.door import TheDoor
from billing.api.openapi import KEYED, errors
from billing.api.params import AccountId, month_of
from billing.errors import NotFound
from billing.exports.csv_file import csv_lines
from billing.exports.operation import MEDIA_TYPES, Format, What, export, file_name, written
from billing.exports.table import Table

router = APIRouter(prefix="/v1/exports", tags=["exports"])

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILES = {200: {"content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY)}}
_PIECE = 256 << 10
_OUR_BOOKS = ("revenue", "journal")


@router.get(
    "/{what}",
    summary="A month's usage, invoices, contracts, charges in FOCUS, revenue, or journal",
    response_class=StreamingResponse,
    responses=_FILES | KEYED | errors(404),
)
def exports(
    door: TheDoor,
    caller: Reader,
    what: Annotated[What, Path(description="What of the month.")],
    month: Annotated[str, Query(description="A month, `YYYY-MM`.", examples=["2026-10"])],
    format: Annotated[Format, Query(description="Of the file.")] = "csv",
    account: Annotated[AccountId | None, Query(description="Of one account only.")] = None,
) -> Response:
    """`usage`: a row an account, day, workspace and flow. `invoices`: a row a line. `contracts`: a row a
    contract, with the figures of its report. `focus`: a row a charge, in the columns of FOCUS 1.2.
    `revenue`: a row a figure of the month's report. `journal`: a row a posting. Amounts in major units. A
    bound key sees what is its account's; our books it does not."""
    wanted = month_of(month)
    if what in _OUR_BOOKS and caller.account is not None:
        raise NotFound(f"there is no {what} for a key that is bound to an account", field="what")
    if caller.account is not None and account not in (None, caller.account):
        raise NotFound(f"there is no account {account!r}", field="account")
    table = export(door.service, what, wanted, account=caller.account or account)
    pieces = csv_lines(table) if format == "csv" else _file(table, format)
    first = next(pieces)  # what fails, fails before the answer begins
    headers = {"Content-Disposition": f'attachment; filename="{file_name(what, wanted, format)}"'}
    return StreamingResponse(chain([first], pieces), media_type=MEDIA_TYPES[format], headers=headers)


def _file(table: Table, format: Format) -> Iterator[bytes]:
    """A format that is not written from beginning to end is written to disk first."""
    with ExitStack() as held:
        place: File = held.enter_context(written(table, format))
        with place.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
