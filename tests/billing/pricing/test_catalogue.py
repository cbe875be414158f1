"""Plan versions that exist are valid; a collection of them answers by name and month."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import pytest

from billing.pricing.catalogue import Bracket, Catalogue, PlanVersion
from billing.pricing.errors import CatalogueError, UnknownPlan, VersionConflict
from billing.pricing.plan_file import plans_from_data
from metering.period import Month
from tests.billing.pricing.data import LATER, SHIPPED, STARTER, plan

OCTOBER_2021, NOVEMBER_2021 = Month(2021, 10), Month(2021, 11)


def test_the_shipped_catalogue() -> None:
    assert [version.id for version in SHIPPED] == ["developer@2021-02", "standard@2021-02", "starter@2021-02"]
    assert all(version.currency == "USD" for version in SHIPPED)
    assert all(version.effective_from == date(2021, 2, 1) for version in SHIPPED)
    assert SHIPPED.get("developer@2021-02").soft_limit == 10_000


def test_the_later_versions_differ_in_their_free_runs_alone() -> None:
    assert [version.id for version in LATER] == ["standard@2021-11", "starter@2021-11"]
    for later in LATER:
        earlier = SHIPPED.get(f"{later.plan}@2021-02")
        assert later.effective_from == date(2021, 11, 1)
        assert later.brackets[0] == Bracket(20_000, Decimal(0))
        assert later.brackets[1:] == earlier.brackets[1:]


def test_a_version_prints_what_its_file_said() -> None:
    data = STARTER.to_data()
    assert data == {
        "plan": "starter",
        "version": "2021-02",
        "effective_from": "2021-02-01",
        "currency": "USD",
        "soft_limit": None,
        "brackets": [
            {"up_to": 10_000, "unit_price": "0"},
            {"up_to": 100_000, "unit_price": "0.0025"},
            {"up_to": 1_000_000, "unit_price": "0.00125"},
            {"up_to": 10_000_000, "unit_price": "0.000625"},
            {"up_to": None, "unit_price": "0.0003125"},
        ],
    }
    assert plans_from_data(data) == (STARTER,)


@pytest.mark.parametrize(
    ("brackets", "says"),
    [
        ((), "plan test@v1 has no brackets"),
        (((10, "0"),), "plan test@v1, bracket 1: the last bracket must be open"),
        (((10, "0"), (20, "1")), "plan test@v1, bracket 2: .* runs above 20 have no price"),
        (((10, "0"), (10, "1"), (None, "1")), "plan test@v1, bracket 2: up_to 10 must be above 10"),
        (((10_000, "0"), (9_000, "1"), (None, "1")), "bracket 2: up_to 9,000 must be above 10,000"),
        (((None, "0"), (None, "1")), "plan test@v1, bracket 1: only the last bracket may be open"),
        (((0, "0"), (None, "1")), "plan test@v1, bracket 1: up_to must be a whole number above 0, not 0"),
        (((-5, "0"), (None, "1")), "plan test@v1, bracket 1: up_to must be .*, not -5"),
        (((10, "0"), (None, "-0.01")), "plan test@v1, bracket 2: unit_price -0.01 is negative"),
        (((10, "0"), (None, "0.1234567890123")), "bracket 2: .* has 13 decimal places; at most 12"),
        (((10, "0"), (None, "1000000000000")), "bracket 2: unit_price is too large"),
        (((10, "0"), (None, "NaN")), "bracket 2: unit_price NaN is not a number"),
        (((10, "0"), (None, "Infinity")), "bracket 2: unit_price Infinity is not a number"),
    ],
)
def test_an_invalid_schedule_names_plan_and_bracket(
    brackets: tuple[tuple[int | None, str], ...], says: str
) -> None:
    with pytest.raises(CatalogueError, match=says):
        plan(*brackets)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"plan": "Starter"}, "'Starter' is not a plan's name"),
        ({"plan": ""}, "is not a plan's name"),
        ({"plan": "-x"}, "is not a plan's name"),
        ({"plan": "a" * 65}, "is not a plan's name"),
        ({"plan": None}, "None is not a plan's name"),
        ({"version": "a@b"}, "plan starter: 'a@b' is not a version"),
        ({"version": ""}, "plan starter: '' is not a version"),
        ({"version": " 1"}, "plan starter: ' 1' is not a version"),
        ({"version": "a\nb"}, "is not a version"),
        ({"version": 2021}, "plan starter: 2021 is not a version"),
        ({"effective_from": "2021-02-01"}, "plan starter@2021-02: effective_from must be a date"),
        ({"effective_from": datetime(2021, 2, 1)}, "effective_from must be a date"),  # noqa: DTZ001
        ({"currency": "usd"}, "plan starter@2021-02: currency 'usd' .* capitals"),
        ({"currency": "ABC"}, "plan starter@2021-02: currency 'ABC' is not a currency"),
        ({"currency": None}, "plan starter@2021-02: currency must be text"),
        ({"soft_limit": -1}, "plan starter@2021-02: soft_limit must be"),
        ({"soft_limit": True}, "plan starter@2021-02: soft_limit must be"),
        ({"soft_limit": 1.5}, "plan starter@2021-02: soft_limit must be"),
        ({"soft_limit": 10_000}, "starter@2021-02, bracket 2: runs over the soft limit of 10,000 are not"),
    ],
)
def test_an_invalid_version_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(CatalogueError, match=says):
        replace(STARTER, **change)  # type: ignore[arg-type]


def test_a_float_is_never_a_price() -> None:
    with pytest.raises(TypeError, match=r"plan test@v1, bracket 1: a price is a Decimal, never float"):
        PlanVersion("test", "v1", date(2021, 2, 1), "USD", None, (Bracket(None, 0.0025),))  # type: ignore[arg-type]


def test_a_soft_limit_may_be_where_a_bracket_ends_and_may_be_zero() -> None:
    assert plan((10, "1"), (None, "0"), soft_limit=10).soft_limit == 10
    assert plan((None, "0"), soft_limit=0).soft_limit == 0


@pytest.mark.parametrize("version", ["1", "x" * 64])
def test_the_shortest_and_the_longest_version(version: str) -> None:
    assert replace(STARTER, version=version).version == version
    with pytest.raises(CatalogueError):
        replace(STARTER, version="x" * 65)


def test_a_version_may_be_free_text() -> None:
    assert replace(STARTER, version="2021 autumn/b").id == "starter@2021 autumn/b"


def test_adding_a_version() -> None:
    both = SHIPPED.add(*LATER)
    assert len(both) == 5
    assert "starter@2021-11" in both
    assert "starter@2021-11" not in SHIPPED
    assert [version.id for version in both if version.plan == "starter"] == [
        "starter@2021-02",
        "starter@2021-11",
    ]


def test_adding_an_equal_version_changes_nothing() -> None:
    written_otherwise = replace(
        STARTER, brackets=(*STARTER.brackets[:-1], Bracket(None, Decimal("0.00031250")))
    )
    assert list(SHIPPED.add(written_otherwise)) == list(SHIPPED)


def test_a_version_never_changes() -> None:
    dearer = replace(STARTER, brackets=(*STARTER.brackets[:-1], Bracket(None, Decimal("0.0004"))))
    with pytest.raises(VersionConflict, match=r"plan starter@2021-02 exists with other content"):
        SHIPPED.add(*LATER, dearer)
    assert len(SHIPPED) == 3


@pytest.mark.parametrize(
    ("month", "id"),
    [
        (Month(2021, 2), "starter@2021-02"),
        (OCTOBER_2021, "starter@2021-02"),
        (NOVEMBER_2021, "starter@2021-11"),
        (Month(2026, 10), "starter@2021-11"),
    ],
)
def test_a_plan_without_version_is_the_newest_in_effect(month: Month, id: str) -> None:
    both = SHIPPED.add(*LATER)
    assert both.resolve("starter", month).id == id
    assert both.newest("starter", month).id == id
    assert SHIPPED.resolve("starter", month).id == "starter@2021-02"


def test_a_version_dated_inside_a_month_begins_with_the_next() -> None:
    middle = SHIPPED.add(replace(STARTER, version="mid", effective_from=date(2021, 10, 2)))
    assert middle.resolve("starter", OCTOBER_2021).id == "starter@2021-02"
    assert middle.resolve("starter", NOVEMBER_2021).id == "starter@mid"


def test_of_versions_with_one_date_the_last_by_name_holds() -> None:
    corrected = replace(STARTER, version="2021-02b")
    for catalogue in (SHIPPED.add(corrected), Catalogue([corrected]).add(*SHIPPED)):
        assert catalogue.resolve("starter", OCTOBER_2021).id == "starter@2021-02b"


def test_a_version_named_in_full_is_that_one() -> None:
    assert SHIPPED.add(*LATER).resolve("starter@2021-02", Month(2026, 10)) is STARTER


@pytest.mark.parametrize(
    ("name", "month", "says"),
    [
        ("gold", OCTOBER_2021, r"there is no plan 'gold'; known: developer, standard, starter"),
        ("gold@1", OCTOBER_2021, r"there is no plan 'gold'; known: developer, standard, starter"),
        ("Starter", OCTOBER_2021, r"there is no plan 'Starter'"),
        ("starter@1999", OCTOBER_2021, r"plan starter has no version 'starter@1999'; known: starter@2021-02"),
        (
            "starter",
            Month(2021, 1),
            r"no version in effect in 2021-01; the first, starter@2021-02, takes effect",
        ),
        ("starter@2021-02", Month(2021, 1), r"takes effect on 2021-02-01, so it cannot price 2021-01"),
    ],
)
def test_an_unknown_plan_is_refused_with_what_there_is(name: str, month: Month, says: str) -> None:
    with pytest.raises(UnknownPlan, match=says):
        SHIPPED.resolve(name, month)


def test_an_empty_catalogue_says_so() -> None:
    with pytest.raises(UnknownPlan, match="none, load a plan file first"):
        Catalogue().resolve("starter", OCTOBER_2021)
    with pytest.raises(UnknownPlan):
        SHIPPED.get("starter")
