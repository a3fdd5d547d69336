from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import few, freed

from vggrepro.emit import GraphBuilder
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Layer, Needed

ONE = np.array(1, np.float32)


def layer_of(margin: float = 1, legacy: bool = False) -> Layer:
    flag = "true" if legacy else "false"
    return parse(
        f'type: "ContrastiveLoss" contrastive_loss_param {{ margin: {margin} legacy_version: {flag} }}'
    )


@few
@given(st.data(), st.booleans())
def test_any_shape(data: st.DataObject, legacy: bool) -> None:
    """A flag goes by its integer part; flags beyond the pairs are not read. The gradient's 1e-4 is not
    calculus: at distances beyond 0.5 it changes 2e-4 of the value."""
    n, channels = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    shapes = [(n, channels), (n, channels, 1), (n, channels, 1, 1)] + ([(n,)] if channels == 1 else [])
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    a, b = (tie_free(rng, data.draw(st.sampled_from(shapes)), *r) for r in ((-1, 1), (1.5, 2.5)))
    flags = rng.choice(np.array([0, 0.9, 1, 2, -1], np.float32), size=n + data.draw(st.integers(0, 2)))
    bottoms = [a, b, flags.reshape(data.draw(st.sampled_from([(-1,), (-1, 1), (-1, 1, 1, 1)])))]
    layer = layer_of(data.draw(st.sampled_from([0.777, 2.345, 6.789])), legacy)
    check_forward(layer, bottoms, dims=[data.draw(freed(bottom.shape)) for bottom in bottoms])
    wanted = data.draw(st.tuples(st.booleans(), st.booleans()).filter(any))
    needed = Needed((*wanted, False), ())
    check_gradient(layer, bottoms, d_tops=[np.array(0.7, np.float32)], needed=needed, rtol=5e-4)


@pytest.mark.parametrize(
    ("legacy", "loss", "slope"), [(False, 1.75**2 / 2, 1.75 / 0.2501), (True, (2 - 0.0625) / 2, 1)]
)
def test_a_dissimilar_pair(legacy: bool, loss: float, slope: float) -> None:
    """At distance 0.25 of a margin 2; Caffe adds 1e-4 to the distance that divides."""
    bottoms = [np.array([[0.25, 0]], np.float32), np.zeros((1, 2), np.float32), np.zeros(1, np.float32)]
    layer = layer_of(2, legacy)
    np.testing.assert_allclose(check_forward(layer, bottoms)[0], loss, rtol=1e-6)
    d_a, d_b, _ = run_gradient(layer, bottoms, [], [ONE])
    np.testing.assert_allclose(d_a, [[-slope * 0.25, 0]], rtol=1e-6)
    np.testing.assert_allclose(d_b, [[slope * 0.25, 0]], rtol=1e-6)


def test_equal_features_have_a_zero_gradient() -> None:
    bottoms = [np.ones((2, 3), np.float32), np.ones((2, 3), np.float32), np.array([0, 1], np.float32)]
    for gradient in run_gradient(layer_of(), bottoms, [], [ONE])[:2]:
        assert gradient is not None and not gradient.any()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3), (2, 4), (2,)], r"bottom\[0\]->channels\(\) == bottom\[1\]->channels\(\) \(3 vs. 4\)"),
        ([(2, 3, 2), (2, 3), (2,)], r"bottom\[0\]->height\(\) == 1 \(2 vs. 1\)"),
        ([(2, 3), (2, 3, 1, 5), (2,)], r"bottom\[1\]->width\(\) == 1 \(5 vs. 1\)"),
        ([(2, 3), (2, 3), (2, 4)], r"bottom\[2\]->channels\(\) == 1 \(4 vs. 1\)"),
        ([(2, 3), (3, 3), (2,)], "The data and label should have the same first dimension"),
        ([(3, 2), (3, 2), (2,)], "3 pairs need as many similarity flags, got 2"),
        ([(2, 3, 1, 1, 1), (2, 3), (2,)], "Cannot use legacy accessors on Blobs with > 4 axes"),
    ],
)
def test_refuses_shapes(shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        layer_of().out_shapes(shapes)


def test_flags_get_no_gradient() -> None:
    """Not even when something before them learns: Caffe's Backward passes over them."""
    flags = Needed((False, False, True), ())
    assert layer_of().grad(GraphBuilder(), None, ["d"], flags).bottoms == (None, None, None)
