"""One step of the LSTM's cells: nodes against NumPy, gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.lstm_step import emit_step, emit_step_gradient, reference_step


def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, 3)), rng.standard_normal((2, 12)), np.array([[1.0], [0.0]])


@pytest.mark.parametrize("through", ["h", "c", "both"])
def test_forward_and_gradient(through: str) -> None:
    c, gates, cont = arrays()
    dh = None if through == "c" else "dh"
    dc = None if through == "h" else "dc"
    g = GraphBuilder()
    step = emit_step(g, "c", "gates", "cont", 3)
    d_cells, d_gates = emit_step_gradient(g, step, dh, dc)
    feeds = {"c": c, "gates": gates, "cont": cont, "dh": np.full((2, 3), 0.7), "dc": np.full((2, 3), -0.4)}
    names = [step.c, step.h, g.op("Mul", d_cells, step.f), d_gates]
    fed = {n: a.astype(np.float32) for n, a in feeds.items() if n in (dh, dc, "c", "gates", "cont")}
    new_c, new_h, d_c, d_gates_value = run_nodes(g, fed, names)
    for value, expected in zip((new_c, new_h), reference_step(c, gates, cont), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)

    def objective() -> float:
        cells, outputs = reference_step(c, gates, cont)
        return float((0.7 * outputs * (dh is not None) - 0.4 * cells * (dc is not None)).sum())

    for array, found in ((c, d_c), (gates, d_gates_value)):
        for index in range(array.size):
            value = array.flat[index]
            array.flat[index] = value + 1e-5
            above = objective()
            array.flat[index] = value - 1e-5
            slope = (above - objective()) / 2e-5
            array.flat[index] = value
            np.testing.assert_allclose(found.flat[index], slope, rtol=1e-4, atol=1e-6)
