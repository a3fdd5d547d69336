"""The weight files that a training begins with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from database_run import BODY, DATA, LOSS, prepare, train, write_run

from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.errors import WeightsError
from vggrepro.training.solver import Solver

SHAPES = {"data": (8, 3, 20, 22), "label": (8,)}


def write_file(path: Path, **arrays: tuple[int, ...]) -> Path:
    """A weight file with ones of these shapes."""
    net = NetParameter(name="w")
    for name in arrays:
        net.layer.add(name=name, type="InnerProduct")
    write_caffemodel(path, net, {name: [np.ones(shape)] for name, shape in arrays.items()})
    return path


def test_what_no_net_has_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(
        tmp_path, DATA + BODY.replace("num_output: 4 weight", "num_output: 4 bias_term: false weight") + LOSS
    )
    file = write_file(tmp_path / "w.caffemodel", fc=(4, 4), x=(2,), y=(3,))
    assert train(tmp_path, "--weights", str(file)) == 0
    error = capsys.readouterr().err
    assert f"warning: {file}: Ignoring source layer x, y: not in the net\n" in error
    assert f"{file}: copied fc; filled anew: conv\n" in error


def test_a_fine_tuning_that_copies_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path)
    file = write_file(tmp_path / "w.caffemodel", x=(2,), y=(3,))
    assert train(tmp_path, "--weights", str(file)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {file}: nothing to copy: no net of ")
    assert error.endswith("has a layer of a name in it (x, y)")
    solver = Solver(tmp_path / "solver.prototxt", threads=1, input_shapes=SHAPES)
    with pytest.raises(WeightsError, match="nothing to copy"):
        solver.copy_weights(file)


def test_two_layers_of_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = BODY.replace('name: "fc"', 'name: "conv"')
    prepare(tmp_path, DATA + twice + LOSS)
    assert train(tmp_path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "layers 2 (Convolution) and 5 (InnerProduct) are both called 'conv'" in error


def test_a_state_whose_weight_file_lacks_a_layer(tmp_path: Path) -> None:
    """Half of the weights with the histories of all would be another training."""
    prepare(tmp_path)
    solver = Solver(tmp_path / "solver.prototxt", threads=1, input_shapes=SHAPES)
    model, state = solver.snapshot()
    write_file(model, other=(2,))
    with pytest.raises(
        WeightsError, match="lacks conv:0, conv:1, fc:0, fc:1, which the solver state belongs to"
    ):
        solver.restore(state)


@pytest.mark.parametrize("place", ["solver", "net"])
def test_debug_info_is_told(tmp_path: Path, place: str) -> None:
    prepare(tmp_path)
    if place == "solver":
        write_run(tmp_path, debug_info="true")
    else:
        write_run(tmp_path, "debug_info: true " + DATA + BODY + LOSS)
    with pytest.warns(
        UserWarning, match=r"solver\.prototxt: debug_info: true: nothing is printed here"
    ) as told:
        Solver(tmp_path / "solver.prototxt", threads=1, input_shapes=SHAPES)
    assert len(told) == 1
