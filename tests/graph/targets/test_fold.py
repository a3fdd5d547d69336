"""Constant folding gives the bits that running the nodes gives."""

from __future__ import annotations

import numpy as np
import pytest
from drafts import Build, draft, noise, operators, result
from golden_suite import cases

from vggrepro.graph.forward import build_forward
from vggrepro.graph.targets.draft import Draft
from vggrepro.graph.targets.fold import fold_constants
from vggrepro.runtime.session import Session

C = np.linspace(-2, 3, 12, dtype=np.float32).reshape(3, 4)
FOLDED: dict[str, Build] = {
    "sum": lambda g: g.op("Add", g.const(C), g.op("Sub", g.const(C), g.const(1))),
    "quotient": lambda g: g.op("Div", g.const(C), g.op("Mul", g.const(3), g.const(C + 9))),
    "root": lambda g: g.op("Sqrt", g.op("Reciprocal", g.const(C + 9))),
    "largest": lambda g: g.op("Max", g.const(C), g.op("Min", g.const(C * 2), g.const(0))),
    "chosen": lambda g: g.op("Where", g.op("Equal", g.const(C), g.const(-2)), g.const(7), g.const(C)),
    "cut": lambda g: g.op("Slice", g.const(C), g.ints([-1]), g.ints([-5]), g.ints([1]), g.ints([-2])),
    "shapes": lambda g: g.op("Unsqueeze", g.op("Reshape", g.const(C), g.ints([0, -1])), g.ints([2])),
    "squeezed": lambda g: g.op("Squeeze", g.op("Unsqueeze", g.const(C), g.ints([0])), g.ints([0])),
    "turned": lambda g: g.op("Transpose", g.op("Flatten", g.const(C), axis=1), perm=[1, 0]),
    "split": lambda g: g.op(
        "Concat", *g.ops("Split", g.const(C), outputs=2, axis=1, num_outputs=2)[::-1], axis=0
    ),
    "taken": lambda g: g.op("Gather", g.const(C), g.ints([2, 0]), axis=0),
    "filled": lambda g: g.op("Expand", g.op("Neg", g.const(C[:1])), g.ints([3, 4])),
    "zeros": lambda g: g.op("ConstantOfShape", g.ints([2, 2])),
    "counted": lambda g: g.op("Cast", g.op("Range", g.ints(1), g.ints(9), g.ints(3)), to=1),
    "integers": lambda g: g.op("Cast", g.op("Div", g.ints([-7, 7]), g.ints([2, 2])), to=1),
    "summed": lambda g: g.op("ReduceSum", g.const(C), g.ints([1]), keepdims=0),
    "tiled": lambda g: g.op("Tile", g.const(C), g.ints([1, 2])),
}


@pytest.mark.parametrize("name", FOLDED)
def test_folding(name: str) -> None:
    def used(g):
        value = FOLDED[name](g)
        return g.op("Add", g.op("ReduceSum", "x", keepdims=0), value)

    before = draft(used, y=(None,) * 2)
    before.graph.skeleton.graph.output[0].type.tensor_type.ClearField("shape")
    after = fold_constants(before)
    assert operators(after) == ["ReduceSum", "Add"]
    x = noise(2, 3, 5, 7)
    np.testing.assert_array_equal(result(after, x), result(before, x))


def test_sizes_that_are_fixed_are_constants() -> None:
    d = fold_constants(draft(lambda g: g.op("Reshape", "x", g.op("Shape", g.op("Relu", "x")))))
    assert operators(d) == ["Reshape"]
    free = draft(lambda g: g.op("Reshape", "x", g.op("Shape", g.op("Relu", "x"))), (None, 3, 5, 7))
    assert operators(fold_constants(free)) == ["Relu", "Shape", "Reshape"]
    part = draft(lambda g: g.op("Add", "x", g.op("Cast", g.op("Size", g.op("Relu", "x")), to=1)))
    assert operators(fold_constants(part)) == ["Add"]


def test_a_large_array_is_not_made_of_a_small_one() -> None:
    d = draft(lambda g: g.op("Add", g.op("ReduceSum", "x"), g.op("Expand", g.const(1), g.ints([300, 300]))))
    assert operators(fold_constants(d)) == ["ReduceSum", "Expand", "Add"]


NETS = [c for c in cases("net") if c.folder.name in ("resnet_like", "densenet_like", "fuzz_01")]


@pytest.mark.parametrize("case", NETS, ids=lambda c: c.folder.name)
def test_nets_keep_their_bits(case) -> None:
    graph = build_forward(case.load())
    folded = fold_constants(Draft.of(graph)).finished()
    assert len(folded.skeleton.graph.node) < len(graph.skeleton.graph.node)
    want = Session(graph, threads=1).run(case.arrays("in"))
    got = Session(folded, threads=1).run(case.arrays("in"))
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array)
