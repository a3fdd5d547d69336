"""Rows of right boxes: as tables of images, and in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from box_cases import truth
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.errors import LabelError, ShapeError
from vggrepro.layers.rules.allowed_labels import require_allowed
from vggrepro.layers.rules.right_boxes import (
    check_rows,
    emit_truth,
    example_pixel_rows,
    example_rows,
    label_column,
    reference_truth,
)


@pytest.mark.parametrize("with_difficult", [True, False])
@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_tables_have_what_the_rows_say(seed: int, ended: bool, with_difficult: bool) -> None:
    rows = truth(seed, 4, 5, 7)
    if ended:
        rows[0, 0, 4, 0] = -1  # what is behind does not count
    g = GraphBuilder()
    tables = emit_truth(g, "rows", g.ints([4]), with_difficult)
    boxes, labels, real = run_nodes(g, {"rows": rows}, list(tables))
    own = [row for row in rows[0, 0, : 4 if ended else 7] if with_difficult or row[7] == 0]
    assert boxes.shape[1] == max(1, *(sum(row[0] == image for row in own) for image in range(4)))
    found = reference_truth(np.asarray(rows, np.float64), with_difficult)
    assert sorted(found) == sorted({int(row[0]) for row in own})
    for image in range(4):
        mine = [row for row in own if row[0] == image]
        assert real[image].sum() == len(mine) == real[image, : len(mine)].sum()
        np.testing.assert_array_equal(
            boxes[image, : len(mine)], [row[3:7] for row in mine] or boxes[image, :0]
        )
        assert labels[image, : len(mine)].tolist() == [row[1] for row in mine]
        if mine:
            assert found[image].labels.tolist() == [row[1] for row in mine]
            assert found[image].difficult.tolist() == [row[7] == 1 for row in mine]
            np.testing.assert_array_equal(found[image].boxes, [row[3:7] for row in mine])


def test_rows_of_images_that_the_batch_lacks() -> None:
    rows = truth(0, 4, 5, 7)
    g = GraphBuilder()
    (real,) = run_nodes(g, {"rows": rows}, [emit_truth(g, "rows", g.ints([1]), True).real])
    assert real.sum() == (rows[0, 0, :, 0] == 0).sum()


def test_rows_for_trying_nets_out() -> None:
    rows = example_rows(5, 2, np.random.default_rng(0))
    assert rows.shape == (1, 1, 5, 8)
    found = reference_truth(np.asarray(rows, np.float64))
    assert [len(found[image].labels) for image in (0, 1)] == [3, 2]
    assert all((truth.labels == 1).all() for truth in found.values())
    assert all((t.boxes[:, :2] >= 0).all() and (t.boxes[:, 2:] <= 1).all() for t in found.values())


def test_labels_of_rows_are_checked() -> None:
    labels = label_column(3, 4)
    rows = truth(0, 2, 4, 5, ended=True)
    require_allowed(labels, rows, "layer 'l'", "label")
    rows[0, 0, 2, 1] = 4
    with pytest.raises(LabelError, match="label 4 in row 2 of blob 'label': expected 0 to 3, or -1"):
        require_allowed(labels, rows, "layer 'l'", "label")


def test_shapes() -> None:
    check_rows((1, 1, 3, 8), "bottom[1]")
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be boxes of shape"):
        check_rows((1, 3, 8), "bottom[1]")


def test_example_pixel_rows() -> None:
    rng = np.random.default_rng(0)
    rows = example_pixel_rows((6, 5), 2, (30, 90), rng)
    assert (rows[:, 2] > rows[:, 0]).all() and (rows[:, 3] > rows[:, 1]).all() and (rows[:, 4] == 1).all()
    assert 30 < rows[:, 2].max() < 90 and rows[:, 3].max() < 30
    longer = example_pixel_rows((3, 8, 1, 1), 2, (30, 90), rng)[:, :, 0, 0]
    assert longer[:, 0].tolist() == [0, 1, 0] and longer[:, 5:].tolist() == [[1, 0, 0]] * 3
