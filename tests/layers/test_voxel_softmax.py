"""VoxelSoftmax and its loss by their formulas; labels of no class."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free

from vggrepro.errors import ShapeError

SHAPE = (2, 3, 2, 4, 3)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x.astype(np.float64))
    return powers / powers.sum(1, keepdims=True)


def test_voxel_softmax() -> None:
    layer = parse('type: "VoxelSoftmax"')
    x = tie_free(np.random.default_rng(0), SHAPE)
    (y,) = check_forward(layer, [x], dims=[(None, 3, None, None, None)])
    np.testing.assert_allclose(y, softmax(x), rtol=1e-5)
    check_gradient(layer, [x])


@pytest.mark.parametrize("tops", [1, 2])
def test_the_loss_of_voxels(tops: int) -> None:
    names = 'top: "loss"' if tops == 1 else 'top: "loss" top: "prob" loss_weight: 1 loss_weight: 0'
    layer = parse(f'type: "VoxelSoftmaxWithLoss" {names}')
    rng = np.random.default_rng(1)
    x, label = tie_free(rng, SHAPE), rng.integers(0, 6, (2, 1, 2, 4, 3)).astype(np.float32)
    dims = [(None, 3, 2, 4, 3), (None, 1, 2, 4, 3)]
    loss, *prob = check_forward(layer, [x, label], dims=dims)
    wanted, slopes = 0.0, np.zeros(SHAPE)
    for n, _, *place in np.ndindex(label.shape):
        own = int(label[(n, 0, *place)])
        if own < 3:  # others do not count
            shares = softmax(x)[(n, slice(None), *place)]
            wanted -= np.log(shares[own])
            slopes[(n, slice(None), *place)] = shares - np.eye(3)[own]
    assert loss == pytest.approx(wanted / label.size, rel=1e-5)
    assert len(prob) == tops - 1
    got = run_gradient(layer, [x, label], (), [np.float32(2), *prob])[0]
    np.testing.assert_allclose(got, 2 * slopes / label.size, atol=1e-6)


def test_only_videos_have_voxels() -> None:
    with pytest.raises(ShapeError, match="VoxelSoftmax: the bottom must be"):
        parse('type: "VoxelSoftmax"').out_shapes([(1, 2)])
    with pytest.raises(ShapeError, match="VoxelSoftmaxWithLoss: the bottom must be"):
        parse('type: "VoxelSoftmaxWithLoss"').out_shapes([(1, 2), (1,)])
