"""What folding and initialising ask of products with a weight."""

from __future__ import annotations

import numpy as np
import pytest
from harness import parse

from vggrepro.caffe.messages import LayerParameter
from vggrepro.layers.rules.product import ProductLayer

CONVOLUTION = "convolution_param { num_output: 4 kernel_size: 2 group: 2 bias_term: false }"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (f'type: "Convolution" {CONVOLUTION}', (2, 4, 5, 6)),
        (f'type: "Deconvolution" {CONVOLUTION}', (2, 4, 5, 6)),
        ('type: "InnerProduct" inner_product_param { num_output: 4 bias_term: false }', (2, 3)),
        (
            'type: "InnerProduct" inner_product_param { num_output: 4 bias_term: false transpose: true }',
            (2, 3),
        ),
    ],
)
def test_a_scaled_weight_scales_the_outputs(text: str, shape: tuple[int, ...]) -> None:
    layer = parse(text)
    assert isinstance(layer, ProductLayer)
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal(shape), rng.standard_normal(layer.param_defs([shape])[0].shape)
    factor = np.array([2.0, -1.0, 0.5, 3.0])
    (plain,) = layer.reference([x], [weight], []).tops
    (scaled,) = layer.reference([x], [layer.scaled(weight, factor)], []).tops
    axis = layer.output_axis(plain.ndim)
    along = factor.reshape([-1 if a == axis else 1 for a in range(plain.ndim)])
    np.testing.assert_allclose(scaled, plain * along)


def test_fillers_are_those_of_the_definition() -> None:
    definition = LayerParameter(type="InnerProduct")
    layer = parse('type: "InnerProduct" inner_product_param { num_output: 1 }')
    assert isinstance(layer, ProductLayer)
    weight, bias = layer.fillers(definition)
    weight.type, bias.value = "msra", 3
    param = definition.inner_product_param
    assert (param.weight_filler.type, param.bias_filler.value) == ("msra", 3)
