"""Tests of detectors while they train: mean average precision, in the training loop and in scripts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from annotated_database import DETECTIONS, LAYER, SSD, write_database

from vggrepro import load_net, pycaffe
from vggrepro.caffe.messages import TEST
from vggrepro.caffe.text import parse_net
from vggrepro.data.feeds import open_feed
from vggrepro.errors import SolverError, UnsupportedError
from vggrepro.graph.reference import reference_forward
from vggrepro.system.ranks import Alone
from vggrepro.training.average_precision import average_precision
from vggrepro.training.definition import read_definition
from vggrepro.training.solver import Solver
from vggrepro.training.testing import TestNet
from vggrepro.training.training_data import LayerTrainingData
from vggrepro.training.validation_sets import LayerValidationSet

pytest.importorskip("lmdb")

TRANSFORM = "mean_value: 104 resize_param { height: 20 width: 20 }"
BATCHES = 3


@pytest.fixture
def ssd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_database(tmp_path)
    data = LAYER.replace("TRANSFORM", TRANSFORM).replace("ANNOTATED", "")
    trained = SSD.replace('layer { name: "loss"', 'layer { name: "loss" include { phase: TRAIN }')
    Path("net.prototxt").write_text(data + trained + DETECTIONS)
    write_solver()
    return tmp_path


def write_solver(more: str = "") -> None:
    Path("solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.001 lr_policy: "fixed" max_iter: 2 random_seed: 3 solver_mode: CPU'
        f' test_iter: {BATCHES} test_interval: 2 eval_type: "detection" ap_version: "11point" {more}'
    )


def expected(weights: str) -> dict[int, float]:
    """The average precisions of classes by the float64 reference of the net, batch by batch."""
    data = LAYER.replace("TRANSFORM", TRANSFORM).replace("ANNOTATED", "")
    feed = open_feed(parse_net(data).layer[0], TEST)
    shapes = {name: array.shape for name, array in feed.batch(0).items()}
    net = load_net("net.prototxt", weights, phase="TEST", input_shapes=shapes)
    rows = np.concatenate(
        [reference_forward(net, feed.batch(number))["eval"].reshape(-1, 5) for number in range(BATCHES)]
    )
    classes = rows[(rows[:, 0] == -1) & (rows[:, 1] > 0)]
    found = rows[(rows[:, 0] >= 0) & (rows[:, 3] + rows[:, 4] > 0)]
    return {
        label: average_precision(
            found[found[:, 1] == label, 2:], int(classes[classes[:, 1] == label, 2].sum()), "11point"
        )
        for label in range(1, 5)
    }


def scores_of(definition_path: str, weights: str) -> dict[str, float]:
    definition = read_definition(definition_path)
    message = definition.test_messages()[0]
    train = LayerTrainingData(definition.train_message(), 0, 0, Path(), Alone())
    solver = Solver(definition, weights=weights, input_shapes=train.shapes(), threads=1)
    data = LayerTrainingData(message, TEST, 0, Path(), Alone())
    net = TestNet(solver, message, data.shapes())
    assert net.accuracy == "eval" and net.numbers == ["eval"]
    first = net.score(LayerValidationSet(data, BATCHES), Alone(), lambda: False)
    assert first == net.score(LayerValidationSet(data, BATCHES), Alone(), lambda: False)
    return dict(first or {})  # type: ignore[arg-type]


def test_both_ways_of_training_report_the_mean_average_precision(
    ssd: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_solver("show_per_class_result: true")
    solver = pycaffe.get_solver("solver.prototxt")
    solver.net.save("begin.caffemodel")
    want = expected("begin.caffemodel")
    assert any(0 < value < 1 for value in want.values())
    pycaffe.init_log(0)
    solver.step(1)
    log = capfd.readouterr().err
    logged = {int(k): float(ap) for k, ap in re.findall(r"class(\d): (\S+)", log)}
    assert logged == pytest.approx(want, abs=1e-5)
    (mean,) = re.findall(r"Test net output #0: eval = (\S+)", log)
    assert float(mean) == pytest.approx(np.mean(list(want.values())), abs=1e-5)
    scores = scores_of("solver.prototxt", "begin.caffemodel")
    assert scores.pop("eval") == pytest.approx(float(mean), abs=1e-5)
    assert scores == {f"eval:class{k}": pytest.approx(ap, abs=1e-5) for k, ap in want.items()}


def test_the_lines_of_a_size_file_are_taken_in_turn_through_a_test(ssd: Path) -> None:
    """Sizes of 1 pixel make every overlap 1; those of the first image alone would not."""
    pycaffe.get_solver("solver.prototxt").net.save("begin.caffemodel")
    units = scores_of("solver.prototxt", "begin.caffemodel")["eval"]
    net = Path("net.prototxt").read_text()
    found = {}
    for name, lines in (("same", "a 900 900\n" * 3), ("turns", "a 900 900\nb 900 900\nc 1 1\n")):
        Path(name).write_text(lines)
        field = f'evaluate_difficult_gt: false name_size_file: "{name}"'
        Path("net.prototxt").write_text(net.replace("evaluate_difficult_gt: false", field))
        found[name] = scores_of("solver.prototxt", "begin.caffemodel")["eval"]
    assert found["same"] == pytest.approx(units, abs=0.02)
    assert found["turns"] != found["same"]


def test_what_cannot_be_reported_is_refused(ssd: Path) -> None:
    text = Path("solver.prototxt").read_text()
    for written, message in [
        (text.replace('"detection"', '"segmentation"'), "Unknown evaluation type: segmentation"),
        (text.replace("11point", "12point"), r"Unknown ap_version: 12point \(known: 11point"),
    ]:
        Path("solver.prototxt").write_text(written)
        with pytest.raises(SolverError, match=message):
            read_definition("solver.prototxt")


def test_detections_are_tested_on_one_rank(ssd: Path) -> None:
    definition = read_definition("solver.prototxt")
    message = definition.test_messages()[0]
    train = LayerTrainingData(definition.train_message(), 0, 0, Path(), Alone())
    solver = Solver(definition, input_shapes=train.shapes(), threads=1)
    data = LayerTrainingData(message, TEST, 0, Path(), Alone())
    net = TestNet(solver, message, data.shapes())
    with pytest.raises(UnsupportedError, match="one rank alone"):
        net.score(LayerValidationSet(data, 1), Alone(size=2), lambda: False)
