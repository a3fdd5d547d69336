"""naibaf7's EuclideanLoss: by hand, with and without factors, over volumes; how a net asks for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import check_forward, check_gradient, run_gradient, tie_free

from vggrepro import load_net
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Needed
from vggrepro.layers.euclidean_loss_of_elements import EuclideanLossOfElements

LAYER = EuclideanLossOfElements()
SHAPE = (2, 3, 2, 3, 4)


def test_by_hand() -> None:
    rng = np.random.default_rng(0)
    a, b, s = (tie_free(rng, SHAPE, -2, 2) for _ in range(3))
    (loss,) = check_forward(LAYER, [a, b, s], dims=[(None, *SHAPE[1:])] * 3)
    scaled = s.astype(np.float64) * (a - b)
    np.testing.assert_allclose(loss, (scaled**2).mean() / 2, rtol=1e-5)
    needed = Needed((True, True, False), ())
    d_a, d_b, d_s = run_gradient(LAYER, [a, b, s], [], [np.float32(0.7)], needed=needed)
    np.testing.assert_allclose(d_a, 0.7 * scaled / a.size, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(d_b, -d_a, rtol=1e-6)
    assert d_s is None


def test_the_gradient_is_the_derivative_for_factors_0_and_1() -> None:
    rng = np.random.default_rng(1)
    a, b = tie_free(rng, SHAPE), tie_free(rng, (2, 72), -2, 3)
    check_forward(LAYER, [a, b])
    check_gradient(LAYER, [a, b], d_tops=[np.float32(0.7)])
    s = rng.integers(0, 2, SHAPE).astype(np.float32)
    check_gradient(LAYER, [a, b, s], d_tops=[np.float32(0.7)], needed=Needed((True, True, False), ()))


NET = """input: "x" input_shape { dim: 2 dim: 3 dim: 4 dim: 4 dim: 4 }
input: "y" input_shape { dim: 2 dim: 192 }
layer { name: "loss" type: "EuclideanLoss" bottom: "x" bottom: "y" top: "loss" }"""


def test_the_fork_has_it(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    with pytest.raises(ShapeError, match="legacy accessors"):
        load_net(path)
    assert load_net(path, fork="naibaf7").layers[-1].layer == LAYER
    third = NET.replace('"y" top', '"y" bottom: "x" top')
    path.write_text(third)
    assert load_net(path, fork="naibaf7").outputs == {"loss": ()}
    with pytest.raises(NetError, match=r"takes 2 bottom blob\(s\)"):
        load_net(path)
    path.write_text(
        NET.replace("EuclideanLoss", "HingeLoss").replace(" top", " loss_param { by_element: true } top")
    )
    with pytest.raises(
        UnsupportedError, match="loss_param: by_element is implemented for EuclideanLoss alone"
    ):
        load_net(path)


def test_its_nets_hint_at_it(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    crop = 'layer { name: "m" type: "MergeCrop" bottom: "x" bottom: "x" top: "m" }'
    path.write_text(NET.replace("dim: 4 dim: 4 dim: 4", "dim: 8 dim: 8") + crop)
    with pytest.warns(
        UserWarning, match="EuclideanLoss is taken for BVLC Caffe's; MergeCrop hints at another"
    ):
        load_net(path)


def test_refuses() -> None:
    with pytest.raises(ShapeError, match=r"same dimension: \[8, 8, 4\] elements"):
        LAYER.out_shapes([(2, 4), (2, 4), (2, 2)])
