"""Chains of sums and products: merged, or taken into the weights before them."""

from __future__ import annotations

import numpy as np
import pytest
from drafts import assert_same, draft, noise, operators

from vggrepro.emit import GraphBuilder
from vggrepro.graph.targets import affine
from vggrepro.graph.targets.draft import rewrite

X = noise(2, 3, 5, 7)
CHANNELS = np.array([0.5, 2, -1.5], np.float32).reshape(3, 1, 1)


def _norm(g: GraphBuilder, x: str = "x", per: np.ndarray = CHANNELS) -> str:
    centred = g.op("Div", g.op("Sub", x, g.const(per)), g.const(per + 3))
    return g.op("Add", g.op("Mul", centred, g.const(per * 2)), g.const(per - 1))


def test_a_chain_becomes_one_product_and_one_sum() -> None:
    before = draft(_norm)
    after = rewrite(before, "", affine.merge)
    assert operators(after) == ["Mul", "Add"]
    assert_same(before, after, X)
    assert rewrite(after, "", affine.merge) is after


def test_what_cancels_goes() -> None:
    before = draft(lambda g: g.op("Relu", g.op("Mul", g.op("Div", "x", g.const(4)), g.const(4))))
    assert operators(rewrite(before, "", affine.merge)) == ["Relu"]


def test_a_constant_less_the_tensor() -> None:
    before = draft(lambda g: g.op("Mul", g.op("Sub", g.const(CHANNELS), "x"), g.const(2)))
    after = rewrite(before, "", affine.merge)
    assert operators(after) == ["Mul", "Add"]
    assert_same(before, after, X)


@pytest.mark.parametrize(
    "build",
    [
        lambda g: g.op("Add", g.op("Div", g.const(CHANNELS), "x"), g.const(1)),
        lambda g: g.op("Add", g.op("Sub", "x", g.op("Abs", "x")), g.const(1)),
        lambda g: g.op(
            "Sub", g.op("Mul", "x", g.const(np.ones((4, 2, 3, 5, 7)))), g.const(np.ones((1,) * 5))
        ),
    ],
    ids=["quotient of a constant", "no constant", "a larger constant"],
)
def test_other_chains_stay(build) -> None:
    d = draft(build, y=(None,) * 5)
    kept = operators(rewrite(d, "", affine.merge))
    assert kept[0] == operators(d)[0]


def test_a_value_that_others_read_is_kept() -> None:
    def twice(g: GraphBuilder) -> str:
        middle = g.op("Sub", "x", g.const(CHANNELS))
        return g.op("Max", g.op("Div", middle, g.const(CHANNELS + 3)), middle)

    before = draft(twice)
    after = rewrite(before, "", affine.merge)
    assert operators(after) == ["Add", "Mul", "Max"]
    assert_same(before, after, X)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("op_type", "shape", "attributes", "y"),
    [
        ("Conv", (4, 3, 2, 2), {}, (2, 4, 4, 6)),
        ("Conv", (6, 1, 2, 2), {"group": 3}, (2, 6, 4, 6)),
        ("ConvTranspose", (3, 4, 2, 2), {}, (2, 4, 6, 8)),
        ("ConvTranspose", (3, 2, 2, 2), {"group": 3}, (2, 6, 6, 8)),
    ],
)
def test_into_convolutions(op_type, shape, attributes, y, bias: bool) -> None:
    per = np.linspace(-1, 2, y[1], dtype=np.float32).reshape(-1, 1, 1)

    def build(g: GraphBuilder) -> str:
        extra = [g.const(np.linspace(0, 1, y[1]))] if bias else []
        return _norm(g, g.op(op_type, "x", g.const(noise(*shape)), *extra, **attributes), per)

    before = draft(build, y=y)
    after = rewrite(before, "", affine.into_weights)
    assert operators(after) == [op_type]
    assert_same(before, after, X, 1e-5)


@pytest.mark.parametrize("trans_b", [0, 1])
def test_into_a_matrix_product(trans_b: int) -> None:
    weight = noise(4, 7) if trans_b else noise(7, 4)
    per = np.linspace(-1, 2, 4, dtype=np.float32)

    def build(g: GraphBuilder) -> str:
        return _norm(g, g.op("Gemm", "x", g.const(weight), transB=trans_b), per)

    before = draft(build, (2, 7), (2, 4))
    after = rewrite(before, "", affine.into_weights)
    assert operators(after) == ["Gemm"]
    assert_same(before, after, noise(2, 7), 1e-5)


def test_what_differs_within_a_channel_stays_behind() -> None:
    rows = np.linspace(1, 2, 4, dtype=np.float32).reshape(4, 1)
    d = draft(
        lambda g: g.op("Mul", g.op("Conv", "x", g.const(noise(4, 3, 2, 2))), g.const(rows)), y=(2, 4, 4, 6)
    )
    assert rewrite(d, "", affine.into_weights) is d


def test_a_division_by_zero_stays() -> None:
    d = draft(
        lambda g: g.op(
            "Add", g.op("Div", g.op("Conv", "x", g.const(noise(4, 3, 2, 2))), g.const(0)), g.const(1)
        ),
        y=(2, 4, 4, 6),
    )
    assert rewrite(d, "", affine.into_weights) is d
    assert rewrite(d, "", affine.merge) is d
