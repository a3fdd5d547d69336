"""Renaming tensors and dropping nodes."""

from __future__ import annotations

from vggrepro.emit import GraphBuilder, Value
from vggrepro.graph.nodes import ends_last, needed_nodes, rename, tensors_read


def described(nodes: list) -> list[tuple[str, list[str], list[str]]]:
    return [(node.op_type, list(node.input), list(node.output)) for node in nodes]


def chain() -> GraphBuilder:
    """Relu(x), Neg of that, Abs(x)."""
    g = GraphBuilder()
    g.op("Neg", g.op("Relu", "x"))
    g.op("Abs", "x")
    return g


def test_the_first_name_replaces_and_further_ones_are_copies() -> None:
    g = chain()
    renamed = rename(g.nodes, [("Relu", "y"), ("Relu", "z"), ("Abs", "Abs")])
    assert described(renamed) == [
        ("Relu", ["x"], ["y"]),
        ("Neg", ["y"], ["Neg"]),
        ("Abs", ["x"], ["Abs"]),
        ("Identity", ["y"], ["z"]),
    ]


def test_what_no_node_makes_is_copied() -> None:
    assert described(rename(chain().nodes, [("x", "out")]))[-1] == ("Identity", ["x"], ["out"])


def test_the_nodes_that_were_given_stay_as_they_are() -> None:
    g = chain()
    before = described(g.nodes)
    rename(g.nodes, [("Relu", "y")])
    assert described(g.nodes) == before


def test_needed_nodes_keep_their_order() -> None:
    g = chain()
    kept, used = needed_nodes(g.nodes, ["Neg"])
    assert [node.op_type for node in kept] == ["Relu", "Neg"]
    assert used == {"Neg", "Relu", "x"}
    assert needed_nodes(g.nodes, []) == ([], set())


def scanned() -> GraphBuilder:
    """A Scan over x whose body reads w, through a body of its own, and a constant."""
    g = GraphBuilder()

    def outer(a: GraphBuilder, row: str) -> str:
        return a.scan(Value(a.op("Neg", row), (3,)), ["w"], lambda b, one: b.op("Mul", one, "w"))

    g.scan(Value("x", (2, 3)), ["w"], outer)
    return g


def test_what_a_body_sees_of_the_graph_around_is_read() -> None:
    g = scanned()
    assert tensors_read(g.nodes[0]) == {"x", "w"}
    assert needed_nodes(g.nodes, g.nodes[0].output)[1] >= {"x", "w"}


def test_bodies_are_renamed_too() -> None:
    g = GraphBuilder()
    g.op("Relu", "u")
    g.scan(Value("x", (2, 3)), ["Relu"], lambda inner, row: inner.op("Mul", row, "Relu"))
    assert tensors_read(rename(g.nodes, [("Relu", "w")])[1]) == {"x", "w"}


def test_nodes_that_nobody_reads_come_last_in_the_opposite_order() -> None:
    g = chain()
    g.op("Exp", "Relu")
    assert [node.op_type for node in ends_last(g.nodes)] == ["Relu", "Exp", "Abs", "Neg"]
