"""Operators' links and sessions: once, in time, and by nobody else."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import Invalid, NotFound
from billing.operator_tables import operator_sessions
from billing.operators import (
    LINK_LIFE_US,
    ROLES,
    SESSION_LIFE_US,
    BadSignIn,
    end_session,
    end_sessions,
    list_sessions,
    look_at_link,
    make_link,
    may,
    open_session,
    session_data,
    session_of,
)
from metering.database import reading
from tests.world import NOVEMBER_2, World


def test_a_link_opens_one_session_once(engine: sa.Engine) -> None:
    World(engine)
    made = make_link(engine, "ada", "finance", by="operator", now=NOVEMBER_2)
    for _ in range(3):  # a preview of the message looks, and uses nothing up
        assert look_at_link(engine, made.secret, NOVEMBER_2).name == "ada"
    session, secret = open_session(engine, made.secret, NOVEMBER_2 + 5)
    assert (session.name, session.role, session.opened_at) == ("ada", "finance", NOVEMBER_2 + 5)
    assert session_of(engine, secret, NOVEMBER_2 + 6) == session
    for act in (look_at_link, open_session):
        with pytest.raises(BadSignIn, match="used already"):
            act(engine, made.secret, NOVEMBER_2 + 7)
    assert session_of(engine, made.secret, NOVEMBER_2 + 6) is None
    assert session_of(engine, secret, NOVEMBER_2 + 5 + SESSION_LIFE_US - 1) is not None
    assert session_of(engine, secret, NOVEMBER_2 + 5 + SESSION_LIFE_US) is None


def test_a_link_that_is_late_withdrawn_or_not_whole_opens_nothing(engine: sa.Engine) -> None:
    World(engine)
    made = make_link(engine, "ada", "admin", by="operator", now=NOVEMBER_2)
    for secret in ("", "x", made.secret[:-1], "\ud800", "é"):
        with pytest.raises(BadSignIn, match="not whole"):
            open_session(engine, secret, NOVEMBER_2)
    with pytest.raises(BadSignIn, match="in time"):
        open_session(engine, made.secret, NOVEMBER_2 + LINK_LIFE_US)
    end_session(engine, made.session.id, NOVEMBER_2)
    with pytest.raises(BadSignIn, match="withdrawn"):
        open_session(engine, made.secret, NOVEMBER_2)


def test_sessions_are_listed_and_ended(engine: sa.Engine) -> None:
    World(engine)
    secrets = []
    for name in ("ada", "bob", "eve"):
        made = make_link(engine, name, "viewer", by="operator", now=NOVEMBER_2)
        secrets.append(open_session(engine, made.secret, NOVEMBER_2)[1])
    waiting = make_link(engine, "zoe", "admin", by="key key_1", now=NOVEMBER_2)
    listed = list_sessions(engine, NOVEMBER_2)
    assert [each.name for each in listed] == ["zoe", "eve", "bob", "ada"]
    assert session_data(listed[0], NOVEMBER_2)["state"] == "waiting"
    assert session_data(listed[1], NOVEMBER_2)["state"] == "open"
    end_session(engine, listed[2].id, NOVEMBER_2)
    assert session_of(engine, secrets[1], NOVEMBER_2) is None
    assert session_of(engine, secrets[0], NOVEMBER_2) is not None
    assert end_sessions(engine, NOVEMBER_2) == 3
    assert list_sessions(engine, NOVEMBER_2) == []
    assert len(list_sessions(engine, NOVEMBER_2, every=True)) == 4
    with pytest.raises(BadSignIn):
        open_session(engine, waiting.secret, NOVEMBER_2)
    with pytest.raises(NotFound):
        end_session(engine, "ops_0", NOVEMBER_2)


def test_of_many_who_try_at_once_one_gets_in(engine: sa.Engine) -> None:
    World(engine)
    made = make_link(engine, "ada", "viewer", by="operator", now=NOVEMBER_2)
    opened: list[str] = []
    refused: list[BadSignIn] = []

    def try_it() -> None:
        try:
            opened.append(open_session(engine, made.secret, NOVEMBER_2)[1])
        except BadSignIn as error:
            refused.append(error)

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(opened), len(refused)) == (1, 7)
    assert session_of(engine, opened[0], NOVEMBER_2) is not None


def test_secrets_are_not_kept(engine: sa.Engine) -> None:
    World(engine)
    made = make_link(engine, "ada", "viewer", by="operator", now=NOVEMBER_2)
    _, secret = open_session(engine, made.secret, NOVEMBER_2)
    with reading(engine) as connection:
        (row,) = connection.execute(sa.select(operator_sessions))
    assert made.secret not in str(row) and secret not in str(row)


@pytest.mark.parametrize("name", ["", " ada", "a" * 65, "a\nb", "<b>", "é", "a'b"])
def test_a_name_that_cannot_be_used(engine: sa.Engine, name: str) -> None:
    with pytest.raises(Invalid) as wrong:
        make_link(engine, name, "viewer", by="operator", now=0)
    assert wrong.value.field == "name"
    with pytest.raises(Invalid) as wrong:
        make_link(engine, "ada", "root", by="operator", now=0)
    assert wrong.value.field == "role"


@given(st.sampled_from(ROLES), st.sampled_from(ROLES))
def test_a_role_may_what_those_below_it_may(role: str, least: str) -> None:
    assert may(role, least) == (ROLES.index(role) >= ROLES.index(least))  # type: ignore[arg-type]
    assert not may("nobody", "viewer")
