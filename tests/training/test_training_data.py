"""What nets are fed while they train: crops of pictures, and batches of their own data layers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT
from tiny_run import write_pictures, write_solver
from validation_case import contents

from vggrepro.caffe.messages import TRAIN
from vggrepro.caffe.text import parse_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.cli.train_ilsvrc import main
from vggrepro.data.loader import Batch
from vggrepro.errors import DataError, NetError
from vggrepro.net.net import build
from vggrepro.runtime import upload
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceView
from vggrepro.system.ranks import Alone, Ranks
from vggrepro.training.training_data import CropsToBlob, ImageInputs, ImageTrainingData, LayerTrainingData


def test_preparer_casts_transposes_and_adds() -> None:
    rng = np.random.default_rng(0)
    prepare = CropsToBlob(Device("cpu"), 5, 7, threads=1)
    for count in (5, 2):  # a smaller batch after a whole one
        crops = rng.integers(0, 256, (count, 7, 7, 3), dtype=np.uint8)
        shifts = rng.normal(0, 50, (count, 3)).astype(np.float32)
        wanted = crops.transpose(0, 3, 1, 2).astype(np.float32) + shifts[:, :, None, None]
        np.testing.assert_array_equal(contents(prepare(crops, shifts)), wanted)


class Loader:
    """Batches of one picture; ``asked`` says when one is."""

    def __init__(self) -> None:
        self.asked = [threading.Event() for _ in range(9)]

    def batches(self, start: int) -> Iterator[Batch]:
        rng = np.random.default_rng(0)
        for iteration in range(start, len(self.asked)):
            self.asked[iteration].set()
            images, shifts = rng.integers(0, 256, (1, 6, 6, 3), np.uint8), np.ones((1, 3), np.float32)
            yield Batch(iteration, images, shifts, np.array([iteration]), np.array([10 + iteration]))

    def place(self, index: int) -> str:
        return f"picture {index}"


def image_data(double_buffered: bool) -> tuple[Loader, ImageTrainingData]:
    text = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 6 dim: 6 } } }'
        'layer { name: "y" type: "Input" top: "y" input_param { shape { dim: 1 } } }'
    )
    loader = Loader()
    to_blob = CropsToBlob(Device("cpu"), 1, 6, 1, double_buffered=double_buffered)
    return loader, ImageTrainingData(loader, inputs_of(text), to_blob)  # type: ignore[arg-type]


def test_the_next_pictures_are_brought_while_a_pass_computes() -> None:
    (_, plain), (loader, ahead) = image_data(False), image_data(True)
    with closing(plain.passes(0)) as one, closing(ahead.passes(0)) as other:
        for number in range(4):
            expected, found = next(one), next(other)
            assert loader.asked[number + 1].wait(10)
            assert not loader.asked[number + 2].is_set()
            np.testing.assert_array_equal(contents(found["x"]), contents(expected["x"]))
            np.testing.assert_array_equal(found["y"], [number])
            assert ahead.last_place(0) == plain.last_place(0) == f"picture {10 + number}"


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


def test_image_data_layer_bounds_the_pixels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / "train", 2)
    names = sorted(str(p) for p in (tmp_path / "train").rglob("*.png"))
    (tmp_path / "list.txt").write_text("".join(f"{name} 0\n" for name in names))
    data = 'type: "ImageData" top: "data" image_data_param { source: "list.txt" batch_size: 2 }'
    path = write_solver(tmp_path, f'layer {{ name: "data" {data} top: "label" }}')
    assert main(["--config", str(path), "--max-pixels", "10"]) == 2
    assert "pixels, expected at most 10" in capsys.readouterr().err


def test_a_net_without_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }'
    path = write_solver(tmp_path, text)
    assert main(["--config", str(path)]) == 2
    assert "no layer reads data" in capsys.readouterr().err


def layer_data(folder: Path, ranks: Ranks, batch: int = 4) -> LayerTrainingData:
    """An HDF5Data layer over the samples 0, 1, ..., 9: ``x`` (10, 2) holds each twice, ``y`` (10,) once."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "data.h5", "w") as file:
        file["x"] = np.repeat(np.arange(10, dtype=np.float32)[:, None], 2, axis=1)
        file["y"] = np.arange(10, dtype=np.float32)
    (folder / "list.txt").write_text(f"{folder / 'data.h5'}\n")
    text = (
        'layer { name: "data" type: "HDF5Data" top: "x" top: "y"'
        f' hdf5_data_param {{ source: "list.txt" batch_size: {batch} }} }}'
    )
    return LayerTrainingData(parse_net(text), TRAIN, 0, folder, ranks)


def test_each_rank_takes_its_rows_of_every_batch(tmp_path: Path) -> None:
    for rank in range(2):
        data = layer_data(tmp_path, Alone(rank=rank, size=2))
        assert data.shapes() == {"x": (2, 2), "y": (2,)}
        batches = [feeds["y"].tolist() for feeds in islice(data.passes(0), 3)]  # type: ignore[union-attr]
        rows = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]
        assert batches == [row[2 * rank : 2 * rank + 2] for row in rows]


def test_passes_begin_where_they_are_asked_to(tmp_path: Path) -> None:
    data = layer_data(tmp_path, Alone())
    assert next(data.passes(1))["x"][:, 0].tolist() == [4, 5, 6, 7]  # type: ignore[index]
    assert data.waited > 0


def test_passes_are_brought_to_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "DeviceArray", lambda size, _: DeviceArray(size, Device("cpu")))
    data = layer_data(tmp_path, Alone())
    data.bring_to(Device("cuda"), in_host={"y"})
    for number, feeds in enumerate(islice(data.passes(0), 2)):
        assert isinstance(feeds["x"], DeviceView)
        assert feeds["x"].read()[:, 1].tolist() == [4 * number + row for row in range(4)]
        assert feeds["y"].tolist() == feeds["x"].read()[:, 0].tolist()  # type: ignore[union-attr]


def test_a_batch_must_divide_among_the_ranks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="input 'x': a batch of 3 does not divide among 2 ranks"):
        layer_data(tmp_path, Alone(size=2), batch=3).shapes()
