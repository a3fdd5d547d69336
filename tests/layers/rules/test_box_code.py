"""SSD's codes of boxes: as nodes, in NumPy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.box_code import (
    BoxCode,
    decoded,
    emit_decoded,
    emit_overlap,
    emit_pixel_overlap,
    join_pairs,
    overlap,
    pixel_overlap,
    split_pairs,
    suppressed,
)

PRIOR = np.array([1.0, 2.0, 3.0, 6.0])  # 2 wide, 4 high, centre (2, 4)


@pytest.mark.parametrize(
    ("code", "coded", "box"),
    [
        ("CORNER", [0.5, 0, 1, -1], [1.5, 2, 4, 5]),
        ("CORNER_SIZE", [0.5, 0, 1, -0.5], [2, 2, 5, 4]),
        ("CENTER_SIZE", [0.5, 0.25, np.log(2), 0], [1, 3, 5, 7]),
    ],
)
def test_decoded(code: str, coded: list[float], box: list[float]) -> None:
    np.testing.assert_allclose(decoded(code, np.array(coded), PRIOR), box)
    g = GraphBuilder()
    pairs = emit_decoded(g, code, split_pairs(g, "coded"), split_pairs(g, "prior"))
    feeds = {"coded": np.float32([coded]), "prior": np.float32([PRIOR])}
    (value,) = run_nodes(g, feeds, [join_pairs(g, pairs)])
    np.testing.assert_allclose(value[0], box, rtol=1e-6)


def test_overlap() -> None:
    square = np.array([0.0, 0, 2, 2])
    assert overlap(square, square) == 1
    assert overlap(square, np.array([1.0, 0, 3, 2])) == pytest.approx(2 / 6)
    assert overlap(square, np.array([2.0, 0, 3, 2])) == 0
    assert overlap(square, np.array([1.0, 1, 0, 2])) == 0


@pytest.mark.parametrize("in_target", [False, True])
@pytest.mark.parametrize("name", ["CORNER", "CORNER_SIZE", "CENTER_SIZE"])
def test_a_box_differs_from_its_own_code_by_nothing(name: str, in_target: bool) -> None:
    code, coded = BoxCode(name, in_target), np.array([[0.3, -0.2, 0.4, 0.1]])
    prior, variances = PRIOR[None], np.array([[0.1, 0.2, 0.3, 0.5]])
    box = code.box(coded, prior, variances)
    np.testing.assert_allclose(code.difference(coded, prior, variances, box), 0, atol=1e-12)
    moved = code.difference(coded + 1, prior, variances, box)
    np.testing.assert_allclose(moved, 1 / variances if in_target else np.ones((1, 4)))
    g = GraphBuilder()
    pair = split_pairs(g, "prior")
    nodes = [
        join_pairs(g, code.emit_box(g, "coded", pair, "variances")),
        code.emit_difference(g, "moved", pair, "variances", split_pairs(g, "box")),
    ]
    feeds = {"coded": coded, "moved": coded + 1, "prior": prior, "variances": variances, "box": box}
    got = run_nodes(g, {key: np.float32(value) for key, value in feeds.items()}, nodes)
    np.testing.assert_allclose(got[0], box, rtol=1e-6)
    np.testing.assert_allclose(got[1], moved, rtol=1e-5)


def test_overlap_of_nodes() -> None:
    rng = np.random.default_rng(0)
    a, b = (np.float32(rng.uniform(-1, 1, (30, 4))) for _ in range(2))
    a[:20, 2:] += 1.5  # the others may have corners the wrong way round
    b[10:, 2:] += 1.5
    g = GraphBuilder()
    (got,) = run_nodes(g, {"a": a, "b": b}, [emit_overlap(g, split_pairs(g, "a"), split_pairs(g, "b"))])
    wanted = overlap(np.asarray(a, np.float64), np.asarray(b, np.float64))
    assert 0 < (wanted > 0).sum() < 30
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_overlap_of_pixels() -> None:
    """The last corner counts; boxes that lie apart share one pixel; one the wrong way round has none."""
    box = np.array([0.0, 0, 2, 1])  # 3 x 2 pixels
    others = np.array([[0.0, 0, 2, 1], [2, 1, 3, 3], [5, 5, 6, 6], [1, 1, 0, 0]])
    wanted = [1, 1 / (6 + 6 - 1), 1 / (6 + 4 - 1), 1 / (6 + 0 - 1)]
    np.testing.assert_allclose(pixel_overlap(box, others), wanted)
    g = GraphBuilder()
    pairs = [split_pairs(g, name) for name in ("a", "b")]
    feeds = {"a": np.float32(box[None]), "b": np.float32(others)}
    np.testing.assert_allclose(run_nodes(g, feeds, [emit_pixel_overlap(g, *pairs)])[0], wanted, rtol=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_who_overlaps_a_surer_one_goes(seed: int) -> None:
    """Boxes that are the wrong way round, or have no area, overlap none."""
    rng = np.random.default_rng(seed)
    boxes = np.sort(rng.integers(0, 6, (30, 2, 2)), axis=1).reshape(30, 4) / 2
    boxes[::7] = boxes[::7, [2, 1, 0, 3]]
    stays: list[int] = []
    for index, box in enumerate(boxes):
        if all(overlap(boxes[other], box) <= 0.5 for other in stays):
            stays.append(index)
    assert suppressed(boxes, 0.5) == stays
