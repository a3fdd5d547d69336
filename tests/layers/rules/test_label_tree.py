"""Trees of labels: files, chains and shares; tests/layers/test_region_loss.py has what they teach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.errors import NetError
from vggrepro.layers.rules.label_tree import LabelTree, emit_mapped, mapped, read_numbers

TREE = LabelTree((-1, -1, 0, 0, 0, 1, 1, 3))


def test_groups_and_chains() -> None:
    assert TREE.sizes == [2, 3, 2, 1]
    assert TREE.groups.tolist() == [0, 0, 1, 1, 1, 2, 2, 3]
    assert [TREE.chain(label) for label in (0, 6, 7)] == [[0], [6, 1], [7, 3, 0]]


def test_nodes() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2, 5, 8)).astype(np.float32)
    labels = np.array([[7, 2, 0], [6, 6, 1]])
    g = GraphBuilder()
    shares = TREE.emit_shares(g, "scores")
    groups, chain = TREE.emit_chains(g, "labels")
    whole = TREE.emit_probability(g, shares, "some")
    got = run_nodes(
        g, {"scores": scores, "labels": labels, "some": labels[:, 0]}, [shares, groups, chain, whole]
    )
    wanted = np.stack([TREE.shares(rows.astype(np.float64)) for rows in scores])
    np.testing.assert_allclose(got[0], wanted, rtol=1e-5)
    np.testing.assert_allclose(wanted[:, :, 2:5].sum(2), 1)
    assert got[1][0].tolist() == [[1, 1, 1, 1, 1, 0, 0, 1], [1] * 5 + [0] * 3, [1, 1] + [0] * 6]
    assert got[2][0].tolist() == [[1, 0, 0, 1, 0, 0, 0, 1], [1, 0, 1, 0, 0, 0, 0, 0], [1] + [0] * 7]
    np.testing.assert_allclose(got[3][0], wanted[0][:, [7, 3, 0]].prod(1), rtol=1e-5)
    np.testing.assert_allclose(got[3][1], wanted[1][:, [6, 1]].prod(1), rtol=1e-5)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "labels.tree"
    path.write_text("animal -1\nthing -1\ncat 0\n\n")
    assert LabelTree.read(str(path), 3) == LabelTree((-1, -1, 0))
    with pytest.raises(NetError, match="3 labels, expected 4"):
        LabelTree.read(str(path), 4)
    path.write_text("animal 0\n")
    with pytest.raises(NetError, match="label 0 has the parent 0: expected an earlier one or -1"):
        LabelTree.read(str(path), 1)
    path.write_text("animal\n")
    with pytest.raises(NetError, match="expected a whole number as word 2 of each line"):
        LabelTree.read(str(path), 1)
    path.write_text("7\n3\n")
    assert read_numbers(str(path), 0) == (7, 3)


def test_maps() -> None:
    labels = np.array([[0, 1, 2, -1]])
    assert mapped(labels, (7, 3)).tolist() == [[7, 3, 0, 0]]
    g = GraphBuilder()
    assert run_nodes(g, {"labels": labels}, [emit_mapped(g, "labels", (7, 3))])[0].tolist() == [[7, 3, 0, 0]]
