"""Tables of paired comparisons."""

from paired_case import make_comparison, make_sweep

from vggrepro.evaluation.reporting.paired_tables import (
    COMPARISON_HEADS,
    SWEEP_HEADS,
    comparison_rows,
    in_one_line,
    sweep_rows,
)


def test_every_combination_has_its_discordant_images_and_p():
    rows = comparison_rows(make_comparison())
    assert [len(row) for row in rows] == [len(COMPARISON_HEADS)] * 2
    assert rows[0] == [("table 5, D:dense",), ("+12.50", "1, 2", "p = 1"), ("+12.50", "0, 1", "p = 1")]


def test_every_reading_stands_beside_the_runs_own_and_the_paper():
    rows = sweep_rows(make_sweep())
    assert [row[0][0] for row in rows] == [
        "average before-softmax, the run's own",
        "average after-softmax",
        "exif ignore, the run's own",
        "exif apply",
    ]
    assert [len(row) for row in rows] == [len(SWEEP_HEADS)] * 4
    assert rows[1][1:] == [
        ("37.50 / 12.50", "+12.70 / +5.00"),
        ("-12.50", "2, 1", "p = 1"),
        ("-12.50", "1, 0", "p = 1"),
    ]


def test_a_cell_fits_into_one_line():
    assert in_one_line(("+1.00", "3, 4", "p = 1")) == "+1.00 (3, 4; p = 1)"
    assert in_one_line(("8.00",)) == "8.00"
