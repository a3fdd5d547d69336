"""Errors and differences in words."""

from vggrepro.evaluation.metrics import ErrorRate
from vggrepro.evaluation.reporting.number_text import interval, published, signed, with_interval


def test_numbers_are_told_as_the_paper_tells_them():
    assert [published(value) for value in (None, 8.0, 8.1, 9.95, 28.732)] == [
        "-",
        "8.0",
        "8.1",
        "9.95",
        "28.732",
    ]
    assert [signed(value) for value in (None, 0.1, -2.0)] == ["-", "+0.10", "-2.00"]


def test_an_error_has_its_interval():
    assert with_interval(ErrorRate(12250, 50_000)) == "24.50 (24.12-24.88)"
    assert interval(ErrorRate(0, 10)).startswith("0.00-")
