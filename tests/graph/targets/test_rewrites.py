"""Every remedy says the same as the node that it replaces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from drafts import Build, assert_same, draft, noise, operators

from vggrepro.graph.targets import rewrites
from vggrepro.graph.targets.draft import Rule, rewrite
from vggrepro.graph.targets.opsets import in_opset

X = noise(2, 6, 5, 7)
LINE = np.linspace(-1, 1, 7, dtype=np.float32)


def _reduced(kind: str, axes: list[int], keep: int) -> Build:
    return lambda g: g.op(f"Reduce{kind}", "x", g.ints(axes), keepdims=keep)


def _gathered(index: list[int], axis: int) -> Build:
    return lambda g: g.op("Gather", "x", g.ints(index), axis=axis)


CASES: dict[str, tuple[Build, str, Rule, tuple[int, ...], list[str]]] = {
    "pad_apart": (
        lambda g: g.op("Conv", "x", g.const(noise(4, 6, 1, 1)), pads=[1, 2, 0, 3], kernel_shape=[1, 1]),
        "Conv",
        rewrites.pad_apart,
        (2, 4, 6, 12),
        ["Pad", "Conv"],
    ),
    "lowest_apart": (
        lambda g: g.op("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
        "MaxPool",
        rewrites.lowest_apart,
        (2, 6, 3, 4),
        ["Pad", "MaxPool"],
    ),
    "named_mode": (
        lambda g: g.op("Pad", "x", g.ints([0, 0, 1, 0, 0, 0, 0, 2]), g.const(7)),
        "Pad",
        rewrites.named_mode,
        (2, 6, 6, 9),
        ["Pad"],
    ),
    "blocks_by_convolution": (
        lambda g: g.op(
            "SpaceToDepth", g.op("Slice", "x", *map(g.ints, ([0, 0], [4, 6], [2, 3]))), blocksize=2
        ),
        "SpaceToDepth",
        rewrites.blocks_by_convolution,
        (2, 24, 2, 3),
        ["Slice", "Conv"],
    ),
    "second_tap": (
        lambda g: g.op(
            "Conv", "x", g.const(noise(4, 6, 1, 1)), pads=[1, 2, 0, 3], kernel_shape=[1, 1], strides=[2, 3]
        ),
        "Conv",
        rewrites.second_tap,
        (2, 4, 3, 4),
        ["Conv"],
    ),
    "counted_average": (
        lambda g: g.op("AveragePool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
        "AveragePool",
        rewrites.counted_average,
        (2, 6, 3, 4),
        ["Pad", "AveragePool", "Mul"],
    ),
    "dilated_weight": (
        lambda g: g.op(
            "ConvTranspose", "x", g.const(noise(6, 2, 2, 3)), kernel_shape=[2, 3], dilations=[2, 3]
        ),
        "ConvTranspose",
        rewrites.dilated_weight,
        (2, 2, 7, 13),
        ["ConvTranspose"],
    ),
    "one_over": (
        lambda g: g.op("Reciprocal", "x"),
        "Reciprocal",
        rewrites.one_over,
        (2, 6, 5, 7),
        ["Div"],
    ),
    "bounded_tanh": (
        lambda g: g.op("Tanh", g.op("Mul", "x", g.const(60))),
        "Tanh",
        rewrites.bounded_tanh,
        (2, 6, 5, 7),
        ["Mul", "Clip", "Tanh"],
    ),
    "bounded_softplus": (
        lambda g: g.op("Softplus", g.op("Mul", "x", g.const(60))),
        "Softplus",
        rewrites.bounded_softplus,
        (2, 6, 5, 7),
        ["Mul", "Min", "Softplus", "Max"],
    ),
    "sum_apart": (
        lambda g: g.op("Div", "x", g.op("Exp", "x")),
        "Div",
        rewrites.sum_apart(1),
        (2, 6, 5, 7),
        ["Exp", "Add", "Div"],
    ),
    "kept_in_place": (
        lambda g: g.op("MaxPool", "x", kernel_shape=[2, 2]),
        "MaxPool",
        rewrites.kept_in_place,
        (2, 6, 4, 6),
        ["MaxPool", "Max"],
    ),
    "reshape": (
        lambda g: g.op("Unsqueeze", "x", g.ints([0, 3])),
        "Unsqueeze",
        rewrites.reshape,
        (1, 2, 6, 1, 5, 7),
        ["Reshape"],
    ),
    "kept_axes": (
        lambda g: g.op("ReduceMax", "x", keepdims=0),
        "ReduceMax",
        rewrites.kept_axes,
        (),
        ["ReduceMax", "Reshape"],
    ),
    "full_rank": (
        lambda g: g.op("Sub", g.const(LINE), "x"),
        "Sub",
        rewrites.full_rank,
        (2, 6, 5, 7),
        ["Sub"],
    ),
    "full_rank of vectors": (
        lambda g: g.op("Mul", g.op("ReduceSum", "x", g.ints([0, 1, 2]), keepdims=0), g.const(LINE)),
        "Mul",
        rewrites.full_rank,
        (7,),
        ["ReduceSum", "Reshape", "Mul", "Reshape"],
    ),
    "same_shape": (
        lambda g: g.op("Max", "x", g.op("ReduceMean", "x", g.ints([1]))),
        "Max",
        rewrites.same_shape,
        (2, 6, 5, 7),
        ["ReduceMean", "Add", "Max"],
    ),
    "same_shape of a constant": (
        lambda g: g.op("Min", "x", g.const(LINE)),
        "Min",
        rewrites.same_shape,
        (2, 6, 5, 7),
        ["Min"],
    ),
    "concatenated": (
        lambda g: g.op("Tile", "x", g.ints([1, 2, 1, 3])),
        "Tile",
        rewrites.concatenated,
        (2, 12, 5, 21),
        ["Concat", "Concat"],
    ),
    "rearranged": (_gathered([5, 5, 0], 1), "Gather", rewrites.rearranged, (2, 3, 5, 7), ["Split", "Concat"]),
    "rearranged groups": (
        _gathered([0, 3, 1, 4, 2, 5], 1),
        "Gather",
        rewrites.rearranged,
        (2, 6, 5, 7),
        ["Reshape", "Transpose", "Reshape"],
    ),
    **{
        f"pooled {kind} {axes}": (_reduced(kind, axes, keep), f"Reduce{kind}", rewrites.pooled, shape, [])
        for kind in ("Mean", "Sum", "Max", "Min", "L1", "L2", "SumSquare")
        for axes, keep, shape in [([1], 1, (2, 1, 5, 7)), ([2, 3], 0, (2, 6)), ([0, -1], 0, (6, 5))]
    },
}


@pytest.mark.parametrize("name", CASES)
def test_the_remedy_says_the_same(name: str) -> None:
    build, operator, rule, y, nodes = CASES[name]
    before = draft(build, X.shape, y)
    after = rewrite(before, operator, rule)
    assert after is not before
    if nodes:
        assert operators(after) == nodes
    elif "Reduce" in operator:
        assert not any(node.startswith("Reduce") for node in operators(after))
    assert_same(before, after, X, 1e-5)


@pytest.mark.parametrize(
    ("kind", "axes", "keep", "rule", "y", "nodes"),
    [
        ("Sum", [2], 1, rewrites.counted_mean, (2, 6, 1, 7), ["ReduceMean", "Mul"]),
        ("Sum", [-1], 0, rewrites.counted_mean, (2, 6, 5), ["ReduceMean", "Mul"]),
        ("Max", [1, 3], 1, rewrites.axis_by_axis, (2, 1, 5, 1), ["ReduceMax", "ReduceMax"]),
        ("Min", [-3, 3], 0, rewrites.axis_by_axis, (2, 5), ["ReduceMin", "ReduceMin"]),
    ],
)
def test_reductions_in_the_words_of_older_sets(kind, axes, keep: int, rule: Rule, y, nodes) -> None:
    before = in_opset(draft(_reduced(kind, axes, keep), X.shape, y), 13)
    after = rewrite(before, f"Reduce{kind}", rule)
    assert operators(after) == nodes
    after.check()
    assert_same(before, after, X)


@pytest.mark.parametrize("how", ["align_corners", "half_pixel", "asymmetric"])
@pytest.mark.parametrize(("x", "added"), [((2, 3, 1, 7), 1), ((2, 3, 5, 1), 1), ((1, 1, 1, 1), 2)])
def test_a_resize_of_one_row_or_column(how: str, x: tuple[int, ...], added: int) -> None:
    y = (*x[:2], 6, 9)
    way = {"mode": "linear", "coordinate_transformation_mode": how}
    before = draft(lambda g: g.op("Resize", "x", "", "", g.ints(y), **way), x, y)
    after = rewrite(before, "Resize", rewrites.single_axes_twice)
    assert operators(after) == ["Concat"] * added + ["Resize"]
    assert_same(before, after, noise(*x))


def test_a_maximum_along_all_axes() -> None:
    before = in_opset(draft(lambda g: g.op("ReduceMax", "x", keepdims=0), X.shape, ()), 13)
    after = rewrite(before, "ReduceMax", rewrites.axis_by_axis)
    assert operators(after) == ["ReduceMax"] * 4
    assert_same(before, after, X)


def test_a_computed_third_operand() -> None:
    weight, x = noise(4, 6), noise(2, 6)

    def build(g):
        return g.op("Gemm", "x", g.const(weight), g.op("ReduceSum", "x", g.ints([1])), transB=1)

    before = draft(build, (2, 6), (2, 4))
    after = rewrite(before, "Gemm", rewrites.bias_apart)
    assert operators(after) == ["Gemm", "ReduceSum", "Add"] or operators(after) == [
        "ReduceSum",
        "Gemm",
        "Add",
    ]
    assert_same(before, after, x)


UNKNOWN: list[tuple[str, Callable, Rule]] = [
    ("Tile", lambda g: g.op("Tile", "x", g.op("Shape", "x")), rewrites.concatenated),
    ("ReduceProd", _reduced("Prod", [1], 1), rewrites.pooled),
    ("Unsqueeze", lambda g: g.op("Unsqueeze", "x", g.ints([0])), rewrites.reshape),
    ("Gather", _gathered([0], 0), rewrites.rearranged),
    ("Max", lambda g: g.op("Max", "x", g.const(LINE)), rewrites.same_shape),
]


@pytest.mark.parametrize(
    ("operator", "build", "rule"), UNKNOWN, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_needs_more_than_is_known_stays(operator: str, build: Build, rule: Rule) -> None:
    free = draft(build, (None, None, 5, 7), (None,) * 4)
    free.graph.skeleton.graph.output[0].type.tensor_type.ClearField("shape")
    assert rewrite(free, operator, rule) is free
