"""SpatialSoftmax by its formula, in both of its forms."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from harness import check_forward, check_gradient, parse, tie_free

from vggrepro.caffe.messages import LayerParameter
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer
from vggrepro.layers.spatial_softmax import SpatialSoftmax
from vggrepro.net.kinds import class_of

FORMS = [
    ('type: "SpatialSoftmax"', 1, (2, 3)),
    ('type: "SpatialSoftmax" spatial_softmax_param { temperature: 0.5 dimension: "spatial" }', 0.5, (2, 3)),
    ('type: "Softmax" softmax_param { dimension: "spatial" temperature: 2 }', 2, (2, 3)),
    ('type: "Softmax" softmax_param { dimension: "all" }', 1, (1, 2, 3)),
]


def parsed(text: str) -> Layer:
    definition = text_format.Parse(text, LayerParameter())
    assert class_of(definition) is SpatialSoftmax
    return SpatialSoftmax.from_param(definition, 1)


@pytest.mark.parametrize(("text", "temperature", "axes"), FORMS)
def test_shares_of_places(text: str, temperature: float, axes: tuple[int, ...]) -> None:
    x = tie_free(np.random.default_rng(0), (2, 3, 4, 5))
    layer = parsed(text)
    (y,) = check_forward(layer, [x], dims=[(None, 3, None, None)])
    powers = np.exp(x.astype(np.float64) / temperature)
    np.testing.assert_allclose(y, powers / powers.sum(axes, keepdims=True), rtol=1e-4)
    check_gradient(layer, [x])


def test_spatial_softmax_refuses() -> None:
    with pytest.raises(NetError, match="SpatialSoftmax: unknown dimension 'all'"):
        parsed('type: "SpatialSoftmax" spatial_softmax_param { dimension: "all" }')
    with pytest.raises(NetError, match="Softmax: unknown dimension 'rows'"):
        parsed('type: "Softmax" softmax_param { dimension: "rows" }')
    with pytest.raises(NetError, match="temperature must be positive, got 0"):
        parsed('type: "SpatialSoftmax" spatial_softmax_param { temperature: 0 }')
    with pytest.raises(ShapeError, match=r"must be \(N, C, H, W\)"):
        parsed('type: "SpatialSoftmax"').out_shapes([(1, 2)])


@pytest.mark.parametrize("kind", ["Softmax", "SoftmaxWithLoss"])
def test_other_layers_know_channels_alone(kind: str) -> None:
    with pytest.raises(UnsupportedError, match="softmax_param: dimension"):
        parse(f'type: "{kind}" softmax_param {{ dimension: "spatial" }}')
