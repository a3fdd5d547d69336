"""Nets and solvers of text and of messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from nets import CLASSIFYING, DEPLOY, write

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe.proto import caffe_pb2


def test_a_net() -> None:
    net = caffe.get_net_from_string(DEPLOY, caffe.TEST)
    assert net.forward()["prob"].shape == (2, 5)


@pytest.mark.parametrize("binary", [False, True])
def test_a_solver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binary: bool) -> None:
    write(tmp_path, CLASSIFYING)
    monkeypatch.chdir(tmp_path)
    message = caffe_pb2.SolverParameter(net="net.prototxt", base_lr=0.1, lr_policy="fixed", type="Adam")
    solver = caffe.get_solver_from_string(message.SerializeToString() if binary else str(message))
    assert isinstance(solver, caffe.AdamSolver)
    solver.step(1)
    assert solver.iter == 1


def test_what_is_no_solver() -> None:
    with pytest.raises(RuntimeError, match="bytes that are no SolverParameter"):
        caffe.get_solver_from_string(b"\xff\xff")


def test_a_solver_s_file_by_the_fork_s_name() -> None:
    assert caffe.get_solver_from_file is caffe.get_solver
