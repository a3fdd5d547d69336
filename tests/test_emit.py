"""The graph builder: unique names, shared constants, sums in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort
import pytest

from vggrepro import emit
from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import FixedShapeError


def test_names_take_the_lowest_free_number() -> None:
    g = GraphBuilder()
    g.reserve("Add_3")
    assert [g.fresh("Add") for _ in range(4)] == ["Add", "Add_2", "Add_4", "Add_5"]
    assert g.fresh("Add_2") == "Add_2_2"  # a hint that is taken, and not by a name made from it


def test_scopes_count_on_their_own() -> None:
    g = GraphBuilder()
    with g.scope("conv1"):
        assert [g.fresh("Add"), g.fresh("Add")] == ["conv1/Add", "conv1/Add_2"]
        with g.scope("inner"):
            assert g.fresh("Add") == "conv1/inner/Add"
    assert g.fresh("Add") == "Add"
    with g.scope("conv1"):
        assert g.fresh("Add") == "conv1/Add_3"


def test_each_name_is_sought_where_the_last_one_ended() -> None:
    """The number of questions whether a name is taken grows with the names, not with their square."""

    class Counting(set[str]):
        asked = 0

        def __contains__(self, name: object) -> bool:
            self.asked += 1
            return super().__contains__(name)

    g = GraphBuilder()
    taken = g._taken = Counting()
    names = [g.fresh("Mul") for _ in range(1000)]
    assert len(set(names)) == 1000
    assert taken.asked < 3000


def test_sums_go_from_left_to_right() -> None:
    g = GraphBuilder()
    total = g.sum_in_order(["a", "b", "c"])
    first, second = g.nodes
    assert list(first.input) == ["a", "b"]
    assert list(second.input) == [first.output[0], "c"]
    assert total == second.output[0]


def test_a_sum_of_one_is_itself() -> None:
    g = GraphBuilder()
    assert g.sum_in_order(["a"]) == "a"
    assert not g.nodes


def test_equal_constants_share_a_name_and_scalars_stay_scalars() -> None:
    g = GraphBuilder()
    with g.scope("layer"):
        one = g.const(1)
    assert g.const(1.0) == one == "const_0"
    assert g.const([1]) != one
    assert g.ints(1) != one
    assert g.constants[one].shape == ()
    assert g.constants[one].dtype == np.float32


def test_symbolic_sizes_are_no_shape() -> None:
    assert Value("x", (2, 3)).shape == (2, 3)
    with pytest.raises(FixedShapeError, match="blob 'x'"):
        _ = Value("x", (None, 3)).shape


def test_a_loop_ends_when_its_step_says_so() -> None:
    g = GraphBuilder()
    g.reserve("x")

    def double(inner: GraphBuilder, states: Sequence[str]) -> tuple[str, list[str]]:
        (value,) = states
        doubled = inner.op("Add", value, value)
        return inner.op("Less", doubled, inner.const(10)), [doubled]

    outputs = [g.loop(g.ints(most), [Value("x", ())], double)[0] for most in (2, 100)]
    assert len({node.name for node in g.nodes}) == 2
    for node in g.nodes:  # names of a body begin with the loop's, and so are no others'
        (body,) = (attribute.g for attribute in node.attribute)
        names = [*(i.name for i in body.initializer), *(o for n in body.node for o in n.output)]
        assert len({name.split("/")[0] for name in names} - set(g.constants)) == 1
    assert run(g, {"x": np.float32(3)}, outputs) == [12, 12]
    assert run(g, {"x": np.float32(1)}, outputs) == [4, 16]


def test_a_scan_stacks_what_is_made_of_each_element() -> None:
    g = GraphBuilder()
    for name in ("x", "factor"):
        g.reserve(name)

    def scaled(inner: GraphBuilder, element: str) -> str:
        return inner.op("Mul", inner.op("Add", element, inner.const(1)), "factor")

    y = g.scan(Value("x", (None, 2)), ["factor"], scaled)
    assert np.array_equal(
        run_arrays(g, {"x": np.float32([[1, 2], [3, 4], [5, 6]]), "factor": np.float32(10)}, {y: (3, 2)})[0],
        [[20, 30], [40, 50], [60, 70]],
    )


def run(g: GraphBuilder, feeds: dict[str, np.float32], outputs: list[str]) -> list[float]:
    return [float(value) for value in run_arrays(g, feeds, dict.fromkeys(outputs, ()))]


def run_arrays(
    g: GraphBuilder, feeds: Mapping[str, np.ndarray | np.float32], outputs: Mapping[str, emit.Shape]
) -> list[np.ndarray]:
    infos = [emit.tensor_info(name, value.shape, value.dtype) for name, value in feeds.items()]
    ends = [emit.tensor_info(name, shape, np.float32) for name, shape in outputs.items()]
    constants = [emit.tensor(name, array) for name, array in g.constants.items()]
    model = emit.model("bodies", g.nodes, infos, ends, constants, {})
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(list(outputs), {k: np.asarray(v) for k, v in feeds.items()})
