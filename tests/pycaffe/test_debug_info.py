"""``debug_info: true``: the lines that Caffe logs of every blob, parameter and gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nets import CLASSIFYING, make, write

import vggrepro.pycaffe as caffe


def said(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line.split("] ", 1)[1] for line in capfd.readouterr().err.splitlines()]


def mean(array: np.ndarray) -> str:
    return f"{np.abs(array).mean(dtype=float):g}"


def test_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = CLASSIFYING.replace('layer { name: "ip"', 'layer { name: "ip" param { name: "w" } param { }')
    net = make(tmp_path, "debug_info: true" + text, caffe.TRAIN)
    capfd.readouterr()
    net.forward(end="conv")
    before_relu = mean(net.blobs["conv"].data)
    capfd.readouterr()
    net.forward(start="conv")
    lines = said(capfd)
    conv, ip = net.params["conv"], net.params["ip"]
    assert lines == [
        f"    [Forward] Layer conv, top blob conv data: {before_relu}",
        f"    [Forward] Layer conv, param blob 0 data: {mean(conv[0].data)}",
        "    [Forward] Layer conv, param blob 1 data: 0.5",
        f"    [Forward] Layer relu, top blob conv data: {mean(net.blobs['conv'].data)}",
        f"    [Forward] Layer ip, top blob scores data: {mean(net.blobs['scores'].data)}",
        f"    [Forward] Layer ip, param blob w data: {mean(ip[0].data)}",
        "    [Forward] Layer ip, param blob 1 data: 0",
        f"    [Forward] Layer loss, top blob loss data: {mean(net.blobs['loss'].data)}",
    ]
    net.backward()
    lines = said(capfd)
    assert lines[:3] == [
        f"    [Backward] Layer loss, bottom blob scores diff: {mean(net.blobs['scores'].diff)}",
        lines[1],
        f"    [Backward] Layer ip, param blob 0 diff: {mean(ip[0].diff)}",
    ]
    assert not any("All net params" in line for line in lines)
    net._debug_info.all_params()
    lines = said(capfd)
    blobs = [*conv, *ip]
    sums = [
        sum(np.abs(a).sum(dtype=float) for a in arrays) for arrays in (map(data, blobs), map(diff, blobs))
    ]
    squares = [sum(np.square(a, dtype=float).sum() for a in x) for x in (map(data, blobs), map(diff, blobs))]
    assert lines[-1] == (
        f"    [Backward] All net params (data, diff): L1 norm = ({sums[0]:g}, {sums[1]:g});"
        f" L2 norm = ({squares[0] ** 0.5:g}, {squares[1] ** 0.5:g})"
    )


def data(blob: caffe.blob.Blob) -> np.ndarray:
    return blob.data


def diff(blob: caffe.blob.Blob) -> np.ndarray:
    return blob.diff


def test_a_solver_logs_where_it_displays(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net_file = write(tmp_path, CLASSIFYING)
    text = f'net: "{net_file}" base_lr: 0.01 lr_policy: "fixed" display: 2 debug_info: true random_seed: 1'
    solver = caffe.SGDSolver(write(tmp_path, text, "solver.prototxt"))
    plain = caffe.SGDSolver(write(tmp_path, text.replace("debug_info: true", ""), "plain.prototxt"))
    capfd.readouterr()
    solver.step(3)
    lines = said(capfd)
    assert sum("All net params" in line for line in lines) == 2
    assert lines.index("Iteration 0, lr = 0.01") < max(
        i for i, line in enumerate(lines) if "[Forward]" in line
    )
    plain.step(3)
    for name, blobs in solver.net.params.items():  # and nothing else changes
        np.testing.assert_allclose(blobs[0].data, plain.net.params[name][0].data, rtol=1e-5, atol=1e-7)
