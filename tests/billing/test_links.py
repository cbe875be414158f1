"""Links: only one that was made here opens anything, as long as it was made for."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import Invalid, NotFound
from billing.links import BadLink, check, create_link, end_links, open_link, sign
from metering.period import HOUR_US, SECOND_US
from tests.world import NOVEMBER_2, World

ACCOUNTS = st.text("azAZ09._-", min_size=1, max_size=64)
# What an address may have in this place, and some that it may not.
CHARACTERS = "ABYZabyz0189-_=.~+é"


@given(ACCOUNTS, st.integers(0, 1 << 40))
def test_a_token_says_what_it_was_made_of(account: str, expires: int) -> None:
    assert check("secret", sign("secret", account, expires)) == (account, expires)
    assert check("another", sign("secret", account, expires)) is None


@given(ACCOUNTS, st.data())
def test_no_other_text_is_a_token(account: str, data: st.DataObject) -> None:
    """Not even one that decodes to the same bytes."""
    token = sign("secret", account, 1_790_000_000)
    place = data.draw(st.integers(0, len(token)))
    cut = data.draw(st.integers(0, 2))
    other = token[:place] + data.draw(st.text(CHARACTERS, max_size=2)) + token[place + cut :]
    assert other == token or check("secret", other) is None


@given(st.text(max_size=80))
def test_any_text_is_refused_and_never_an_error(text: str) -> None:
    assert check("secret", text) is None


def test_a_link_opens_its_account_until_it_ends(engine: sa.Engine) -> None:
    world = World(engine)
    world.account("acme")
    with pytest.raises(BadLink):  # none was ever made: there is no secret
        open_link(engine, sign("", "acme", 1 << 40), world.instant)
    link = create_link(engine, "acme", now=NOVEMBER_2, hours=2)
    assert link.expires_at == NOVEMBER_2 + 2 * HOUR_US
    assert link.url("https://billing.example/") == f"https://billing.example/c/{link.token}/"
    assert open_link(engine, link.token, link.expires_at - 1) == link
    with pytest.raises(BadLink) as ended:
        open_link(engine, link.token, link.expires_at)
    assert ended.value.expired
    again = create_link(engine, "acme", now=NOVEMBER_2 + SECOND_US)
    assert open_link(engine, again.token, NOVEMBER_2 + HOUR_US).account == "acme"
    end_links(engine, NOVEMBER_2)
    for token in (link.token, again.token):
        with pytest.raises(BadLink) as refused:
            open_link(engine, token, NOVEMBER_2)
        assert not refused.value.expired
    assert open_link(engine, create_link(engine, "acme", now=NOVEMBER_2).token, NOVEMBER_2)


def test_what_no_link_can_be_made_for(engine: sa.Engine) -> None:
    world = World(engine)
    world.account("acme")
    for hours in (0, -1, 745):
        with pytest.raises(Invalid, match="hours must be 1 to 744"):
            create_link(engine, "acme", now=NOVEMBER_2, hours=hours)
    with pytest.raises(NotFound):
        create_link(engine, "ghost", now=NOVEMBER_2)
