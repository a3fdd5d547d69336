"""OHEMDataLayer: against its reference, and region by region."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds
from target_cases import iou, parse_python, regions_near, right_boxes

from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.ohem_data_layer import OHEMDataLayer

MODULE = "module: 'roi_data_layer.layer' layer: 'OHEMDataLayer' param_str: \"%s\""
NO_NMS_KERNEL = ("NonMaxSuppression",)


def ohem(text: str = "'num_classes': 3") -> OHEMDataLayer:
    made = parse_python(MODULE % text)
    assert isinstance(made, OHEMDataLayer)
    return made


def inputs(seed: int, regions: int, images: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = regions_near(seed, right_boxes(seed, 3), regions)
    labels = rng.integers(0, 3, regions)
    inside = np.zeros((regions, 3, 4))
    inside[np.arange(regions), labels] = (labels > 0)[:, None]
    return [
        np.float32(x)
        for x in (
            rng.dirichlet(np.ones(3), regions),
            rng.normal(0, 1, (regions, 12)),
            np.column_stack([rng.integers(0, images, regions), rows]),
            labels,
            rng.normal(0, 1, (regions, 12)),
            inside.reshape(regions, 12),
            2 * inside.reshape(regions, 12),
        )
    ]


@few
@given(st.sampled_from([1, 2, 30, 127, 128, 300]), st.integers(1, 3), seeds)
def test_region_by_region(regions: int, images: int, seed: int) -> None:
    bottoms = inputs(seed, regions, images)
    tops = check_forward(ohem(), bottoms, without_kernel=NO_NMS_KERNEL)
    prob, predicted, rows, labels, targets, inside, outside = (b.astype(float) for b in bottoms)
    losses = []
    for r in range(regions):
        loss = -np.log(max(prob[r, int(labels[r])], np.finfo(float).eps))
        for k in range(12):
            d = abs(inside[r, k] * (predicted[r, k] - targets[r, k]))
            loss += outside[r, k] * (d * d / 2 if d < 1 else d - 0.5) if labels[r] else 0
        losses.append(loss)
    kept: list[int] = []
    for r in np.argsort(losses)[::-1]:
        rivals = [k for k in kept if rows[k, 0] == rows[r, 0] and labels[k] == labels[r]]
        if all(iou(rows[k, 1:], rows[r, 1:]) <= 0.7 for k in rivals):
            kept.append(int(r))
    number = min(128, regions)
    index = [kept[:number][place % min(len(kept), number)] for place in range(number)]
    for top, bottom in zip(tops, bottoms[2:], strict=True):
        np.testing.assert_array_equal(top, bottom[index])


def test_no_gradient() -> None:
    layer, bottoms = ohem(), inputs(0, 9)
    tops = [np.ones(shape, np.float32) for shape in layer.out_shapes([b.shape for b in bottoms])]
    assert run_gradient(layer, bottoms, [], tops, without_kernel=NO_NMS_KERNEL) == [None] * 7


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="expected 'num_classes' and nothing else"):
        ohem("'num_classes': 3\\n'iter_size': 2")
    shapes = [b.shape for b in inputs(0, 9)]
    with pytest.raises(ShapeError, match=r"bottom\[4\] must have 12 numbers for each region"):
        ohem().out_shapes([*shapes[:4], (9, 8), *shapes[5:]])
