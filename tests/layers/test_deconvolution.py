from __future__ import annotations

import pytest
from conv_cases import ConvCase, conv_cases
from harness import check_forward, check_gradient, parse
from hypothesis import given, settings

from vggrepro.emit import RuleSet
from vggrepro.errors import ShapeError
from vggrepro.layers.rules.correlation import RULES

some = settings(max_examples=100, deadline=None)


@given(case=conv_cases("Deconvolution"))
@some
def test_forward_equals_the_reference(case: ConvCase) -> None:
    bottoms, params = case.arrays()
    check_forward(case.layer(), bottoms, params, dims=[case.dims] * case.bottoms)


@pytest.mark.parametrize("device", RULES)
@given(case=conv_cases("Deconvolution"))
@some
def test_gradient_equals_differences(case: ConvCase, device: RuleSet) -> None:
    check_gradient(case.layer(), *case.arrays(), most=30, device=device)


def test_work_and_weight() -> None:
    layer = parse(
        'type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 3 group: 2 stride: 2 }'
    )
    assert [d.shape for d in layer.param_defs([(2, 6, 5, 5)])] == [(6, 2, 3, 3), (4,)]
    assert layer.macs([(2, 6, 5, 5)]) == 2 * 25 * 6 * 2 * 9
    assert layer.reach((2, 6, 5, 5)) is None


def test_padding_that_leaves_nothing() -> None:
    layer = parse('type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 3 pad: 2 }')
    with pytest.raises(ShapeError, match="leave a top of size"):
        layer.out_shapes([(1, 2, 2, 2)])
