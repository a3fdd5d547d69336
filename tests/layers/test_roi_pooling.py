"""ROIPooling: against its reference, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import freed, seeds, values

from vggrepro.caffe.text import parse_net
from vggrepro.errors import NetError, ShapeError
from vggrepro.graph.forward import build_forward
from vggrepro.net.net import build

NO_ROI_KERNEL = ("MaxRoiPool",)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 8), st.integers(1, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from([1, 0.5, 0.0625]),
    seeds,
    st.data(),
)
def test_roi_pooling(
    shape: tuple[int, ...], pooled: tuple[int, int], scale: float, seed: int, data: st.DataObject
) -> None:
    """Regions of all kinds: half-way corners, partly or wholly outside, ends before beginnings."""
    layer = parse(
        f'type: "ROIPooling" roi_pooling_param {{ pooled_h: {pooled[0]} pooled_w: {pooled[1]}'
        f" spatial_scale: {scale} }}"
    )
    rng = np.random.default_rng(seed)
    corners = rng.integers(-2, 12, (5, 4)) / scale + rng.choice([0, 0.5, 0.25], (5, 4)) / scale
    regions = np.concatenate([rng.integers(0, shape[0], (5, 1)), corners], axis=1).astype(np.float32)
    four = data.draw(st.booleans())
    if four:
        regions = regions.reshape(5, 5, 1, 1)
    x, free = values(seed, shape), (None, *regions.shape[1:])
    dims = [data.draw(freed(shape)), free]
    top = check_forward(layer, [x, regions], dims=dims, without_kernel=NO_ROI_KERNEL)
    dims = [(data.draw(st.sampled_from([None, shape[0]])), *shape[1:]), free]
    (looked_up,) = check_forward(layer, [x, regions], dims=dims, device="cuda")
    np.testing.assert_array_equal(looked_up, top[0])
    check_gradient(layer, [x, regions], without_kernel=NO_ROI_KERNEL, most=40, step=1e-6)


def test_roi_pooling_by_hand() -> None:
    layer = parse('type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 2 spatial_scale: 0.5 }')
    x = np.arange(1, 13, dtype=np.float32).reshape(1, 1, 3, 4)
    regions = np.array([[0, 0, 0, 4, 2], [0, 99, 99, 120, 120]], np.float32)
    (top,) = check_forward(layer, [x, regions], without_kernel=NO_ROI_KERNEL)
    # columns 0 to 2 of rows 0 and 1, in two cells that share column 1; then nothing
    assert top.tolist() == [[[[6, 7]]], [[[0, 0]]]]


def test_sizes_that_the_table_for_cuda_depends_on_are_fixed() -> None:
    net = build(
        parse_net(
            'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 7 dim: 6 } } }'
            'layer { name: "r" type: "Input" top: "r" input_param { shape { dim: 3 dim: 5 } } }'
            'layer { name: "p" type: "ROIPooling" bottom: "x" bottom: "r" top: "p"'
            " roi_pooling_param { pooled_h: 2 pooled_w: 2 } }"
        ),
        "TEST",
    )
    free = {}
    for device in (None, "cuda"):
        graph = build_forward(net, rules=device)  # type: ignore[arg-type]
        free[device] = [axis for axis in range(4) if graph.is_free("x", axis)]
        assert graph.is_free("r", 0)
    assert free == {None: [0, 2, 3], "cuda": [0]}


def test_roi_pooling_refuses() -> None:
    with pytest.raises(NetError, match="layer 'l': pooled_h must be > 0"):
        parse('type: "ROIPooling"')
    layer = parse('type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 1 }')
    assert layer.out_shapes([(2, 3, 9, 9), (7, 5, 1, 1)]) == ((7, 3, 1, 1),)
    with pytest.raises(ShapeError, match="ROI layer C x W x H must be == 5"):
        layer.out_shapes([(2, 3, 9, 9), (7, 4)])
    with pytest.raises(ShapeError, match="must have 4 axes"):
        layer.out_shapes([(2, 3), (7, 5)])


def test_the_first_of_equal_maxima_gets_the_gradient() -> None:
    layer = parse('type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 2 }')
    x = np.float32([[[[1, 2, 2, 2], [2, 0, 2, 0]]]])
    regions = np.float32([[0, 0, 0, 2, 1], [0, 9, 9, 12, 12], [0, 0, 0, 0, 0]])
    dy = np.arange(1, 7, dtype=np.float32).reshape(3, 1, 1, 2)
    found = run_gradient(layer, [x, regions], [], [dy], without_kernel=NO_ROI_KERNEL)
    assert found[1] is None
    # cells (0, 1) and (1, 2) of three columns; nothing; both cells are the first place
    assert found[0].tolist() == [[[[5 + 6, 1 + 2, 0, 0], [0, 0, 0, 0]]]]


def test_pad_ratio() -> None:
    """A quarter of 4 x 8 pixels on each side: rows 1 to 6, columns 0 to 11 at half the scale."""
    x = values(3, (1, 2, 8, 9))
    region = np.array([[0, 2, 4, 9, 7]], np.float32)
    layer = parse(
        'type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 1 spatial_scale: 0.5 pad_ratio: 0.25 }'
    )
    (top,) = check_forward(layer, [x, region], without_kernel=NO_ROI_KERNEL)
    check_gradient(layer, [x, region], without_kernel=NO_ROI_KERNEL)
    np.testing.assert_array_equal(check_forward(layer, [x, region], device="cuda")[0], top)
    # (4 - 1) / 2 and (7 + 1) / 2 bound the rows, (2 - 2) / 2 and (9 + 2) / 2 the columns, rounded half up
    np.testing.assert_array_equal(top[0, :, 0, 0], x[0, :, 2:5, 0:7].max((1, 2)))
