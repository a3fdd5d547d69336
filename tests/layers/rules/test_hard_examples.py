"""Hard examples: the nodes against NumPy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.hard_examples import Boxes, HardExamples, emit_hardest, hardest

LOSSES = np.array([[3, 1, 3, 2, 5]], np.float32)
ELIGIBLE = np.array([[True, True, True, True, False]])


@pytest.mark.parametrize(
    ("many", "chosen"), [(0, []), (1, [0]), (2, [0, 2]), (3, [0, 2, 3]), (9, [0, 1, 2, 3])]
)
def test_hardest(many: int, chosen: list[int]) -> None:
    g = GraphBuilder()
    mask = emit_hardest(g, "losses", "eligible", g.const([[many]]), 5)
    (got,) = run_nodes(g, {"losses": LOSSES, "eligible": ELIGIBLE}, [mask])
    assert np.flatnonzero(got[0]).tolist() == chosen
    assert np.flatnonzero(hardest(LOSSES[0], ELIGIBLE[0], many)).tolist() == chosen


@pytest.mark.parametrize("mining", ["MAX_NEGATIVE", "HARD_EXAMPLE", "NONE"])
@pytest.mark.parametrize("seed", range(6))
def test_nodes_and_numpy(mining: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matched = rng.random((2, 9)) < 0.3
    may_count = ~matched & (rng.random((2, 9)) < 0.8)
    best, losses, places = (rng.random((2, 9)).astype(np.float32) for _ in range(3))
    feeds = {"matched": matched, "may_count": may_count, "best": best, "losses": losses, "places": places}
    examples = HardExamples(mining, 1.5, 0.6, 4)
    g = GraphBuilder()
    counted = examples.emit(g, Boxes(*feeds), g.const([[True], [True]], np.bool_), 9)
    wanted = [examples.reference(*(array[image] for array in feeds.values())) for image in range(2)]
    if counted is None:
        assert mining == "NONE"
        assert all(every.all() and (stays == matched[i]).all() for i, (stays, every) in enumerate(wanted))
        return
    got = run_nodes(g, feeds, list(counted))
    np.testing.assert_array_equal(got, np.swapaxes(wanted, 0, 1))
