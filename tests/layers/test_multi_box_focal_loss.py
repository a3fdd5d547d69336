"""MultiBoxFocalLoss: MultiBoxLoss by hand, with each loss of a label counted as the paper says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from box_cases import priors, truth
from harness import check_forward, check_gradient, parse, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds
from test_multi_box_loss import by_hand

from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Layer


def loss(text: str, focus: str = "") -> Layer:
    return parse(f'type: "MultiBoxFocalLoss" focal_loss_param {{ {focus} }} multibox_loss_param {{ {text} }}')


@settings(max_examples=10, deadline=None)
@given(
    images=st.integers(1, 3),
    number=st.integers(1, 9),
    rows=st.integers(1, 7),
    focus=st.sampled_from([("", 0.25, 2), ("alpha: 2 gamma: 0.5", 2, 0.5)]),
    seed=seeds,
)
def test_the_papers_rule(
    images: int, number: int, rows: int, focus: tuple[str, float, float], seed: int
) -> None:
    text, alpha, gamma = focus
    rng = np.random.default_rng(seed)
    bottoms = [
        tie_free(rng, (images, number * 4), -2, 2),
        tie_free(rng, (images, number * 3), -3, 3),
        priors(seed, number),
        truth(seed, images, 3, rows),
    ]
    layer = loss("num_classes: 3 code_type: CENTER_SIZE neg_pos_ratio: 3", text)
    (value,) = check_forward(layer, bottoms)
    right = by_hand(
        bottoms, 3, "CENTER_SIZE", 3, 0.5, lambda plain: alpha * (1 - math.exp(-plain)) ** gamma * plain
    )
    assert value == pytest.approx(right, rel=1e-5)
    check_gradient(layer, bottoms)


def test_all_priors_count_without_mining() -> None:
    """Two priors of which one stands for the box: both cross entropies are log 2, and one prior divides."""
    bottoms = [np.zeros((1, 8), np.float32), np.ones((1, 4), np.float32), priors(0, 2), truth(0, 1, 2, 1)]
    bottoms[3][0, 0, 0, 3:7] = bottoms[2][0, 0, :4]
    (value,) = check_forward(loss("num_classes: 2 mining_type: NONE loc_weight: 0"), bottoms)
    assert value == pytest.approx(2 * 0.25 * 0.25 * math.log(2))
    bottoms[3][0, 0, 0, 0] = -1  # no box: the divisor stays 1
    (value,) = check_forward(loss("num_classes: 2 mining_type: NONE"), bottoms)
    assert value == pytest.approx(2 * 0.25 * 0.25 * math.log(2))


def test_sigmoids_count_as_in_multi_box_loss() -> None:
    layer = loss("num_classes: 3 conf_loss_type: LOGISTIC")
    rng = np.random.default_rng(0)
    bottoms = [tie_free(rng, (1, 8)), tie_free(rng, (1, 6)), priors(0, 2), truth(0, 1, 3, 2)]
    plain = parse('type: "MultiBoxLoss" multibox_loss_param { num_classes: 3 conf_loss_type: LOGISTIC }')
    np.testing.assert_allclose(check_forward(layer, bottoms), check_forward(plain, bottoms))
    with pytest.raises(NetError, match="alpha above 0"):
        loss("num_classes: 3", "alpha: 0")


def test_other_forks_types_are_refused() -> None:
    layer = 'type: "MultiBoxFocalLoss" multibox_loss_param { num_classes: 3 }'
    with pytest.raises(UnsupportedError, match="type LINEAR is another fork's"):
        parse(f"{layer} focal_loss_param {{ type: LINEAR }}")
