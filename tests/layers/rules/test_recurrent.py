"""LSTM and RNN: Caffe's RecurrentLayer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer, Needed

STATES = {"LSTM": 2, "RNN": 1}


def layer_of(kind: str, size: int, exposed: bool = False) -> Layer:
    tops = "".join(f'top: "end{i}" ' for i in range(STATES[kind] if exposed else 0))
    return parse(
        f'type: "{kind}" top: "y" {tops} recurrent_param {{ num_output: {size}'
        f' expose_hidden: {str(exposed).lower()} weight_filler {{ type: "xavier" }}'
        " bias_filler { value: 0.5 } }"
    )


@dataclass(frozen=True)
class Case:
    layer: Layer
    bottoms: list[np.ndarray]
    params: list[np.ndarray]
    states: list[np.ndarray]
    exposed: int

    @property
    def needed(self) -> Needed:
        """All that Caffe computes: neither ``cont`` nor exposed states."""
        most = len(self.bottoms) - self.exposed
        flags = tuple(i != 1 and i < most for i in range(len(self.bottoms)))
        return Needed(flags, (True,) * len(self.params))

    @property
    def d_tops(self) -> list[np.ndarray | None]:
        first, *ends = self.layer.out_shapes([b.shape for b in self.bottoms])
        return [values(9, first), *[None] * len(ends)]


@st.composite
def cases(draw: st.DrawFn, kind: str) -> Case:
    steps, streams, size = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    exposed = STATES[kind] if draw(st.booleans()) else 0
    seed = draw(seeds)
    marks = st.lists(st.sampled_from([0, 1]), min_size=streams, max_size=streams)
    cont = draw(st.lists(marks, min_size=steps, max_size=steps))
    bottoms = [values(seed, (steps, streams, *draw(shapes(1, 2, 3)))), np.array(cont, np.float32)]
    if draw(st.booleans()):
        bottoms.append(values(seed + 1, (streams, *draw(shapes(1, 2, 3)))))
    bottoms += [values(seed + 2 + i, (1, streams, size)) for i in range(exposed)]
    layer = layer_of(kind, size, bool(exposed))
    sizes = [b.shape for b in bottoms]
    params = [values(seed + 5 + i, d.shape) for i, d in enumerate(layer.param_defs(sizes))]
    states = [values(seed + 20, d.initial.shape) for d in layer.state_defs(sizes)]
    return Case(layer, bottoms, params, states, exposed)


@few
@given(st.sampled_from(sorted(STATES)).flatmap(cases))
def test_any_shape(case: Case) -> None:
    check_forward(case.layer, case.bottoms, case.params, case.states)
    check_gradient(
        case.layer, case.bottoms, case.params, case.states, d_tops=case.d_tops, needed=case.needed, most=30
    )


@pytest.mark.parametrize("kind", sorted(STATES))
def test_parameters_states_and_cost(kind: str) -> None:
    g = {"LSTM": 4, "RNN": 1}[kind]
    layer = layer_of(kind, 5)
    bottoms = [(3, 2, 6, 1), (3, 2), (2, 7)]
    more = [(5, 5), (5,)] if kind == "RNN" else []
    definitions = layer.param_defs(bottoms)
    assert [d.shape for d in definitions] == [(5 * g, 6), (5 * g,), (5 * g, 7), (5 * g, 5), *more]
    assert [d.filler.type for d in definitions] == [
        "constant" if len(d.shape) == 1 else "xavier" for d in definitions
    ]
    assert [(d.initial.shape, d.initial.any()) for d in layer.state_defs(bottoms)] == (
        [((1, 2, 5), False)] * STATES[kind]
    )
    assert [d.name for d in layer.state_defs(bottoms)] == ["h", "c"][: STATES[kind]]
    per_step = 5 * g * 6 + 5 * g * 5 + (25 if kind == "RNN" else 0)
    assert layer.macs(bottoms) == 2 * (3 * per_step + 5 * g * 7)
    assert layer.state_defs(bottoms) and not layer_of(kind, 5, exposed=True).state_defs(bottoms)


@pytest.mark.parametrize("kind", sorted(STATES))
def test_two_calls_equal_one(kind: str) -> None:
    """The state goes on where cont is 1 at the first step of the second call."""
    layer = layer_of(kind, 3)
    x, cont = values(0, (6, 2, 4)), np.ones((6, 2), np.float32)
    cont[0], cont[2, 1], cont[3, 0] = 0, 0, 0
    params = [values(1 + i, d.shape) for i, d in enumerate(layer.param_defs([x.shape, cont.shape]))]
    zeros = [d.initial for d in layer.state_defs([x.shape, cont.shape])]
    (whole,) = check_forward(layer, [x, cont], params, zeros)
    (first,) = check_forward(layer, [x[:3], cont[:3]], params, zeros)
    doubles = [np.float64(p) for p in params]
    states = layer.reference([np.float64(x[:3]), np.float64(cont[:3])], doubles, zeros).next_states
    carried = [s.astype(np.float32) for s in states]
    (second,) = check_forward(layer, [x[3:], cont[3:]], params, carried)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(STATES))
def test_no_gradient_passes_through_exposed_states(kind: str) -> None:
    """Caffe shares their data with the unrolled net, not their gradients."""
    n = STATES[kind]
    layer = layer_of(kind, 3, exposed=True)
    bottoms = [values(0, (2, 2, 4)), np.ones((2, 2), np.float32), *[values(1, (1, 2, 3))] * n]
    params = [values(2, d.shape) for d in layer.param_defs([b.shape for b in bottoms])]
    dy, d_end = values(3, (2, 2, 3)), values(4, (1, 2, 3))
    without = run_gradient(layer, bottoms, params, [dy, *[None] * n])
    assert without[1 : 2 + n] == [None] * (1 + n)
    for a, b in zip(without, run_gradient(layer, bottoms, params, [dy, *[d_end] * n]), strict=True):
        assert (a is None and b is None) or np.array_equal(a, b)
    nothing = run_gradient(layer, bottoms, params, [None, *[d_end] * n])
    assert nothing == [None] * (len(bottoms) + len(params))


@pytest.mark.parametrize("kind", sorted(STATES))
def test_only_the_gradients_that_are_needed(kind: str) -> None:
    layer = layer_of(kind, 3)
    bottoms = [values(0, (2, 2, 4)), np.ones((2, 2), np.float32)]
    sizes = [b.shape for b in bottoms]
    params = [values(2, d.shape) for d in layer.param_defs(sizes)]
    states = [d.initial for d in layer.state_defs(sizes)]
    for index in range(len(params)):
        flags = tuple(i == index for i in range(len(params)))
        got = run_gradient(
            layer, bottoms, params, [values(3, (2, 2, 3))], states=states, needed=Needed((False,) * 2, flags)
        )
        assert [d is not None for d in got] == [False, False, *flags]


@pytest.mark.parametrize(
    ("bottoms", "message"),
    [
        ([(3, 2), (3, 2)], r"bottom\[0\] must have at least 2 axes"),
        ([(3, 2, 4), (3, 2, 1)], r"bottom\[1\] must have exactly 2 axes"),
        ([(3, 2, 4), (2, 2)], r"T_ == bottom\[1\]->shape\(0\) \(3 vs. 2\)"),
        ([(3, 2, 4), (3, 1)], r"N_ == bottom\[1\]->shape\(1\) \(2 vs. 1\)"),
        ([(3, 2, 4), (3, 2), (3, 5)], "static input"),
        ([(3, 2, 4), (3, 2), (2,)], "static input"),
    ],
)
def test_shapes_that_do_not_fit(bottoms: list[tuple[int, ...]], message: str) -> None:
    for kind in STATES:
        with pytest.raises(ShapeError, match=message):
            layer_of(kind, 5).out_shapes(bottoms)


def test_numbers_of_bottoms_and_tops() -> None:
    x, cont, state = (3, 2, 4), (3, 2), (1, 2, 5)
    with pytest.raises(NetError, match="takes at most 3 bottom"):
        layer_of("LSTM", 5).out_shapes([x, cont, state, state])
    with pytest.raises(NetError, match="takes at least 4 bottom"):
        layer_of("LSTM", 5, exposed=True).out_shapes([x, cont, state])
    with pytest.raises(ShapeError, match=r"bottom\[3\] shape must match hidden state input shape"):
        layer_of("LSTM", 5, exposed=True).out_shapes([x, cont, state, (1, 2, 4)])
    with pytest.raises(NetError, match="produces 3 top"):
        parse('type: "LSTM" top: "y" recurrent_param { num_output: 5 expose_hidden: true }')
    with pytest.raises(NetError, match="num_output must be positive"):
        parse('type: "RNN" top: "y"')
