"""/v1/operator-sessions: who may sign in to the console, and who is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Admin
from billing.api.door import TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.operators import Role, end_session, end_sessions, list_sessions, make_link, session_data

router = APIRouter(prefix="/v1/operator-sessions", tags=["operators"])


class NewOperatorLink(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "ada", "role": "finance"}]}
    )

    name: str = Field(description="Who it is for, as it is recorded with what they change.", max_length=64)
    role: Role = Field(description="`viewer` reads, `finance` closes months, `admin` does everything.")


class OperatorLinkAnswer(BaseModel):
    """`url` signs in once, until `expires_at`. It is null where the request is sent again with its
    `Idempotency-Key`, since only a digest is kept."""

    id: str
    name: str
    role: str
    url: str | None
    expires_at: str


class OperatorSessionAnswer(BaseModel):
    id: str
    name: str
    role: str
    state: str = Field(description="waiting (the link was not used yet), open, ended or expired")
    made_by: str
    made_at: str
    opened_at: str | None
    expires_at: str
    ended_at: str | None


class EndedAnswer(BaseModel):
    ended: int


@router.post(
    "",
    summary="Make a link that signs an operator in",
    status_code=201,
    responses=good(OperatorLinkAnswer, 201) | KEYED | errors(409),
)
async def operator_links_add(creating: Creates, body: NewOperatorLink) -> Response:
    """To the console, once, within ten minutes; the session lasts ten hours."""
    service = creating.service
    base = service.settings.base_url(str(creating.request.base_url))

    def make() -> Created:
        made = make_link(service.engine, body.name, body.role, by=creating.by, now=service.now())
        return Created(made.to_data(base), secret="url")  # noqa: S106 - the name of the field

    return await creating.once(make)


@router.get("", summary="List operators' sessions", responses=good(list[OperatorSessionAnswer]) | KEYED)
def operator_sessions_list(
    door: TheDoor,
    _caller: Admin,
    every: Annotated[bool, Query(description="Those that ended and expired, too: the last 1,000.")] = False,
) -> Response:
    """Sessions that are open and links that were not used yet, the newest first."""
    now = door.service.now()
    found = list_sessions(door.service.engine, now, every=every, limit=1000)
    return answer([session_data(each, now) for each in found])


@router.delete("", summary="End every operator's session", responses=good(EndedAnswer) | KEYED)
def operator_sessions_end_all(door: TheDoor, _caller: Admin) -> Response:
    """And withdraw every link that was not used."""
    return answer({"ended": end_sessions(door.service.engine, door.service.now())})


@router.delete(
    "/{session_id}", summary="End an operator's session", status_code=204, responses=KEYED | errors(404)
)
def operator_sessions_end(
    door: TheDoor, _caller: Admin, session_id: Annotated[str, Path(description="Its id.")]
) -> Response:
    """Its next request is refused; a link that was not used opens nothing any more."""
    end_session(door.service.engine, session_id, door.service.now())
    return Response(status_code=204)
