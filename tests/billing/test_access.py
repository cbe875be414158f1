"""Keys: made, rotated with an overlap, ended by themselves; and when they were used last."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from billing.access import (
    DEFAULT_OVERLAP_US,
    MOST_OVERLAP_US,
    authenticate,
    create_key,
    keep_last_use,
    key_data,
    list_keys,
    read_end,
    read_overlap,
    revoke_key,
    rotate_key,
    state_of,
)
from billing.audit.reading import entry_data, list_entries
from billing.audit.verification import verify
from billing.errors import BillingError, Invalid, NotFound, Refused
from billing.repository.audit import Wanted
from billing.repository.audited import observed
from billing.repository.keys import ApiKey
from metering.database import reading
from metering.period import DAY_US, HOUR_US, parse_instant
from tests.billing.api.client import Client, running
from tests.conftest import NewDatabase
from tests.examples import few
from tests.world import NOVEMBER_2, World


def held(engine: sa.Engine, key_id: str) -> ApiKey:
    return next(key for key in list_keys(engine) if key.id == key_id)


def test_a_rotated_key_goes_on_for_the_overlap_and_then_ends(engine: sa.Engine) -> None:
    now = World(engine).instant
    old = create_key(engine, "ingest", "acme", now - DAY_US)
    new, left = rotate_key(engine, old.key.id, now, overlap=2 * HOUR_US)
    assert (new.key.scope, new.key.account, new.key.expires_at) == ("ingest", "acme", None)
    assert (left.expires_at, left.replaced_by) == (now + 2 * HOUR_US, new.key.id)
    assert key_data(left)["expires_at"] == "2026-11-02T02:00:00Z"
    for at, live in ((now, True), (now + 2 * HOUR_US - 1, True), (now + 2 * HOUR_US, False)):
        assert (authenticate(engine, old.secret, at) is not None) is live
        assert authenticate(engine, new.secret, at) is not None
    assert state_of(held(engine, old.key.id), now + 2 * HOUR_US) == "expired"
    with pytest.raises(Refused, match=f"rotated already, to {new.key.id}"):
        rotate_key(engine, old.key.id, now)
    with pytest.raises(Refused, match="is expired"):
        rotate_key(engine, old.key.id, now + DAY_US)
    revoke_key(engine, new.key.id, now)
    with pytest.raises(Refused, match="is revoked"):
        rotate_key(engine, new.key.id, now)
    with pytest.raises(NotFound):
        rotate_key(engine, "key_0", now)


def test_the_trail_has_both_keys_and_no_secret(engine: sa.Engine) -> None:
    now = World(engine).instant
    old = create_key(engine, "read", None, now, expires=now + DAY_US)
    new, _ = rotate_key(engine, old.key.id, now, overlap=HOUR_US)
    rotated, created = (entry_data(each) for each in list_entries(engine, Wanted(deed="key"), limit=2))
    assert (rotated["deed"], rotated["subject"]) == ("key.rotated", old.key.id)
    assert (created["deed"], created["subject"]) == ("key.created", new.key.id)
    place = f"api_keys/{old.key.id}"
    assert rotated["before"] == {place: {"expires_at": now + DAY_US, "replaced_by": None}}
    assert rotated["after"] == {place: {"expires_at": now + HOUR_US, "replaced_by": new.key.id}}
    assert old.secret not in str((rotated, created)) and new.secret not in str((rotated, created))
    keep_last_use(engine, {new.key.id: now})  # is no change that anybody made
    assert verify(engine).findings == ()


def test_a_key_that_was_to_end_is_followed_by_one_that_is_to_end(engine: sa.Engine) -> None:
    now = World(engine).instant
    old = create_key(engine, "read", None, now, expires=now + 90 * DAY_US)
    new, left = rotate_key(engine, old.key.id, now + 89 * DAY_US, overlap=7 * DAY_US)
    assert new.key.expires_at == now + (89 + 90) * DAY_US
    assert left.expires_at == now + 90 * DAY_US  # an overlap makes no key last longer
    last, _ = rotate_key(engine, new.key.id, now + 90 * DAY_US, expires=now + 91 * DAY_US)
    assert last.key.expires_at == now + 91 * DAY_US


def test_of_two_who_rotate_a_key_at_once_one_does(engine: sa.Engine) -> None:
    now = World(engine).instant
    old = create_key(engine, "read", None, now)

    def rotate(_number: int) -> str:
        try:
            return rotate_key(engine, old.key.id, now)[0].key.id
        except Refused:
            return ""

    with ThreadPoolExecutor(6) as pool:
        made = [each for each in pool.map(rotate, range(6)) if each]
    assert len(made) == 1 and len(list_keys(engine)) == 2
    assert verify(engine).findings == ()


def test_what_is_no_end_is_refused_by_name(engine: sa.Engine) -> None:
    now = World(engine).instant
    key = create_key(engine, "read", None, now).key.id
    for field, wrong in (
        ("expires", lambda: create_key(engine, "read", None, now, expires=now)),
        ("expires", lambda: rotate_key(engine, key, now, expires=now - 1)),
        ("overlap", lambda: rotate_key(engine, key, now, overlap=MOST_OVERLAP_US + 1)),
        ("overlap", lambda: rotate_key(engine, key, now, overlap=-1)),
        ("overlap", lambda: read_overlap("a day")),
        ("expires", lambda: read_end("soon", now)),
        ("expires", lambda: read_end("", now)),
        ("expires", lambda: read_end("2026-13-01", now)),
    ):
        with pytest.raises(Invalid) as caught:
            wrong()
        assert caught.value.field == field
    assert read_end(None, now) is None
    assert read_end("2027-01-01", now) == parse_instant("2027-01-01T00:00:00Z")
    assert read_end("2027-01-01T12:00:00+02:00", now) == parse_instant("2027-01-01T10:00:00Z")
    assert read_end("90d", now) == now + 90 * DAY_US
    assert read_overlap("0s") == 0


@given(st.text(max_size=30))
def test_any_text_is_an_end_or_is_refused(text: str) -> None:
    for read in (lambda: read_end(text, NOVEMBER_2), lambda: read_overlap(text)):
        try:
            assert isinstance(read(), int)
        except BillingError as error:
            assert error.field in ("expires", "overlap")


@few(60)
@given(
    overlap=st.integers(0, 3 * DAY_US),
    life=st.none() | st.integers(1, 3 * DAY_US),
    later=st.integers(0, 4 * DAY_US),
)
def test_an_old_key_lasts_exactly_to_the_sooner_end(
    sqlite_databases: NewDatabase, overlap: int, life: int | None, later: int
) -> None:
    engine = sqlite_databases()
    expires = None if life is None else NOVEMBER_2 + life
    old = create_key(engine, "read", None, NOVEMBER_2, expires=expires)
    new, _ = rotate_key(engine, old.key.id, NOVEMBER_2, overlap=overlap)
    at = NOVEMBER_2 + later
    assert (authenticate(engine, old.secret, at) is not None) == (later < min(overlap, life or overlap))
    assert (authenticate(engine, new.secret, at) is not None) == (life is None or later < life)


def test_last_use_is_kept_apart_from_requests(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    with running(world) as client:
        key = client.key("read")
        for _ in range(3):
            assert client.get("/v1/accounts", key=key.secret).status_code == 200
            world.instant += HOUR_US
        assert held(world.engine, key.key.id).last_used_at is None  # no request wrote it
        client.app.state.door.key_use.write()
        assert held(world.engine, key.key.id).last_used_at == NOVEMBER_2 + 2 * HOUR_US
        keep_last_use(world.engine, {key.key.id: NOVEMBER_2})  # another service, which saw it before
        assert held(world.engine, key.key.id).last_used_at == NOVEMBER_2 + 2 * HOUR_US
        client.get("/v1/accounts", key=key.secret)
    assert held(world.engine, key.key.id).last_used_at == NOVEMBER_2 + 3 * HOUR_US  # what waits at the end


def test_keys_are_rotated_over_http(client: Client) -> None:
    made = client.post("/v1/keys", json={"scope": "ingest", "account": "acme", "expires": "90d"}).json()
    assert made["expires_at"] == "2027-01-31T00:00:00Z"
    again = {"Idempotency-Key": "once"}
    place = f"/v1/keys/{made['id']}/rotate"
    answer = client.post(place, json={"overlap": "2h"}, headers=again)
    new = answer.json()
    assert answer.status_code == 201 and new["key"].startswith("bk_ingest_")
    assert new["replaces"]["expires_at"] == "2026-11-02T02:00:00Z"
    assert client.post(place, json={"overlap": "2h"}, headers=again).json() == new | {"key": None}
    assert client.post(place, json={}).status_code == 409
    assert client.post("/v1/keys/key_0/rotate", json={}).status_code == 404
    for body, field in (({"overlap": "x"}, "overlap"), ({"expires": "x"}, "expires"), ({"to": 1}, "to")):
        assert client.post(f"/v1/keys/{new['id']}/rotate", json=body).json()["field"] == field
    listed = {each["id"]: each for each in client.get("/v1/keys").json()}
    assert listed[made["id"]]["replaced_by"] == new["id"]


@pytest.fixture
def client(sqlite_databases: NewDatabase):  # type: ignore[no-untyped-def]
    with running(World(sqlite_databases())) as client:
        yield client


def test_the_usual_overlap_is_a_day() -> None:
    assert DEFAULT_OVERLAP_US == DAY_US == read_overlap("24h")


def test_what_was_sealed_before_keys_could_end_still_stands(sqlite_databases: NewDatabase) -> None:
    """Columns that came later are in a state only where they hold something."""
    world = World(sqlite_databases())
    key = create_key(world.engine, "read", None, world.instant).key
    with reading(world.engine) as connection:
        held = observed(connection, "key", key.id).state
    assert held[f"api_keys/{key.id}"].keys() == {
        "id", "prefix", "secret_sha256", "scope", "account_id", "created_at", "revoked_at",
    }  # fmt: skip
