"""LSTM: one step by hand; what it shares with RNN is tested with layers/rules/recurrent.py."""

from __future__ import annotations

import numpy as np
from harness import check_forward, parse
from shape_cases import values


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_one_step_by_hand() -> None:
    """The gates come in the order i, f, o, g; cont is 1, so that the state counts."""
    layer = parse('type: "LSTM" recurrent_param { num_output: 2 }')
    x, cont = values(0, (1, 3, 4)), np.ones((1, 3), np.float32)
    weight, bias, hidden = values(1, (8, 4)), values(2, (8,)), values(3, (8, 2))
    h, c = values(4, (1, 3, 2)), values(5, (1, 3, 2))
    (y,) = check_forward(layer, [x, cont], [weight, bias, hidden], [h, c])
    i, f, o, g = np.split(x[0] @ weight.T + bias + h[0] @ hidden.T, 4, axis=1)
    cells = sigmoid(f) * c[0] + sigmoid(i) * np.tanh(g)
    np.testing.assert_allclose(y[0], sigmoid(o) * np.tanh(cells), rtol=1e-5)
