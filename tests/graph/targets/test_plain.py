"""Several nodes become the one operator that they say."""

from __future__ import annotations

import numpy as np
import pytest
from drafts import assert_same, attributes_of, draft, noise, operators

from vggrepro.emit import GraphBuilder
from vggrepro.graph.targets import plain
from vggrepro.graph.targets.draft import rewrite
from vggrepro.layers.rules.neuron import logistic
from vggrepro.layers.softmax import Softmax

X = noise(2, 3, 5, 7)


def test_sigmoid() -> None:
    before = draft(lambda g: logistic(g, "x"))
    after = rewrite(before, "Reciprocal", plain.sigmoid)
    assert operators(after) == ["Sigmoid"]
    assert_same(before, after, X)


def test_what_only_looks_like_a_sigmoid_stays() -> None:
    def two_plus(g: GraphBuilder) -> str:
        return g.op("Reciprocal", g.op("Add", g.op("Exp", g.op("Neg", "x")), g.const(2)))

    d = draft(two_plus)
    assert rewrite(d, "Reciprocal", plain.sigmoid) is d


def _softmax(g: GraphBuilder) -> str:
    from vggrepro.emit import Value

    return Softmax(axis=1).emit(g, [Value("x", (2, 3, 5, 7))], [], []).tops[0]


def test_softmax() -> None:
    before = draft(_softmax)
    after = rewrite(before, "Div", plain.softmax)
    assert operators(after) == ["Softmax"]
    assert attributes_of(after, "Softmax") == {"axis": 1}
    assert_same(before, after, X)


def test_what_only_looks_like_a_softmax_stays() -> None:
    def other_axes(g: GraphBuilder) -> str:
        e = g.op("Exp", g.op("Sub", "x", g.op("ReduceMax", "x", g.ints([1]))))
        return g.op("Div", e, g.op("ReduceSum", e, g.ints([2])))

    d = draft(other_axes)
    assert rewrite(d, "Div", plain.softmax) is d


@pytest.mark.parametrize(
    ("x", "target", "flat"),
    [
        ((2, 3, 5, 7), [-1, 105], True),
        ((None, 3, 5, 7), [-1, 105], True),
        ((None, 3, 5, 7), [0, -1], True),
        ((None, 3, None, 7), [0, -1], False),
        ((2, 3, 5, 7), [6, -1], False),
        ((2, 3), [2, 3], False),
    ],
)
def test_flatten(x, target, flat: bool) -> None:
    before = draft(lambda g: g.op("Reshape", "x", g.ints(target)), x, (None, None))
    after = rewrite(before, "Reshape", plain.flatten)
    assert operators(after) == (["Flatten"] if flat else ["Reshape"])
    if flat:
        assert_same(before, after, X)


def test_a_reshape_is_told_the_sizes_that_are_fixed() -> None:
    before = draft(lambda g: g.op("Reshape", "x", g.ints([0, -1, 7])), y=(2, 15, 7))
    after = rewrite(before, "Reshape", plain.fixed_shape)
    assert after.constants[after.nodes[0].input[1]].tolist() == [2, 15, 7]
    assert_same(before, after, X)
    free = draft(lambda g: g.op("Reshape", "x", g.ints([0, -1, 7])), (None, 3, 5, 7), (None, 15, 7))
    once = rewrite(free, "Reshape", plain.fixed_shape)
    assert once.constants[once.nodes[0].input[1]].tolist() == [-1, 15, 7]
    assert rewrite(once, "Reshape", plain.fixed_shape) is once


def test_a_convolution_says_its_kernel() -> None:
    weight = np.ones((4, 3, 2, 3), np.float32)
    before = draft(lambda g: g.op("Conv", "x", g.const(weight)), y=(2, 4, 4, 5))
    after = rewrite(before, "Conv", plain.kernel_shape)
    assert attributes_of(after, "Conv") == {"kernel_shape": [2, 3]}
    assert rewrite(after, "Conv", plain.kernel_shape) is after


@pytest.mark.parametrize("operator", ["AveragePool", "MaxPool"])
def test_a_pooling_says_its_strides(operator: str) -> None:
    before = draft(lambda g: g.op(operator, "x", kernel_shape=[2, 2]), y=(2, 3, 4, 6))
    after = rewrite(before, operator, plain.strides)
    assert attributes_of(after, operator) == {"kernel_shape": [2, 2], "strides": [1, 1]}
    assert_same(before, after, X)
    assert rewrite(after, operator, plain.strides) is after


def test_identities_go_where_no_output_needs_them() -> None:
    inside = draft(lambda g: g.op("Abs", g.op("Identity", "x")))
    assert operators(rewrite(inside, "Identity", plain.no_identity)) == ["Abs"]
    behind = draft(lambda g: g.op("Identity", g.op("Abs", "x")))
    assert operators(rewrite(behind, "Identity", plain.no_identity)) == ["Abs"]
    alone = draft(lambda g: g.op("Identity", "x"))
    assert operators(rewrite(alone, "Identity", plain.no_identity)) == ["Identity"]


@pytest.mark.parametrize("keep", [None, 0, 1])
def test_reductions_say_whether_they_keep_axes(keep: int | None) -> None:
    y = (2, 5, 7) if keep == 0 else (2, 1, 5, 7)
    before = draft(lambda g: g.op("ReduceMean", "x", g.ints([1]), keepdims=keep), X.shape, y)
    after = rewrite(before, "ReduceMean", plain.keepdims)
    assert attributes_of(after, "ReduceMean")["keepdims"] == (1 if keep is None else keep)
    assert_same(before, after, X)
