from __future__ import annotations

import pytest
from harness import check_forward, check_gradient, parse
from shape_cases import values


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_the_top_is_the_parameter(shape: tuple[int, ...]) -> None:
    dims = " ".join(f"dim: {d}" for d in shape)
    layer = parse(f'type: "Parameter" parameter_param {{ shape {{ {dims} }} }}')
    (definition,) = layer.param_defs([])
    assert (definition.shape, definition.filler.type, definition.filler.value) == (shape, "constant", 0)
    check_forward(layer, [], [values(0, shape)])
    check_gradient(layer, [], [values(0, shape)])
