"""RNN: one step by hand; what it shares with LSTM is tested with layers/rules/recurrent.py."""

from __future__ import annotations

import numpy as np
from harness import check_forward, parse
from shape_cases import values


def test_one_step_by_hand() -> None:
    layer = parse('type: "RNN" recurrent_param { num_output: 2 }')
    x, cont, h = values(0, (1, 3, 4)), np.array([[1, 1, 0]], np.float32), values(4, (1, 3, 2))
    params = [values(1, (2, 4)), values(2, (2,)), values(3, (2, 2)), values(5, (2, 2)), values(6, (2,))]
    (y,) = check_forward(layer, [x, cont], params, [h])
    weight, bias, hidden, output, output_bias = params
    inside = np.tanh(x[0] @ weight.T + bias + (cont[0][:, None] * h[0]) @ hidden.T)
    np.testing.assert_allclose(y[0], np.tanh(inside @ output.T + output_bias), rtol=1e-5)
