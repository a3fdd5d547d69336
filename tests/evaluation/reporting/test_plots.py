"""Plots of errors with their intervals, as SVG."""

import re

import pytest

from vggrepro.evaluation.metrics import ErrorRate
from vggrepro.evaluation.reporting.plots import Point, error_plot


def test_a_plot_marks_what_was_measured_and_what_was_expected():
    points = [Point("one", ErrorRate(10, 100), 12.0), Point("two", ErrorRate(20, 100))]
    text = error_plot("title", "top1", points)
    assert text.count("<circle") == 2
    assert text.count('class="expected"') == 1
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', text)]
    (expected,) = (float(x) for x in re.findall(r'class="expected" x1="([\d.]+)"', text))
    assert places[0] < expected < places[1]
    # 10, 12 and 20 percent: places in proportion.
    assert (expected - places[0]) / (places[1] - places[0]) == pytest.approx(0.2, abs=0.005)


def test_a_plot_of_no_error_at_all():
    assert error_plot("title", "top5", [Point("one", ErrorRate(0, 10_000))]).count("<circle") == 1
