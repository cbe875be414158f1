"""Pictures are made of values: nothing is drawn outside, every bar says what it holds, and names are text."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.charts import Bar, BarChart, Series, bar_chart, meter, share, trend
from billing.charts.marks import scale

TWO = (Series("Billable", "billed"), Series("Not billed", "unbilled"))
quantities = st.integers(0, 10**12)


def chart(bars: list[Bar], marks: str = "The month before") -> BarChart:
    return BarChart("one", "Task <runs> of October", 'So many "runs"', TWO, bars, marks)


def drawn(text: str) -> ElementTree.Element:
    """Well-formed, and of what a strict policy lets through: no script, no style, no reference."""
    assert not re.search(r"<script|style=|href|url\(|\son\w+=", text)
    return ElementTree.fromstring(text)


def number(text: str | None) -> float:
    assert text is not None
    return float(text.removesuffix("%"))


@given(
    st.lists(st.tuples(quantities, quantities, st.none() | quantities), min_size=1, max_size=31),
    st.sampled_from(["", "The month before"]),
)
def test_bars_are_within_the_picture_and_as_high_as_what_they_hold(
    values: list[tuple[int, int, int | None]], marks: str
) -> None:
    bars = [Bar(str(n), f"Day {n}", (a, b), mark) for n, (a, b, mark) in enumerate(values)]
    picture = drawn(bar_chart(chart(bars, marks)))
    slots = picture.findall(".//g")
    assert len(slots) == len(values)
    svg = picture.find("./div/svg[2]")
    assert svg is not None
    height = number(svg.get("height"))
    ceiling, _ = scale(max(max(a + b, mark or 0) for a, b, mark in values))
    for slot, (a, b, mark) in zip(slots, values, strict=True):
        rects = [each for each in slot.findall("rect") if each.get("class") != "hit"]
        assert [each.get("class") for each in rects] == ["billed"] * bool(a) + ["unbilled"] * bool(b)
        for each, quantity in zip(rects, [q for q in (a, b) if q], strict=True):
            top, tall = number(each.get("y")), number(each.get("height"))
            assert top >= 0 and top + tall <= height
            assert abs(tall - max(1, 190 * quantity / ceiling)) < 0.2
            assert number(each.get("x")) >= 0 and number(each.get("x")) + number(each.get("width")) <= 100
        assert len(slot.findall("line")) == (mark is not None)
        says = slot.findtext("title") or ""
        assert f"Billable {a:,}" in says and f"Not billed {b:,}" in says
        assert not marks or mark is None or says.endswith(f"The month before {mark:,}")


def test_what_is_heard_and_what_is_keyed() -> None:
    text = bar_chart(chart([Bar("<1>", "Day <1>", (3, 1), 2)]))
    picture = drawn(text)
    svg = picture.find("./div/svg[2]")
    assert svg is not None and svg.get("role") == "img"
    assert (svg.get("aria-labelledby"), svg.get("aria-describedby")) == ("one-title", "one-description")
    assert picture.findtext(".//title[@id='one-title']") == "Task <runs> of October"
    assert picture.findtext(".//desc[@id='one-description']") == 'So many "runs"'
    keys = ["".join(each.itertext()).strip() for each in picture.findall(".//li")]
    assert keys == ["Billable", "Not billed", "The month before"]
    assert "<1>" in "".join(picture.itertext())


def test_a_phone_has_fewer_labels_than_a_desk() -> None:
    picture = drawn(bar_chart(chart([Bar(str(n), f"Day {n}", (n, 0)) for n in range(1, 31)], "")))
    labels = picture.findall(".//g/text")
    assert len(labels) == 30
    assert len([each for each in labels if each.get("class") == "label"]) == 8


def test_a_chart_of_nothing_is_a_chart() -> None:
    assert drawn(bar_chart(chart([]))).findall(".//g") == []
    assert drawn(bar_chart(chart([Bar("1", "Day 1", (0, 0))]))).findall(".//g/rect[@class='billed']") == []


@pytest.mark.parametrize("parts", [(1,), (1, 2, 3), (1, -1)])
def test_a_bar_has_a_quantity_of_each_series(parts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a quantity, of zero or more"):
        chart([Bar("1", "Day 1", parts)])


@given(st.lists(st.tuples(st.just("billed"), quantities), max_size=3), quantities)
def test_shares_are_of_a_whole(parts: list[tuple[str, int]], more: int) -> None:
    of = sum(quantity for _, quantity in parts) + more
    rects = drawn(share(parts, of)).findall("rect")
    assert len(rects) == sum(bool(quantity) for _, quantity in parts)
    for each in rects:
        assert number(each.get("x")) + number(each.get("width")) <= 100.02


@given(quantities, st.integers(1, 10**12), st.none() | quantities)
def test_a_limit_is_never_drawn_beyond(used: int, of: int, expected: int | None) -> None:
    for each in drawn(meter(used, of, expected)).findall("rect"):
        assert 0 <= number(each.get("width")) <= 100


@given(st.lists(quantities, min_size=1, max_size=40))
def test_a_trend_has_a_bar_for_each_value_and_the_highest_fills_it(values: list[int]) -> None:
    bars = drawn(trend(values, "a & b")).findall("rect")
    tall = [number(each.get("height")) for each in bars]
    assert [bool(each) for each in tall] == [bool(each) for each in values]
    assert max(tall) == (22 if any(values) else 0)
    assert [number(each.get("y")) + high for each, high in zip(bars, tall, strict=True)] == [22] * len(values)
    assert [each.get("class") for each in bars] == [None] * (len(values) - 1) + ["now"]
    places = [number(each.get("x")) for each in bars]
    assert all(right - left >= 7 for left, right in pairwise(places))
