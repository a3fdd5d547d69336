"""caffe train: Caffe's flags and log lines, and the golden trajectories of its solver."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from caffe_nets import SOLVER, caffe, messages
from golden_suite import ROOT, cases
from google.protobuf import text_format
from numpy.testing import assert_array_equal

from vggrepro.caffe.messages import TRAIN, NetParameter
from vggrepro.caffe.weights import read_weights
from vggrepro.cli.main import main
from vggrepro.pycaffe import mode
from vggrepro.pycaffe.net import Net
from vggrepro.verify.reference_case import ReferenceCase

h5py = pytest.importorskip("h5py")
MODULE = [sys.executable, "-c", "import sys; from vggrepro.cli.main import main; sys.exit(main())"]

CASES = [case for case in cases("train") if case.folder.name not in ("lstm", "vgg_a_sgd")]
"""All but a net of more than a batch's axis in front, which no HDF5Data layer can feed, and a large one."""


def read_data_from_hdf5(case: ReferenceCase, folder: Path) -> None:
    """A copy of the case whose net reads the batches of all iterations, in their order, from a file."""
    with np.load(case.folder / "data.npz") as file:
        data = {name: file[name] for name in file.files}
    order = data.pop("order")
    with h5py.File(folder / "batches.h5", "w") as file:
        for name, array in data.items():
            rows = np.stack([array[index] for index in order])
            file[name] = rows.reshape(-1, *rows.shape[2:])
    (folder / "list.txt").write_text("batches.h5\n")
    net = text_format.Parse((case.folder / "train_net.prototxt").read_text(), NetParameter())
    others = [layer for layer in net.layer if layer.type != "Input"]
    batch = net.layer[0].input_param.shape[0].dim[0]
    del net.layer[:]
    source = net.layer.add(name="rows", type="HDF5Data", top=list(data))
    source.hdf5_data_param.source, source.hdf5_data_param.batch_size = "list.txt", batch
    net.layer.extend(others)
    (folder / "train_net.prototxt").write_text(text_format.MessageToString(net))
    (folder / "solver.prototxt").write_bytes((case.folder / "solver.prototxt").read_bytes())


