"""/v1/audit: who changed what, when, from what to what."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Admin
from billing.api.door import TheDoor, answer
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import instant_of
from billing.audit.reading import entry_data, export_lines, list_entries, show_entry
from billing.audit.verification import verify
from billing.errors import Invalid
from billing.repository.audit import Wanted

router = APIRouter(prefix="/v1/audit", tags=["audit"])

_LARGEST = 2**63 - 1
_LINES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
}


class EntryAnswer(BaseModel):
    """`before` and `after` hold the rows that changed, of each the columns that differ; `more` is what else
    was noted. Of things that were made together there is one entry, which counts them."""

    number: int
    at: str
    by: str
    request: str | None
    deed: str
    kind: str
    subject: str | None
    subjects: int | None
    account: str | None
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    more: dict[str, Any] | None
    erased: bool = Field(description="Its detail was erased; that it happened was not.")
    seal: str


class FindingAnswer(BaseModel):
    says: str
    entry: int | None
    subject: str | None


class VerifiedAnswer(BaseModel):
    """`seal` is that of the last entry: keep it elsewhere, and give it the next time."""

    entries: int
    erased_details: int
    subjects: int
    seal: str
    findings_count: int
    findings: list[FindingAnswer] = Field(description="The first 100.")


class Verification(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})

    seal: str | None = Field(None, description="One that was kept: nothing before it was rewritten since.")


@router.get("", summary="List audit entries", responses=good(list[EntryAnswer], headers=LINK_HEADER) | KEYED)
def audit_list(
    door: TheDoor,
    _caller: Admin,
    page: Paged,
    account: Annotated[str | None, Query(description="Of one account.")] = None,
    subject: Annotated[str | None, Query(description="What was changed, by its id.")] = None,
    deed: Annotated[
        str | None, Query(description="What was done: `invoice.voided`, or all that begins with `invoice`.")
    ] = None,
    by: Annotated[str | None, Query(description="Who did it: `operator ada`, or every `operator`.")] = None,
    since: Annotated[str | None, Query(description="RFC 3339: from then on.")] = None,
    until: Annotated[str | None, Query(description="RFC 3339: before then.")] = None,
) -> Response:
    """The last first."""
    begins = None if since is None else instant_of(since, "since")
    ends = None if until is None else instant_of(until, "until")
    wanted = Wanted(account, subject, deed, by, begins, ends)
    before = _number(page.after) if page.after else None
    found = list_entries(door.service.engine, wanted, before=before, limit=page.fetch)
    return page.show(found, lambda entry: str(entry.number), entry_data)


@router.get(
    "/export",
    summary="Export the audit trail",
    response_class=StreamingResponse,
    responses=_LINES | KEYED,
)
def audit_export(door: TheDoor, _caller: Admin) -> Response:
    """Lines of JSON with the texts that are sealed, for whoever checks them without this service."""
    return StreamingResponse(export_lines(door.service.engine), media_type="application/x-ndjson")


@router.post(
    "/verifications", summary="Verify the audit trail", responses=good(VerifiedAnswer) | KEYED | errors(422)
)
def audit_verify(door: TheDoor, _caller: Admin, body: Verification) -> Response:
    """Every entry's seal, and that what is audited is as the trail says: edits, removals and another order
    are named."""
    return answer(verify(door.service.engine, body.seal).to_data())


@router.get("/{number}", summary="Show an audit entry", responses=good(EntryAnswer) | KEYED | errors(404))
def audit_show(
    door: TheDoor, _caller: Admin, number: Annotated[int, Path(ge=1, le=_LARGEST, description="Its number.")]
) -> Response:
    return answer(entry_data(show_entry(door.service.engine, number)))


def _number(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 18:
        raise Invalid("cursor is not one of this list; take it from the Link header", field="cursor")
    return int(cursor)
