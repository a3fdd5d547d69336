"""What nets are fed while they train and are tested."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT
from tiny_run import NET, TESTED, write_pictures, write_solver

from vggrepro.caffe.text import parse_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.cli.train_ilsvrc import main
from vggrepro.data.preprocess import centre_offset, cut, rescale, to_blob
from vggrepro.data.reading import BadImages, Reader
from vggrepro.data.sources import Source, open_images, select, with_labels
from vggrepro.data.truth.labels import labels_by_folder
from vggrepro.errors import DataError, NetError, WeightsError
from vggrepro.net.net import build
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceView
from vggrepro.system.ranks import Alone
from vggrepro.training.definition import read_definition
from vggrepro.training.solver import Solver
from vggrepro.training.testing import TestNet
from vggrepro.training.training_data import CropsToBlob, ImageInputs
from vggrepro.training.validation_sets import ImageValidationSet, ValidationBatch

MEAN = (120.0, 110.0, 130.0)


class Rank(Alone):
    """One of several ranks, whose sums are put together by the test."""


def contents(place: DeviceView) -> np.ndarray:
    flat = place.array.read()
    return flat[place.offset : place.offset + place.size].reshape(place.shape)


def test_preparer_casts_transposes_and_adds() -> None:
    rng = np.random.default_rng(0)
    prepare = CropsToBlob(Device("cpu"), 5, 7, threads=1)
    for count in (5, 2):  # a smaller batch after a whole one
        crops = rng.integers(0, 256, (count, 7, 7, 3), dtype=np.uint8)
        shifts = rng.normal(0, 50, (count, 3)).astype(np.float32)
        wanted = crops.transpose(0, 3, 1, 2).astype(np.float32) + shifts[:, :, None, None]
        np.testing.assert_array_equal(contents(prepare(crops, shifts)), wanted)


def inputs_of(text: str) -> ImageInputs:
    return ImageInputs(build(upgrade_net_param(parse_net(text), "net"), "TRAIN"))


def test_inputs_are_told_by_their_shapes() -> None:
    inputs = inputs_of(
        'layer { name: "y" type: "Input" top: "y" input_param { shape { dim: 2 dim: 1 dim: 1 dim: 1 } } }'
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }'
    )
    assert (inputs.data, inputs.label, inputs.batch, inputs.side) == ("x", "y", 2, 6)
    place = DeviceView(None, 0, (2, 3, 6, 6))  # type: ignore[arg-type]
    assert inputs.feeds(place, np.array([1, 0]))["y"].shape == (2, 1, 1, 1)


@pytest.mark.parametrize("sizes", ["3 4 6 6", "3 3 6 5", "3 3"])
def test_other_inputs_are_refused(sizes: str) -> None:
    dims = " ".join(f"dim: {size}" for size in sizes.split())
    with pytest.raises(NetError, match=r"expected pictures \(N, 3, side, side\) and labels"):
        inputs_of(
            f'layer {{ name: "x" type: "Input" top: "x" top: "y" input_param {{ shape {{ {dims} }}'
            " shape { dim: 3 } } }"
        )


def validation(folder: Path, count: int = 3) -> Source:
    source = open_images(write_pictures(folder, count))
    labels, _ = labels_by_folder([source.key(i) for i in range(len(source))], None, "val")
    return with_labels(source, labels)


def image_test(net: TestNet, source: Source, policy: str = "error") -> ImageValidationSet:
    inputs = ImageInputs(net.net)
    prepare = CropsToBlob(Device("cpu"), inputs.batch, inputs.side, threads=1)
    return ImageValidationSet(Reader(source, BadImages(policy)), inputs, prepare, MEAN, 10, threads=1)  # type: ignore[arg-type]


def solver_and_test(folder: Path, net: str = NET) -> tuple[Solver, TestNet]:
    definition = read_definition(write_solver(folder, net, **TESTED))
    solver = Solver(definition, threads=1)
    return solver, TestNet(solver, definition.test_messages()[0])


def centre(source: Source, index: int) -> np.ndarray:
    pixels = rescale(source.decoded(index).pixels, 10)
    return cut(pixels, centre_offset(*pixels.shape[:2], 8), 8)


def test_every_validation_image_once(tmp_path: Path) -> None:
    """12 images in batches of 5: the last of 2, each weighted by its images."""
    _, net = solver_and_test(tmp_path)
    source = validation(tmp_path / "val")
    test = image_test(net, source)
    assert test.count == 3
    portions = []
    for portion in test.batches(Alone()):
        data = portion.feeds["data"]
        assert isinstance(data, DeviceView)
        portions.append((portion.samples, contents(data).copy(), portion.feeds["label"]))
    assert [samples for samples, _, _ in portions] == [5, 5, 2]
    images = np.concatenate([data for _, data, _ in portions])
    np.testing.assert_array_equal(images, to_blob(np.stack([centre(source, i) for i in range(12)]), MEAN))
    np.testing.assert_array_equal(
        np.concatenate([labels for _, _, labels in portions]), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    )


def test_scores_are_means_over_images(tmp_path: Path) -> None:
    """The same scores whatever the batch, which a mean over batches would not give."""
    solver, net = solver_and_test(tmp_path)
    source = validation(tmp_path / "val")
    scores = net.score(image_test(net, source), Alone(), lambda: False)
    (tmp_path / "other").mkdir()
    definition = read_definition(
        write_solver(tmp_path / "other", NET.replace("size: 5", "size: 12"), **TESTED)
    )
    whole = TestNet(solver, definition.test_messages()[0])
    expected = whole.score(image_test(whole, source), Alone(), lambda: False)
    assert scores is not None
    assert scores == pytest.approx(expected, rel=1e-6)
    assert scores["accuracy"] * 12 == pytest.approx(round(scores["accuracy"] * 12))


def test_parameters_are_shared(tmp_path: Path) -> None:
    """A step of the solver is seen by the test net at once."""
    solver, net = solver_and_test(tmp_path)
    test = image_test(net, validation(tmp_path / "val"))
    before = net.score(test, Alone(), lambda: False)
    rng = np.random.default_rng(0)
    feeds = {"data": rng.normal(0, 50, (8, 3, 8, 8)), "label": rng.integers(0, 4, 8)}
    solver.step([feeds])
    after = net.score(test, Alone(), lambda: False)
    assert before is not None
    assert after is not None
    assert before["loss"] != after["loss"]


def test_an_interrupted_test_has_no_scores(tmp_path: Path) -> None:
    _, net = solver_and_test(tmp_path)
    assert net.score(image_test(net, validation(tmp_path / "val")), Alone(), lambda: True) is None


def test_the_accuracy_that_counts(tmp_path: Path) -> None:
    top5 = (
        'layer { name: "five" type: "Accuracy" bottom: "fc" bottom: "label" top: "five"'
        " accuracy_param { top_k: 3 } include { phase: TEST } }"
    )
    head, tail = NET.split('layer { name: "accuracy"')
    _, net = solver_and_test(tmp_path, head + top5 + 'layer { name: "accuracy"' + tail)
    assert net.accuracy == "accuracy"
    assert set(net.outputs) == {"accuracy", "five", "loss"}


def test_layers_that_are_tested_alone_keep_their_fillers(tmp_path: Path) -> None:
    extra = (
        'layer { name: "own" type: "InnerProduct" bottom: "fc" top: "own" include { phase: TEST }'
        ' inner_product_param { num_output: 1 bias_filler { type: "constant" value: 2 } } }'
        'layer { name: "sum" type: "Reduction" bottom: "own" top: "sum" include { phase: TEST }'
        " reduction_param { operation: MEAN } }"
    )
    _, net = solver_and_test(tmp_path, NET + extra)
    scores = net.score(image_test(net, validation(tmp_path / "val")), Alone(), lambda: False)
    assert scores is not None
    assert scores["sum"] == 2.0  # weight 0, bias 2


def test_shapes_must_agree(tmp_path: Path) -> None:
    solver, _ = solver_and_test(tmp_path)
    (tmp_path / "other").mkdir()
    other = NET.replace("num_output: 6", "num_output: 5")
    definition = read_definition(write_solver(tmp_path / "other", other, **TESTED))
    with pytest.raises(WeightsError, match=r"Cannot share param conv:0: .*\(5, 3, 3, 3\).*\(6, 3, 3, 3\)"):
        TestNet(solver, definition.test_messages()[0])


def test_compute_loss(tmp_path: Path) -> None:
    definition = read_definition(write_solver(tmp_path, **TESTED, test_compute_loss="true"))
    solver = Solver(definition, threads=1)
    net = TestNet(solver, definition.test_messages()[0])
    scores = net.score(image_test(net, validation(tmp_path / "val")), Alone(), lambda: False)
    assert scores is not None
    assert scores["loss:total"] == scores["loss"]


def test_bad_images_are_left_out_of_the_mean(tmp_path: Path) -> None:
    _, net = solver_and_test(tmp_path)
    source = validation(tmp_path / "val")
    scores = net.score(image_test(net, select(source, range(12))), Alone(), lambda: False)
    bad = tmp_path / "val" / "n00000000" / "n00000000_9.png"
    bad.write_bytes(b"no picture")
    labels, _ = labels_by_folder(sorted(p.name for p in bad.parent.parent.rglob("*.png")), None, "x")
    again = with_labels(open_images(tmp_path / "val"), labels)
    assert len(again) == 13
    with pytest.raises(DataError, match="n00000000_9"):
        net.score(image_test(net, again), Alone(), lambda: False)
    assert net.score(image_test(net, again, "skip"), Alone(), lambda: False) == pytest.approx(
        scores, rel=1e-6
    )


def test_a_label_that_is_no_class(tmp_path: Path) -> None:
    _, net = solver_and_test(tmp_path)
    source = with_labels(validation(tmp_path / "val"), [4] * 12)
    with pytest.raises(DataError, match="labels run from 4 to 4, expected 0 to 3"):
        net.score(image_test(net, source), Alone(), lambda: False)


def test_portions_of_ranks_are_disjoint_and_complete(tmp_path: Path) -> None:
    _, net = solver_and_test(tmp_path)
    test = image_test(net, validation(tmp_path / "val"))
    portions: list[ValidationBatch] = []
    for rank in range(2):
        portions += test.batches(Alone(rank=rank, size=2))
    assert sorted((p.number, p.samples) for p in portions) == [(0, 5), (1, 5), (2, 2)]


DATA_NET = """
name: "layers"
layer { name: "data" type: "%s" top: "data" top: "label" %s }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""


