"""Arcface: against its reference and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import NetError


@few
@given(
    st.integers(1, 5), st.integers(1, 5), st.floats(0, 3), st.sampled_from([TEST, TRAIN]), seeds, st.data()
)
def test_arcface(
    number: int, classes: int, margin: float, phase: int, seed: int, data: st.DataObject
) -> None:
    layer = parse(f'type: "Arcface" arcface_param {{ m: {margin} }}', phase)
    x = values(seed, (number, classes), -0.99, 0.99)
    labels = np.random.default_rng(seed).integers(0, classes, number).astype(np.float32)
    check_forward(layer, [x, labels], dims=[data.draw(freed(x.shape)), labels.shape], atol=2e-6)
    if np.abs(x - np.cos(np.pi - margin)).min() > 1e-3:
        check_gradient(layer, [x, labels], rtol=1e-3)


def test_refuses() -> None:
    for text in ("", "m: -0.1", "m: 3.2"):
        with pytest.raises(NetError, match="m must be given, from 0 to pi"):
            parse(f'type: "Arcface" arcface_param {{ {text} }}')
