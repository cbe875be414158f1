"""Charts as inline SVG: from values to text, and nothing else. No script, no library, no reference to
anything outside, and no colour: what is drawn has a class, and the page's stylesheet says how it looks, in
light and in dark.

Across, places are in percent and letters in pixels: so a chart is as wide as the page lets it be, and its
labels are as large on a phone as on a desk. What a chart shows is said in words in its description, and in
full in the table that every page has beside it.
"""

from billing.charts.bars import Bar, BarChart, Series, bar_chart
from billing.charts.small import meter, share, trend

__all__ = ["Bar", "BarChart", "Series", "bar_chart", "meter", "share", "trend"]
