"""docs/pycaffe.md against the module: every name is in the table, and what the table says works is there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from nets import CLASSIFYING, make, write

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe.blob import Blob
from vggrepro.pycaffe.solver import Solver

PAGE = (Path(__file__).parents[2] / "docs" / "pycaffe.md").read_text()
ROWS = re.findall(r"^\| (`.+`) \| (.+) \|$", PAGE.split("<!-- names -->")[1], re.MULTILINE)
TOLD = {name: state for names, state in ROWS for name in re.findall(r"`([\w.]+)`", names)}
HOMES: dict[str, Any] = {
    "caffe": caffe,
    "io": caffe.io,
    "net_spec": caffe.net_spec,
    "coord_map": caffe.coord_map,
    "draw": caffe.draw,
    "Blob": Blob,
    "Layer": caffe.Layer,
    "Solver": Solver,
    "Net": caffe.Net,
    "Classifier": caffe.Classifier,
    "Detector": caffe.Detector,
    "NetSpec": caffe.NetSpec,
    "Transformer": caffe.io.Transformer,
    "Timer": caffe.Timer,
}


def own(home: Any) -> list[str]:
    """The public names of a class, or those that a module itself defines."""
    if home is caffe:
        return list(caffe.__all__)
    if inspect.isclass(home):
        return [name for name in vars(home) if not name.startswith("_")]
    return [
        name
        for name, value in vars(home).items()
        if callable(value) and getattr(value, "__module__", "") == home.__name__ and not name.startswith("_")
    ]


@pytest.mark.parametrize("name", HOMES)
def test_every_name_is_told(name: str) -> None:
    assert not [attribute for attribute in own(HOMES[name]) if f"{name}.{attribute}" not in TOLD]


def test_every_told_name_is_there(tmp_path: Path) -> None:
    net = make(tmp_path, CLASSIFYING, caffe.TRAIN)
    file = write(tmp_path, f'net: "{tmp_path}/net.prototxt" base_lr: 1 lr_policy: "fixed"', "solver.prototxt")
    objects = {**HOMES, "Net": net, "Solver": caffe.SGDSolver(file)}
    always = [name for name, state in TOLD.items() if "is installed" not in state]
    assert not [name for name in always if not hasattr(objects[name.split(".")[0]], name.split(".")[1])]


def test_every_state_is_one_of_four() -> None:
    assert {re.split(r"\W", state)[0] for state in TOLD.values()} == {"works", "differs", "refused", "not"}