def train_on_layers(folder: Path, kind: str, parameters: str) -> list[str]:
    fields = {"base_lr": 1e-8, "max_iter": 3, "test_iter": 2, "test_interval": 3, "display": 1}
    path = write_solver(folder, DATA_NET % (kind, parameters), **fields)
    assert main(["--config", str(path), "--threads", "1"]) == 0
    return (folder / "solver.jsonl").read_text().splitlines()


def test_caffes_own_data_layers(tmp_path: Path) -> None:
    """Without --data: LMDB, lists and HDF5 through the net's own data layers, relative to the solver."""
    pytest.importorskip("lmdb")
    databases = sorted(p.parent.name for p in (ROOT / "lmdb").glob("*/data.mdb"))
    shutil.copytree(ROOT / "lmdb" / databases[0], tmp_path / "db")
    data = 'data_param { source: "db" batch_size: 2 backend: LMDB } transform_param { crop_size: 16 }'
    assert '"event": "test"' in "".join(train_on_layers(tmp_path, "Data", data))


def test_image_data_layer(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", 2)
    names = sorted(str(p) for p in (tmp_path / "train").rglob("*.png"))
    (tmp_path / "list.txt").write_text("".join(f"{name} {i % 4}\n" for i, name in enumerate(names)))
    data = 'image_data_param { source: "list.txt" batch_size: 4 shuffle: true }'
    lines = train_on_layers(tmp_path, "ImageData", data)
    assert sum('"event": "train"' in line for line in lines) == 3


def test_a_net_without_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }'
    path = write_solver(tmp_path, text)
    assert main(["--config", str(path)]) == 2
    assert "no layer reads data" in capsys.readouterr().err
