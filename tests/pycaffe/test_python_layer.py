"""Layers that scripts compute themselves, alone and between the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from nets import make, write
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe

INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 dim: 2 } } }'


def layer(name: str, kind: str, bottoms: str = "", more: str = "", param: str = "") -> str:
    reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return (
        f'layer {{ name: "{name}" type: "Python" {reads} top: "{name}" {more} python_param {{'
        f' module: "python_layers" layer: "{kind}" param_str: "{param}" }} }}'
    )


@pytest.fixture(autouse=True)
def allowed() -> Iterator[None]:
    caffe.allow_python_layers()
    yield
    caffe.allow_python_layers(False)


def test_forward_backward_and_reshape(tmp_path: Path) -> None:
    text = "force_backward: true " + INPUT + layer("a", "Times", "x") + layer("b", "Times", "a", param="2.5")
    net = make(tmp_path, text, caffe.TRAIN)
    assert net.layers[1].type == "Python" and net.layers[2].factor == 2.5
    net.blobs["x"].data[...] = 8
    assert (net.forward()["b"] == 200).all()
    net.blobs["b"].diff[...] = 7
    assert (net.backward()["x"] == 175).all()
    net.blobs["x"].reshape(5, 5)
    assert net.forward()["b"].shape == (5, 5)


def test_between_other_layers(tmp_path: Path) -> None:
    ip = (
        'layer {{ name: "{0}" type: "InnerProduct" bottom: "{1}" top: "{0}" inner_product_param {{ '
        "num_output: 3"
        ' weight_filler {{ type: "gaussian" }} }} }}'
    )
    text = INPUT + ip.format("p", "x") + layer("t", "Times", "p", param="3") + ip.format("q", "t")
    text += layer("loss", "Squares", "q p", more="loss_weight: 2")
    net = make(tmp_path, text, caffe.TRAIN)
    x = np.random.default_rng(0).standard_normal((4, 3, 2)).astype(np.float32)
    net.forward(x=x)
    w, v = net.params["p"][0].data, net.params["q"][0].data
    p = x.reshape(4, 6) @ w.T
    difference = 3 * p @ v.T - p
    assert_allclose(net.blobs["loss"].data, [(difference**2).sum() / 2], rtol=1e-5)
    net.backward()
    d_q = 2 * difference
    d_p = 3 * d_q @ v - d_q
    assert_allclose(net.params["q"][0].diff, d_q.T @ (3 * p), rtol=1e-4)
    assert_allclose(net.params["p"][0].diff, d_p.T @ x.reshape(4, 6), rtol=1e-4, atol=1e-4)


def test_source(tmp_path: Path) -> None:
    net = make(tmp_path, layer("n", "Counter"))
    assert net.inputs == []
    assert_array_equal([net.forward()["n"].copy() for _ in range(3)], np.arange(9).reshape(3, 3))


def test_parameters(tmp_path: Path) -> None:
    text = "force_backward: true " + INPUT + layer("l", "Learning", "x")
    net = make(tmp_path, text, caffe.TRAIN)
    assert net.params["l"][0].data[0] == 2
    net.forward()
    net.blobs["l"].diff[...] = 1
    net.backward()
    assert net.layers[1].blobs[0].diff[0] == 24
    net.params["l"][0].data[0] = 5
    net.save(str(tmp_path / "w.caffemodel"))
    net.params["l"][0].data[0] = -1
    net.copy_from(str(tmp_path / "w.caffemodel"))
    assert net.params["l"][0].data[0] == 5
    other = make(tmp_path, text, caffe.TRAIN, weights=str(tmp_path / "w.caffemodel"))
    assert other.params["l"][0].data[0] == 5
    third = make(tmp_path, text, caffe.TRAIN)
    third.share_with(net)
    assert third.layers[1].blobs[0].data[0] == 5


def test_trained_by_a_solver(tmp_path: Path) -> None:
    text = INPUT + layer("l", "Learning", "x") + layer("loss", "Squares", "l x", more="loss_weight: 1")
    file = write(
        tmp_path, f'net: "{write(tmp_path, text)}" base_lr: 0.01 lr_policy: "fixed"', "solver.prototxt"
    )
    solver = caffe.SGDSolver(file)
    solver.step(1)
    assert solver.net.params["l"][0].data[0] == pytest.approx(2 - 0.01 * 2 * 24)


def test_phase(tmp_path: Path) -> None:
    for phase in (caffe.TRAIN, caffe.TEST):
        assert make(tmp_path, layer("p", "Phase"), phase).forward()["p"] == phase


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="no setup"):
        make(tmp_path, INPUT + layer("f", "Failing", "x"))
    with pytest.raises(RuntimeError, match=r"layer 'f'.*no class 'Missing'"):
        make(tmp_path, INPUT + layer("f", "Missing", "x"))
    with pytest.raises(RuntimeError, match=r"layer 'f'.*no_such_module"):
        make(tmp_path, INPUT + layer("f", "Times", "x").replace("python_layers", "no_such_module"))


def test_a_layer_without_a_pass_lacks_the_attribute_as_in_caffe(tmp_path: Path) -> None:
    assert not hasattr(caffe.Layer, "forward") and not hasattr(caffe.Layer, "backward")
    net = make(tmp_path, "force_backward: true " + INPUT + layer("p", "Phase", "x"))
    net.forward()
    with pytest.raises(AttributeError, match="'Phase' object has no attribute 'backward'"):
        net.backward()


def test_a_definition_alone_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caffe.allow_python_layers(False)
    (tmp_path / "touching.py").write_text(f'open(r"{tmp_path}/touched", "w").close()\nclass Times: pass\n')
    monkeypatch.syspath_prepend(tmp_path)
    text = INPUT + layer("t", "Times", "x").replace("python_layers", "touching")
    with pytest.raises(RuntimeError, match=r"layer 't'.*allow_python_layers=True"):
        make(tmp_path, text)
    assert not (tmp_path / "touched").exists()
    net = make(tmp_path, INPUT + layer("t", "Times", "x"), allow_python_layers=True)
    assert (net.forward(x=np.ones((4, 3, 2)))["t"] == 10).all()