def check_weights(case: ReferenceCase, ours: Path, file: str) -> None:
    given = case.entry["tolerance"]["final_params"]
    found = {layer.name: layer.blobs for layer in read_weights(ours)}
    for layer in (layer for layer in read_weights(case.folder / file) if layer.blobs):
        for got, blob in zip(found[layer.name], layer.blobs, strict=True):
            bound = given["rtol_of_max"] * max(np.abs(blob.data).max(), given["floor"])
            assert np.abs(got.data - blob.data).max() <= bound


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.folder.name)
def test_golden_trajectory(case: ReferenceCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read_data_from_hdf5(case, tmp_path)
    mode.set_threads(1)
    try:
        assert caffe("train", "-solver=solver.prototxt", f"-weights={case.folder / 'init.caffemodel'}") == 0
    finally:
        mode.set_threads(0)
    for part in ("mid", "final"):
        name = case.about[part]["files"][0]
        check_weights(case, tmp_path / name, name)


def test_log_lines(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("train", "--solver=solver.prototxt") == 0
    said = messages(capfd.readouterr().err)
    number = r"[\d.e+-]+"
    expected = [
        "Use CPU.",
        "Initializing solver from parameters:",
        "Memory required for data: 4580",
        r"Top shape: 4 3 6 6 \(432\)",
        "Solver scaffolding done.",
        "Starting Optimization",
        "Solving small",
        "Learning Rate Policy: fixed",
        r"Iteration 0, Testing net \(#0\)",
        rf"    Test net output #0: accuracy = {number}",
        rf"    Test net output #1: loss = {number} \(\* 1 = {number} loss\)",
        rf"Iteration 0 \(0 iter/s, {number}s/5 iters\), loss = {number}",
        rf"    Train net output #0: loss = {number} \(\* 1 = {number} loss\)",
        "Iteration 0, lr = 0.01",
        "Snapshotting to binary proto file snap_iter_5.caffemodel",
        "Snapshotting solver state to binary proto file snap_iter_5.solverstate",
        rf"Iteration 10, loss = {number}",
        "Optimization Done.",
    ]
    assert [line for line in expected if not any(re.fullmatch(line, message) for message in said)] == []
    assert said[-2:] == ["Optimization Done."] * 2


def test_resuming_ends_as_the_whole_run(brewing: Path) -> None:
    assert caffe("train", "-solver", "solver.prototxt") == 0
    whole = read_weights(brewing / "snap_iter_10.caffemodel")
    assert caffe("train", "-solver", "solver.prototxt", "-snapshot", "snap_iter_10.solverstate") == 0
    again = read_weights(brewing / "snap_iter_10.caffemodel")
    for one, other in zip(whole, again, strict=True):
        for mine, theirs in zip(one.blobs, other.blobs, strict=True):
            assert_array_equal(mine.data, theirs.data)


def test_weights_of_several_files(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("train", "-solver", "solver.prototxt") == 0
    trained = (brewing / "snap_iter_5.caffemodel").read_bytes()
    for name in ("a", "b"):
        (brewing / name).write_bytes(trained)
    still = SOLVER.replace("base_lr: 0.01", "base_lr: 0").replace("max_iter: 10", "max_iter: 5")
    (brewing / "solver.prototxt").write_text(still)
    (brewing / "snap_iter_5.caffemodel").unlink()
    assert caffe("train", "-solver", "solver.prototxt", "-weights", "a,b") == 0
    assert "Finetuning from b" in messages(capfd.readouterr().err)
    start, end = read_weights(brewing / "a"), read_weights(brewing / "snap_iter_5.caffemodel")
    for one, other in zip(start, end, strict=True):
        for mine, theirs in zip(one.blobs, other.blobs, strict=True):
            assert_array_equal(mine.data, theirs.data)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Need a solver definition to train."),
        (["-solver=s", "-snapshot=a", "-weights=b"], "Give a snapshot to resume training or weights"),
        (["-solver=none"], "Could not open file none"),
        (["-solver=solver.prototxt", "-sigint_effect=dance"], 'Invalid signal effect "dance" was specified'),
        (["-solver=solver.prototxt", "-gpu=0,1"], "training on several GPUs is offered by"),
        (["-solver=solver.prototxt", "-gpu=x"], "-gpu x: expected all, or numbers"),
        (["-solver=solver.prototxt", "-weights=none"], "Could not open file none"),
        (["-solver=solver.prototxt", "-stage=a,\udcff"], r"stages 'a', '\udcff': expected names in UTF-8"),
    ],
)
def test_errors(flags: list[str], message: str, brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("train", *flags) == 2
    assert f"error: {message}" in capfd.readouterr().err.replace("-sigint_effect: ", "").replace(
        "-gpu 0,1: ", ""
    )


def test_a_prefix_that_cannot_be_written(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (brewing / "solver.prototxt").write_text(SOLVER.replace('"snap"', '"nowhere/snap"'))
    assert caffe("train", "-solver=solver.prototxt") == 2
    assert "Cannot write to snapshot prefix 'nowhere/snap'." in capfd.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_stops_with_a_snapshot(number: signal.Signals, code: int, brewing: Path) -> None:
    endless = SOLVER.replace("max_iter: 10", "max_iter: 100000000").replace("snapshot: 5", "")
    (brewing / "solver.prototxt").write_text(endless)
    command = [*MODULE, "caffe", "train", "-solver=solver.prototxt"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=brewing) as process:
        assert process.stderr is not None
        seen = ""
        while "Iteration 5, lr" not in seen:
            seen = process.stderr.readline()
        os.kill(process.pid, number)
        rest = process.stderr.read()
    assert process.returncode == code
    assert "Optimization stopped early." in rest
    assert list(brewing.glob("snap_iter_*.solverstate"))


def test_sighup_makes_a_snapshot_and_goes_on(brewing: Path) -> None:
    endless = SOLVER.replace("max_iter: 10", "max_iter: 100000000").replace("snapshot: 5", "")
    (brewing / "solver.prototxt").write_text(f"{endless} snapshot_after_train: false")
    command = [*MODULE, "caffe", "train", "-solver=solver.prototxt", "-sigint_effect=stop"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=brewing) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Iteration 5, lr" in line:
                os.kill(process.pid, signal.SIGHUP)
            if "Snapshotting solver state" in line:
                break
        os.kill(process.pid, signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 0
    assert "Optimization stopped early." in rest and "Snapshotting" not in rest
    assert len(list(brewing.glob("snap_iter_*.solverstate"))) == 1


def test_log_dir(brewing: Path) -> None:
    assert caffe("train", "-solver=solver.prototxt", "-log_dir", str(brewing)) == 0
    lines = (brewing / "caffe.INFO").read_text().splitlines()
    assert lines[0].startswith("Log file created at: ") and "Optimization Done." in lines[-1]
    assert messages("\n".join(lines))[0] == "Use CPU."


WINDOWS = """
layer { name: "data" type: "WindowData" top: "data" top: "label" window_data_param {
  source: "windows.txt" batch_size: 4 fg_fraction: 0.5 context_pad: 2 }
  transform_param { crop_size: 10 mean_value: 100 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 3 kernel_size: 4 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param {
  num_output: 6 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def test_windows_train_as_train_ilsvrc_trains(brewing: Path) -> None:
    """One window of each kind, so that nothing depends on what is drawn."""
    picture = ROOT / "lmdb" / "pics" / "p00.png"
    windows = "2\n5 0.8 2 3 12 14\n1 0.1 4 0 9 9\n"
    (brewing / "windows.txt").write_text(f"# 0\n{picture}\n3\n40\n40\n{windows}")
    (brewing / "net.prototxt").write_text(WINDOWS)
    solver = (
        'net: "net.prototxt" base_lr: 0.001 momentum: 0.9 lr_policy: "fixed" max_iter: 4 solver_mode: CPU'
    )
    (brewing / "solver.prototxt").write_text(solver)
    Net("net.prototxt", TRAIN).save("init.caffemodel")
    results = []
    flags = ["-solver=solver.prototxt", "-weights=init.caffemodel"]
    options = ["--config=solver.prototxt", "--weights=init.caffemodel"]
    for prefix, run in (
        ("a", lambda: caffe("train", *flags)),
        ("b", lambda: main(["train-ilsvrc", *options])),
    ):
        (brewing / "solver.prototxt").write_text(f'{solver} snapshot_prefix: "{prefix}"')
        assert run() == 0
        results.append(read_weights(brewing / f"{prefix}_iter_4.caffemodel"))
    start = read_weights(brewing / "init.caffemodel")
    for name, one, other, before in zip(("conv", "ip"), *(r[1:3] for r in (*results, start)), strict=True):
        assert one.name == name
        assert_array_equal(one.blobs[0].data, other.blobs[0].data)
        assert (one.blobs[0].data != before.blobs[0].data).any()
