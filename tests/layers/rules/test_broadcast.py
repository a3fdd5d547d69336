"""Scale and Bias: every way to lay the second operand over the first."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import FixedShapeError, NetError, ShapeError
from vggrepro.layers.base import Needed

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=5)
SEEDS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from(["Scale", "Bias"])


def definition(kind: str, axis: int, num_axes: int, extra: str = "") -> str:
    return f'type: "{kind}" {kind.lower()}_param {{ axis: {axis} num_axes: {num_axes} {extra} }}'


@settings(max_examples=60, deadline=None)
@given(st.data(), KINDS, SHAPES, st.booleans(), SEEDS)
def test_learned(data: st.DataObject, kind: str, shape: list[int], bias: bool, seed: int) -> None:
    first = data.draw(st.integers(0, len(shape) - 1), label="axis")
    num_axes = data.draw(st.integers(-1, len(shape) - first), label="num_axes")
    axis = first - data.draw(st.sampled_from([0, len(shape)]), label="from the end")
    extra = "bias_term: true" if kind == "Scale" and bias else ""
    layer = parse(definition(kind, axis, num_axes, extra))
    expected = tuple(shape[first:] if num_axes == -1 else shape[first : first + num_axes])
    assert [p.shape for p in layer.param_defs([tuple(shape)])] == [expected] * (2 if extra else 1)
    rng = np.random.default_rng(seed)
    x = tie_free(rng, shape)
    params = [tie_free(rng, expected, -2, 2) for _ in range(2 if extra else 1)]
    covered = range(first, first + len(expected))
    check_forward(layer, [x], params, dims=[tuple(s if i in covered else None for i, s in enumerate(shape))])
    check_gradient(layer, [x], params, most=30, atol=2e-5)  # sums of gradients may cancel


@settings(max_examples=60, deadline=None)
@given(st.data(), KINDS, SHAPES, st.booleans(), SEEDS)
def test_second_bottom(data: st.DataObject, kind: str, shape: list[int], bias: bool, seed: int) -> None:
    first = data.draw(st.integers(0, len(shape) - 1), label="axis")
    count = data.draw(st.integers(0, len(shape) - first), label="axes of the second bottom")
    extra = "bias_term: true" if kind == "Scale" and bias else ""
    layer = parse(definition(kind, first, 1, extra))  # num_axes is ignored
    operand = tuple(shape[first : first + count])
    rng = np.random.default_rng(seed)
    bottoms = [tie_free(rng, shape), tie_free(rng, operand, -2, 2)]
    params = [tie_free(rng, operand)] if extra else []
    symbolic = None if extra else [(None,) * len(shape), (None,) * count]
    check_forward(layer, bottoms, params, dims=symbolic)
    check_gradient(layer, bottoms, params, most=30, atol=2e-5)  # sums of gradients may cancel


def test_fillers() -> None:
    def fillers(text: str) -> list[tuple[str, float]]:
        return [(p.filler.type, p.filler.value) for p in parse(text).param_defs([(2, 3)])]

    assert fillers('type: "Scale"') == [("constant", 1)]
    assert fillers('type: "Bias"') == [("constant", 0)]
    assert fillers(
        'type: "Scale" scale_param { filler { value: 3 } bias_term: true bias_filler { value: 4 } }'
    ) == [
        ("constant", 3),
        ("constant", 4),
    ]
    assert fillers('type: "Bias" bias_param { filler { type: "gaussian" } }') == [("gaussian", 0)]


def test_a_learned_operand_over_a_symbolic_size_asks_for_it() -> None:
    layer = parse(definition("Scale", 0, 2))
    with pytest.raises(FixedShapeError):
        layer.emit(GraphBuilder(), [Value("x", (None, 3, None))], [Value("s", (2, 3))], [])


def test_only_the_gradients_that_are_needed() -> None:
    layer = parse(definition("Scale", 1, 1, "bias_term: true"))
    rng = np.random.default_rng(0)
    x, params = tie_free(rng, (2, 3)), [tie_free(rng, (3,)), tie_free(rng, (3,))]
    for wanted in ((True, False, False), (False, True, False), (False, False, True)):
        found = check_gradient(layer, [x], params, needed=Needed(wanted[:1], wanted[1:]))
        assert tuple(d is not None for d in found) == wanted


@pytest.mark.parametrize("kind", ["Scale", "Bias"])
def test_shapes_that_caffe_refuses(kind: str) -> None:
    word = kind.lower()
    past = f"{word} blob's shape extends past"
    with pytest.raises(ShapeError, match=past):
        parse(definition(kind, 1, 3)).out_shapes([(2, 3, 4)])
    with pytest.raises(ShapeError, match=past):
        parse(definition(kind, 2, 1)).out_shapes([(2, 3, 4), (4, 5)])
    with pytest.raises(NetError, match="num_axes must be non-negative, or -1"):
        parse(definition(kind, 1, -2)).out_shapes([(2, 3, 4)])
    with pytest.raises(NetError, match="axis 3 out of range"):
        parse(definition(kind, 3, 0)).out_shapes([(2, 3, 4)])
    mismatch = rf"dimension mismatch between bottom\[0\]->shape\(2\) and {word}->shape\(1\) \(4 vs. 5\)"
    with pytest.raises(ShapeError, match=mismatch):
        parse(definition(kind, 1, 1)).out_shapes([(2, 3, 4), (3, 5)])
