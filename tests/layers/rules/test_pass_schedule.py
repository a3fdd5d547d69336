"""Schedules of passes: the graph and float64 against the formula."""

from __future__ import annotations

import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.pass_schedule import PassSchedule

SCHEDULES = {
    PassSchedule(): lambda _: 1,
    PassSchedule(1, 1000, 0.12, -1, least=5): lambda n: max(1000 / (1 + 0.12 * (n + 1)), 5),
    PassSchedule(3, 1, 0.01, 2, -1.2, 0, 0.5): lambda n: min(max((1.03 + 0.01 * n) ** 2 - 1.2, 0), 0.5),
}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_by_formula(schedule: PassSchedule) -> None:
    g = GraphBuilder()
    outputs = [schedule.emit(g, "passes"), schedule.following(g, "passes")]
    state = schedule.state_def().initial
    for n in range(60):
        expected = SCHEDULES[schedule](n)
        assert schedule.at(state) == pytest.approx(expected, rel=1e-12)
        found, state = run_nodes(g, {"passes": state}, outputs)
        assert found == pytest.approx(expected, rel=1e-5)
