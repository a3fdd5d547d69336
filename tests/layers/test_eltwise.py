"""Eltwise against its reference, central differences and Caffe's rules for ties and zeros."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Needed

BOTTOMS = 'bottom: "a" bottom: "b" bottom: "c" '


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["PROD", "PROD stable_prod_grad: false", "SUM", "SUM with coeff", "MAX"]),
    st.integers(2, 5),
    st.lists(st.integers(1, 5), min_size=0, max_size=5),
    st.integers(0, 2**32 - 1),
)
def test_equals_reference_and_central_differences(
    operation: str, count: int, shape: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    if operation == "SUM with coeff":
        operation = "SUM " + " ".join(f"coeff: {c}" for c in rng.choice([-1.5, -1, 0, 1, 0.75], count))
    blobs = " ".join(f'bottom: "{index}"' for index in range(count))
    layer = parse(f'type: "Eltwise" {blobs} eltwise_param {{ operation: {operation} }}')
    together = tie_free(rng, [count, *shape], -2, 2)  # no ties across bottoms either
    check_forward(layer, list(together), dims=[(None,) * len(shape)] * count)
    check_gradient(layer, list(together), most=15)


def test_max_gives_a_tie_to_the_second_and_to_a_later_one_only_if_greater() -> None:
    a = np.array([1, 2, 1, 3, 0, 1], np.float32)
    b = np.array([1, 1, 2, 3, 0, 1], np.float32)
    c = np.array([0, 0, 0, 3, 1, 2], np.float32)
    layer = parse(f'type: "Eltwise" {BOTTOMS} eltwise_param {{ operation: MAX }}')
    check_forward(layer, [a, b, c])
    dy = np.arange(1, 7, dtype=np.float32)
    shares = run_gradient(layer, [a, b, c], [], [dy])
    np.testing.assert_array_equal(shares, [[0, 2, 0, 0, 0, 0], [1, 0, 3, 4, 0, 0], [0, 0, 0, 0, 5, 6]])


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
@pytest.mark.parametrize("operation", ["PROD", "SUM", "MAX"])
def test_only_the_gradients_that_are_needed(operation: str, wanted: tuple[bool, ...]) -> None:
    layer = parse(f'type: "Eltwise" {BOTTOMS} eltwise_param {{ operation: {operation} }}')
    bottoms = list(tie_free(np.random.default_rng(0), (3, 4)))
    found = check_gradient(layer, bottoms, needed=Needed(wanted, ()))
    assert tuple(d is not None for d in found) == wanted


def test_a_product_with_zeros_has_a_gradient_only_in_the_stable_form() -> None:
    a, b = np.array([0, 2], np.float32), np.array([3, 4], np.float32)
    dy = np.ones(2, np.float32)
    text = 'type: "Eltwise" bottom: "a" bottom: "b" eltwise_param { operation: PROD %s }'
    stable = run_gradient(parse(text % ""), [a, b], [], [dy])
    np.testing.assert_array_equal(stable, [[3, 4], [0, 2]])
    unstable = run_gradient(parse(text % "stable_prod_grad: false"), [a, b], [], [dy])
    np.testing.assert_array_equal(unstable, [[np.nan, 4], [0, 2]])


def test_the_same_blob_twice() -> None:
    g = GraphBuilder()
    layer = parse('type: "Eltwise" bottom: "a" bottom: "a" eltwise_param { operation: PROD }')
    emitted = layer.emit(g, [Value("a", (2,))] * 2, [], [])
    found = layer.grad(g, emitted.saved, ["dy"], Needed((True, True), ()))
    assert None not in found.bottoms, "each use has its own gradient, for the walk to add"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eltwise_param { coeff: 1 coeff: 2 }", "takes one coefficient per bottom blob"),
        (
            "eltwise_param { operation: PROD coeff: 1 coeff: 1 coeff: 1 }",
            "only takes coefficients for summation",
        ),
        ('top: "a"', "SUM cannot work in place"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        parse(f'type: "Eltwise" {BOTTOMS} {text}')


def test_a_single_bottom_is_scaled() -> None:
    """As in FlowNet's Caffe, which brings images to [0, 1] so."""
    layer = parse('type: "Eltwise" bottom: "a" top: "y" eltwise_param { coeff: 0.25 }')
    x = tie_free(np.random.default_rng(0), (2, 3))
    (y,) = check_forward(layer, [x])
    np.testing.assert_array_equal(y, x / 4)
    check_gradient(layer, [x])
    for inside in ("", "eltwise_param { operation: MAX }", "eltwise_param { operation: PROD }"):
        with pytest.raises(NetError, match=r"Eltwise Layer takes at least 2 bottom blob\(s\) as input"):
            parse(f'type: "Eltwise" bottom: "a" top: "y" {inside}')


def test_shapes_must_agree() -> None:
    layer = parse(f'type: "Eltwise" {BOTTOMS}')
    with pytest.raises(ShapeError, match=r"bottom\[0\]: 2 3 \(6\), bottom\[2\]: 3 2 \(6\)"):
        layer.out_shapes([(2, 3), (2, 3), (3, 2)])
