"""What recurrent layers carry goes from run to run on the device, and begins anew where it is asked to."""

from __future__ import annotations

import numpy as np
from golden_suite import ROOT

from vggrepro.graph.forward import build_forward
from vggrepro.runtime.session import Session
from vggrepro.training.carried_states import CarriedStates
from vggrepro.verify.reference_case import ReferenceCase

CASE = ReferenceCase(ROOT / "layers" / "lstm_state_carries_over")


def test_states_go_from_run_to_run() -> None:
    """The second run goes on from the first; after a new beginning it gives what the first gave."""
    graph = build_forward(CASE.load())
    session = Session(graph)
    feeds = {"x": CASE.arrays("in")["x"], "cont": np.ones((4, 2), np.float32)}
    first = session.run(feeds)
    second = session.run({**feeds, **{s.input: first[s.output] for s in graph.states}})
    assert not np.array_equal(first["y"], second["y"])

    states = CarriedStates()
    run = session.bind()
    states.bind(run, graph)
    run.return_output("y")
    for name, array in feeds.items():
        run.feed(name, array)
    for expected in (first, second, first):
        if expected is first:
            states.begin_anew()
        states.feed(run, graph)
        np.testing.assert_array_equal(run.run()["y"], expected["y"])
        states.take(run, graph)
