"""The paper's tables as data."""

import pytest

from vggrepro.paper.nets import JITTERED
from vggrepro.paper.tables import ROWS, table


def row(number, key):
    return next(r for r in table(number) if r.key == key)


def test_every_row_of_the_paper_is_there_once():
    assert [len(table(number)) for number in range(2, 9)] == [0, 12, 10, 6, 4, 15, 0]
    assert len({(r.table, r.key) for r in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("number", "key", "numbers"),
    [
        (3, "A-LRN:256", (29.7, 10.5, None)),
        (3, "C:256;512", (27.3, 8.8, None)),
        (4, "E:384", (26.7, 8.6, None)),
        (5, "D:both", (24.4, 7.2, None)),
        (6, "ensemble-7", (24.7, 7.5, 7.3)),
        (6, "ensemble-2", (23.7, 6.8, 6.8)),
        (7, "krizhevsky-1", (40.7, 18.2, None)),
    ],
)
def test_numbers_of_the_paper(number, key, numbers):
    found = row(number, key)
    assert (found.top1, found.top5, found.test_top5) == numbers


def test_rows_that_the_paper_prints_twice_agree():
    for config in "DE":
        single, dense = row(4, f"{config}:{JITTERED}"), row(5, f"{config}:dense")
        assert (single.top1, single.top5, single.tested) == (dense.top1, dense.top5, dense.tested)
    for above, below in (("ensemble-2", "vgg-2"), ("ensemble-7", "vgg-submission")):
        assert row(6, above).tested == row(7, below).tested
        assert (row(6, above).top1, row(6, above).top5) == (row(7, below).top1, row(7, below).top5)
    assert row(7, "vgg-1").tested == row(5, "E:both").tested


def test_test_scales_follow_the_training_scale():
    assert row(3, "D:384").tested[0].scales == (384,)
    assert row(3, f"D:{JITTERED}").tested[0].scales == (384,)
    assert row(4, "D:256").tested[0].scales == (224, 256, 288)
    assert row(4, f"D:{JITTERED}").tested[0].scales == (256, 384, 512)


def test_the_submission_fuses_seven_nets():
    names = [str(t.net) for t in row(6, "ensemble-7").tested]
    assert names == ["D:256", "D:384", "D:256;512", "C:256", "C:384", "E:256", "E:384"]
