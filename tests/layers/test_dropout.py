"""Dropout: the identity in TEST, and in TRAIN a mask that only depends on layer, seed and sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import NetError
from vggrepro.layers.base import Layer

STATES = st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 2**40))


def dropout(ratio: float = 0.5, name: str = "drop6") -> Layer:
    return parse(f'name: "{name}" type: "Dropout" dropout_param {{ dropout_ratio: {ratio} }}', TRAIN)


def state(seed: int, first: int = 0) -> np.ndarray:
    return np.array([seed, first], np.int64)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=0, max_size=5),
    st.floats(0.01, 0.99),
    STATES,
    st.text(min_size=1, max_size=5).filter(str.isalnum),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_equals_reference_and_central_differences(
    shape: list[int], ratio: float, random: tuple[int, int], name: str, symbolic: bool, seed: int
) -> None:
    layer = dropout(ratio, name)
    x = tie_free(np.random.default_rng(seed), shape)
    dims = [tuple(None if symbolic else s for s in shape)]
    check_forward(layer, [x], states=[state(*random)], dims=dims)
    check_gradient(layer, [x], states=[state(*random)], most=20)


def test_zero_or_scaled_and_the_gradient_likewise() -> None:
    x = tie_free(np.random.default_rng(0), (16, 3, 5, 7))
    (y,) = check_forward(dropout(0.25), [x], states=[state(3)])
    kept = y != 0
    scale = np.float32(1 / (1 - 0.25))
    np.testing.assert_array_equal(y, np.where(kept, x * scale, 0))
    assert abs(kept.mean() - 0.75) < 4 * math.sqrt(0.25 * 0.75 / x.size)
    (dx,) = run_gradient(dropout(0.25), [x], [], [np.ones_like(x)], states=[state(3)])
    np.testing.assert_array_equal(dx, kept * scale)


def test_the_seed_grows_and_the_first_sample_stays() -> None:
    layer, g = dropout(), GraphBuilder()
    (definition,) = layer.state_defs([(4, 3)])
    assert (definition.name, definition.initial.dtype, definition.initial.tolist()) == (
        "random",
        np.int64,
        [0, 0],
    )
    assert len(layer.emit(g, [Value("x", (4, 3))], [], [Value("s", (2,), np.int64)]).next_states) == 1
    moved = layer.reference([np.ones((4, 3))], [], [state(5, 64)]).next_states
    np.testing.assert_array_equal(moved, [[6, 64]])  # check_forward compares emit with it


def test_masks_do_not_depend_on_how_a_batch_is_split() -> None:
    x = np.ones((12, 2, 9), np.float32)
    (whole,) = check_forward(dropout(), [x], states=[state(11)])
    parts = [check_forward(dropout(), [x[i : i + 4]], states=[state(11, i)])[0] for i in (0, 4, 8)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_masks_differ_between_layers_and_calls() -> None:
    x = np.ones((8, 64), np.float32)
    masks = [
        check_forward(dropout(name=name), [x], states=[state(seed)])[0].tobytes()
        for name in ("drop6", "drop7")
        for seed in (0, 1)
    ]
    assert len(set(masks)) == 4


@pytest.mark.parametrize("layer", [parse('type: "Dropout"'), dropout(0.0)], ids=["TEST", "ratio 0"])
def test_identity_costs_no_node(layer: Layer) -> None:
    g = GraphBuilder()
    assert layer.emit(g, [Value("x", (None, 3))], [], []).tops == ("x",)
    assert not g.nodes
    assert layer.state_defs([(2, 3)]) == ()
    x = tie_free(np.random.default_rng(0), (2, 3))
    check_forward(layer, [x])
    check_gradient(layer, [x])


@pytest.mark.parametrize("ratio", [1, 1.5, -0.5, float("nan")])
def test_ratios_that_make_no_sense_in_training(ratio: float) -> None:
    with pytest.raises(NetError, match="layer 'drop6': dropout_ratio must be at least 0 and below 1"):
        dropout(ratio)
    assert parse(f'type: "Dropout" dropout_param {{ dropout_ratio: {ratio} }}').out_shapes([(2,)]) == ((2,),)


def test_forks_scale_in_test_where_train_does_not() -> None:
    """caffe-fast-rcnn's ``scale_train: false``."""
    text = 'name: "d" type: "Dropout" dropout_param { dropout_ratio: 0.25 scale_train: false }'
    x = tie_free(np.random.default_rng(1), (2, 3, 5))
    (y,) = check_forward(parse(text), [x])
    np.testing.assert_array_equal(y, x * np.float32(0.75))
    check_gradient(parse(text), [x])
    (y,) = check_forward(parse(text, TRAIN), [x], states=[state(3)])
    assert set(np.unique(y / x)) == {0, 1}
    check_gradient(parse(text, TRAIN), [x], states=[state(3)])


def test_forks_drop_in_test_too() -> None:
    """SegNet's ``sample_weights_test``."""
    text = 'name: "d" type: "Dropout" dropout_param { dropout_ratio: 0.25 sample_weights_test: true }'
    x = np.ones((4, 50), np.float32)
    (tested,) = check_forward(parse(text), [x], states=[state(3)])
    (trained,) = check_forward(parse(text, TRAIN), [x], states=[state(3)])
    np.testing.assert_array_equal(tested, trained)
    assert 0 in tested
