"""A story that is not written as stories are says where, and what: and one that is wrong is found out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.scenarios.office import QuantityFeed
from tests.scenarios.story import StoryError, money, rows, story_from_text, whole
from tests.scenarios.test_stories import tell
from tests.scenarios.verbs import VERBS

HEAD = """
story: A test
why: ten runs at 0.10 are 1.00
timeline:
  - on: 2026-10-01
    offer plan flat@1: {brackets: "beyond  0.10"}
    add account acme: {plan: flat}
    runs of acme: {2026-10-10: 10 runs}
  - on: 2026-11-02
    bill: 2026-10
"""
GOOD = """    invoice of acme for 2026-10:
      number: 2026-10-000001
      status: finalized
      lines: usage  10  1.00
      total: 1.00
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "    bil: 2026-10\n", "test, step 2: 'bil' is nothing that a step can say"),
        (
            HEAD.replace("plan: flat", "plam: flat"),
            "'add account acme': key 'plam' is not known; known: billed",
        ),
        (HEAD.replace("why:", "because:"), "test: key 'because' is not known; known: story, timeline, why"),
        (HEAD + GOOD.replace("      total: 1.00\n", ""), "key 'total' is missing"),
        (HEAD + "    bill: 2026-10\n", "key 'bill' comes twice"),
        (HEAD + "  - on: 2026-11-01\n", "its steps are not in the order of time"),
        (HEAD + "  - bill: 2026-11\n", "step 3: say on which day"),
        (HEAD + "    credit acme: {amount: 1.00, reason: x}\n    refused: no\n", "one action is refused"),
    ],
)
def test_what_is_written_otherwise_is_named(text: str, says: str) -> None:
    with pytest.raises(StoryError, match=says):
        story_from_text(text, "test", VERBS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.00", "1.01"),
        ("10  1.00", "11  1.00"),
        ("finalized", "paid"),
        ("000001", "000002"),
        (GOOD, ""),  # every invoice is to be told
        ("2026-10-01", "2026-11-01"),  # billed from November on
    ],
)
def test_a_figure_that_is_wrong_is_found_out(
    sqlite_databases: Callable[[], sa.Engine], old: str, new: str
) -> None:
    tell(story_from_text(HEAD + GOOD, "test", VERBS), sqlite_databases(), QuantityFeed())
    wrong = story_from_text((HEAD + GOOD).replace(old, new), "test", VERBS)
    with pytest.raises(AssertionError):
        tell(wrong, sqlite_databases(), QuantityFeed())


def test_what_is_refused_must_be(sqlite_databases: Callable[[], sa.Engine]) -> None:
    text = HEAD.partition("  - on: 2026-11-02")[0] + (
        "  - on: 2026-10-02\n    credit acme: {amount: 1.00, reason: x}\n    refused: no\n"
    )
    with pytest.raises(pytest.fail.Exception):
        tell(story_from_text(text, "test", VERBS), sqlite_databases(), QuantityFeed())


@pytest.mark.parametrize("text", ["1000,0", "1,00", "ten", "1.5", ""])
def test_quantities_are_whole_and_written_well(text: str) -> None:
    with pytest.raises(StoryError):
        whole(text)


def test_values() -> None:
    assert (whole("1,234,567"), whole("-400"), money("1,350.00")) == (1_234_567, -400, "1350.00")
    assert rows("usage  10  1.00  some text\ncredit  -  -1.00", 4) == [
        ["usage", "10", "1.00", "some text"],
        ["credit", "-", "-1.00", ""],
    ]
    for bad in ("1,35.00", "1e3", "1.00 USD"):
        with pytest.raises(StoryError):
            money(bad)
