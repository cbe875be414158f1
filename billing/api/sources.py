"""/v1/sources: where task runs come from, and to when that is complete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Admin, Ingester, Reader, check_account
from billing.api.door import Door, TheDoor, answer
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import instant_of
from billing.collecting import ATTEMPTS, recover_source, visit
from billing.errors import Invalid
from billing.repository.keys import ApiKey
from billing.sources import declare, find_source, list_sources, remove_source, server_asked
from metering.collecting.source import Source, source_data

router = APIRouter(prefix="/v1/sources", tags=["sources"])

SourcePath = Annotated[str, Path(description="The source's id.", examples=["airflow"])]
AccountQuery = Annotated[
    str | None, Query(description="Whose source; needed where several accounts have one of this id.")
]


class Lost(BaseModel):
    """The time of which the source may have forgotten events before they were read."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from")
    to: str


class SourceAnswer(BaseModel):
    """Of what the source had at `checked_at`, all that ended from `since` to `complete_to` is counted, which
    are `runs` task runs. `kind` is `declared`, or `prefect` for one that this service collects from: of those
    it is also said where it is asked and how far it is read. `missing`: task runs that the source has and of
    which it gives no events."""

    source: str
    account: str
    kind: str
    since: str
    complete_to: str | None
    runs: int | None
    checked_at: str | None
    missing: int
    missing_ids: list[str]
    error: str | None
    failing_since: str | None
    url: str | None = None
    key_name: str | None = None
    workspace: str | None = None
    retention_days: int | None = None
    read_to: str | None = None
    tried_at: str | None = None
    retry_at: str | None = None
    lost: Lost | None = None


class NewWatermark(BaseModel):
    """What a source says of itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"account": "acme", "complete_to": "2026-11-01T00:00:00Z"}]},
    )

    complete_to: str = Field(
        description="RFC 3339: all task runs that ended before were handed in.",
        examples=["2026-11-01T00:00:00Z"],
    )
    account: str | None = Field(None, description="Whose task runs; not needed with a bound key.")
    runs: int | None = Field(None, strict=True, description="How many task runs that are.")
    since: str | None = Field(None, description="RFC 3339: when the source began; before, it has no say.")


@router.get("", summary="List sources", responses=good(list[SourceAnswer], headers=LINK_HEADER) | KEYED)
def sources_list(door: TheDoor, caller: Reader, page: Paged, account: AccountQuery = None) -> Response:
    """To when each is complete, and what is wrong with it; a bound key sees those of its account."""
    seen = list_sources(door.service.engine, account=account or caller.account)
    found = [each for each in seen if caller.account in (None, each.account)]
    return page.show(page.cut(found, _id), _id, source_data)


@router.get("/{source}", summary="Show a source", responses=good(SourceAnswer) | KEYED | errors(404))
def sources_show(door: TheDoor, caller: Reader, source: SourcePath, account: AccountQuery = None) -> Response:
    """How far it is read, to when it is complete, and what is missing."""
    return answer(source_data(_find(door, caller, source, account)))


@router.put(
    "/{source}/watermark",
    summary="Declare a source complete",
    responses=good(SourceAnswer) | KEYED | errors(404, 409),
)
def sources_declare(door: TheDoor, caller: Ingester, source: SourcePath, body: NewWatermark) -> Response:
    """To be sent once all events up to an instant were handed in *and answered*. From the first one on,
    usage says to when it is complete, and a month is billed once its sources are complete to its end. The
    last word holds, also if it takes some back. 409 for a source that this service collects from."""
    account = body.account or caller.account
    if account is None:
        raise Invalid("account is missing; name the account whose task runs the source has", field="account")
    check_account(caller, account)
    found = declare(
        door.service.engine,
        door.service.store,
        account,
        source,
        complete_to=instant_of(body.complete_to, "complete_to"),
        runs=body.runs,
        since=None if body.since is None else instant_of(body.since, "since"),
        now=door.service.now(),
    )
    return answer(source_data(found))


class VisitAnswer(SourceAnswer):
    """What came of asking a source, beside how it stands afterwards. `finished`: all that was due is done;
    else ask again. `recovered`: task runs that were metered from the source's records, since it gives no
    events of them. Of the events that were read, each is counted once."""

    finished: bool
    recovered: int
    received: int
    accepted: int
    duplicate: int
    ignored: int
    rejected: int


@router.post(
    "/{source}/visits",
    summary="Collect from a source now",
    responses=good(VisitAnswer) | KEYED | errors(404, 409),
)
def sources_visit(
    door: TheDoor, _caller: Admin, source: SourcePath, account: AccountQuery = None
) -> Response:
    """What the schedule does every minute, with a look at what is complete: `billing collect prefect --once`.
    Answers after at most some minutes, also where the source cannot be asked: `error` says why. 409 for one
    that declares its watermark itself."""
    found = _find(door, _caller, source, account)
    server_asked(found)
    return answer(visit(door.service, found, always_check=True, attempts=ATTEMPTS).to_data())


@router.post(
    "/{source}/recoveries",
    summary="Meter what a source gives no events of",
    responses=good(VisitAnswer) | KEYED | errors(404, 409, 502),
)
def sources_recover(
    door: TheDoor, _caller: Admin, source: SourcePath, account: AccountQuery = None
) -> Response:
    """From the source's records of its task runs, at once: `billing sources recover`."""
    recovered, seen = recover_source(door.service, _find(door, _caller, source, account))
    return answer(seen.to_data() | {"recovered": recovered})


@router.delete("/{source}", summary="Remove a source", status_code=204, responses=KEYED | errors(404))
def sources_remove(
    door: TheDoor, _caller: Admin, source: SourcePath, account: AccountQuery = None
) -> Response:
    """It is asked no more and waited for no more; its task runs stay."""
    remove_source(door.service.engine, _find(door, _caller, source, account), now=door.service.now())
    return Response(status_code=204)


def _find(door: Door, caller: ApiKey, source: str, account: str | None) -> Source:
    if account is not None:
        check_account(caller, account)
    return find_source(door.service.engine, source, account or caller.account)


def _id(source: Source) -> str:
    return f"{source.account}/{source.id}"
