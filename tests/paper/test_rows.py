"""Finding rows of the paper's tables by their keys, and listing them."""

import pytest

from vggrepro.errors import ProtocolError
from vggrepro.paper.rows import find_row, list_rows, runnable_rows


@pytest.mark.parametrize("key", ["D:256;512", "D:256-512", "D:[256;512]", " D:256;512 "])
def test_a_range_may_be_spelt_without_a_semicolon(key):
    assert find_row(4, key).key == "D:256;512"


def test_an_unknown_row_lists_those_there_are():
    with pytest.raises(
        ProtocolError, match=r"table 5 has no row 'D:384': expected one of D:dense, D:multicrop"
    ):
        find_row(5, "D:384")


def test_another_groups_system_cannot_be_run():
    with pytest.raises(ProtocolError, match="GoogLeNet"):
        find_row(7, "googlenet-1")


def test_an_unknown_table():
    with pytest.raises(ProtocolError, match="tables 3 to 7"):
        find_row(2, "A")


def test_the_list_names_every_row_that_can_be_run():
    text = list_rows()
    assert '--row "E:256;512"' in text
    assert "--row ensemble-2-multicrop" in text
    assert "googlenet" not in text


def test_rows_of_other_groups_are_not_runnable():
    assert [row.key for row in runnable_rows(7)] == ["vgg-2", "vgg-1", "vgg-submission"]
    assert len(runnable_rows(3)) == 12
    with pytest.raises(ProtocolError, match="table 8: the paper's results are in tables 3 to 7"):
        runnable_rows(8)


def test_columns_of_the_list_line_up():
    lines = [line for line in list_rows().splitlines() if not line.startswith("Table ")]
    assert len(lines) == 12 + 10 + 6 + 4 + 3
    assert len({line.index("top-1 ") for line in lines}) == 1
    assert len({line.index("(") for line in lines}) == 1
