"""Tables of plain text."""

import pytest

from vggrepro.text_table import aligned, padded

ROWS = [("blob", "largest", "shape"), ("a long name", "0.5", "(1, 2)"), ("y", "12", "")]


def test_columns_line_up_on_the_side_they_are_asked_to():
    assert padded(ROWS, right=[1]) == [
        ["blob       ", "largest", "shape "],
        ["a long name", "    0.5", "(1, 2)"],
        ["y          ", "     12", "      "],
    ]


def test_lines_have_no_spaces_at_their_ends():
    assert aligned(ROWS) == ["blob         largest  shape", "a long name  0.5      (1, 2)", "y            12"]


def test_no_rows_are_no_lines():
    assert aligned([]) == []


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        padded([("a", "b"), ("c",)])
