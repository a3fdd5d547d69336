"""What a target is."""

from __future__ import annotations

import onnx

from vggrepro.graph.targets.conditions import padded
from vggrepro.graph.targets.target import REDUCTIONS, Lack, Target, lacks, names


def test_one_row_for_each_operator() -> None:
    rows = lacks("Conv MaxPool", "it is not right", "A 1.0", where=padded)
    assert rows == tuple(Lack(name, "it is not right", "A 1.0", padded) for name in ("Conv", "MaxPool"))


def test_a_target_that_says_nothing_takes_all_of_onnx() -> None:
    target = Target("a", "A")
    assert target.operators is None and target.lacks == () and not target.fixed


def test_the_reductions_are_those_of_onnx() -> None:
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.name.startswith("Reduce")}
    assert known - names("ReduceLogSum ReduceLogSumExp") == REDUCTIONS
