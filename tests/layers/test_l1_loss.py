"""L1Loss: against its reference, central differences and FlowNet's rules."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import assume, given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes

from vggrepro.errors import ShapeError
from vggrepro.layers.base import Layer


def l1(text: str = "") -> Layer:
    return parse(f'type: "L1Loss" l1_loss_param {{ {text} }}')


OPTIONS = [
    "",
    "plateau: 0.3",
    "normalize_by_num_entries: true",
    "l2_per_location: true",
    "l2_per_location: true l2_prescale_by_channels: true epsilon: 0.5",
    "l2_per_location: true plateau: 0.7 normalize_by_num_entries: true",
]


def far_from_kinks(text: str, difference: np.ndarray) -> bool:
    """Whether the loss has a slope here: no difference is 0, and none, nor the length of those of a place, is
    the plateau."""
    plateau = float(text.partition("plateau: ")[2].split()[0]) if "plateau" in text else 0.0
    squares = (difference**2).sum(axis=1)
    sizes = [np.abs(difference), np.sqrt(squares), np.sqrt(squares + 0.01)]
    return all(np.abs(found - kink).min() > 1e-3 for found in sizes for kink in (0, plateau))


@few
@given(st.sampled_from(OPTIONS), shapes(least=2), st.booleans(), seeds, st.data())
def test_l1_loss(text: str, shape: tuple[int, ...], alone: bool, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    bottoms = [tie_free(rng, shape), tie_free(rng, shape) / 7][: 2 - alone]
    assume(far_from_kinks(text, bottoms[0] - (0 if alone else bottoms[1])))
    check_forward(l1(text), bottoms, dims=[data.draw(freed(shape)) for _ in bottoms])
    check_gradient(l1(text), bottoms)


def test_by_hand() -> None:
    a = np.float32([[[1, 5], [-2, 0.1]], [[3, np.nan], [4, 0]]])  # (2, 2, 2)
    b = np.zeros_like(a)
    for text, value in [
        ("", (1 + 5 + 2 + 0.1 + 3 + 4) / 2),
        ("plateau: 2", (5 + 2 + 3 + 4) / 2),
        ("normalize_by_num_entries: true", 15.1 / (7 / 2)),
        ("l2_per_location: true epsilon: 0", (5**0.5 + (25.01) ** 0.5 + 5 + 0) / 2),
        (
            "l2_per_location: true epsilon: 0 l2_prescale_by_channels: true",
            (30.01**0.5 + 2.5**0.5 - 30.01**0.5 + 12.505**0.5 + 12.5**0.5) / 2,
        ),
        ("l2_per_location: true epsilon: 1 plateau: 3", (1 + 26.01**0.5 + 26**0.5 + 1) / 2),
    ]:
        (loss,) = check_forward(l1(text), [a, b])
        assert loss == pytest.approx(value, rel=1e-6), text
    slope = run_gradient(l1(), [a, b], (), [np.float32(1)])
    np.testing.assert_array_equal(slope[0], [[[0.5, 0.5], [-0.5, 0.5]], [[0.5, 0], [0.5, -0.5]]])
    np.testing.assert_array_equal(slope[1], -slope[0])


def test_shapes() -> None:
    assert l1().out_shapes([(2, 3, 4), (2, 12)]) == ((),)
    with pytest.raises(ShapeError, match="Inputs must have the same dimension"):
        l1().out_shapes([(2, 3, 4), (2, 3, 5)])
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be \(N, C, ...\)"):
        l1().out_shapes([(2,)])
