"""Every layer and net of the golden suite through ``pycaffe.Net``: data, diffs, parameters."""

from __future__ import annotations

import numpy as np
import pytest
from golden_suite import cases

import vggrepro.pycaffe as caffe
from vggrepro.caffe.messages import PHASES
from vggrepro.pycaffe import mode
from vggrepro.verify.comparison import Difference
from vggrepro.verify.reference_case import ReferenceCase

CASES = cases("layer", "net")
EXACT = [c for c in CASES if not c.about.get("random")]
RANDOM = [c for c in CASES if c.about.get("random")]
named = {"ids": lambda c: c.folder.name}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    mode.set_threads(1)


def load(case: ReferenceCase) -> caffe.Net:
    about, weights = case.about, case.folder / "weights.caffemodel"
    return caffe.Net(
        str(case.folder / "net.prototxt"),
        PHASES[about["phase"]],
        level=about.get("level", 0),
        stages=about.get("stages", ()),
        weights=str(weights) if weights.exists() else None,
    )


def feed(net: caffe.Net, inputs: dict[str, np.ndarray]) -> None:
    for name, array in inputs.items():
        net.blobs[name].reshape(*array.shape)
        net.blobs[name].data[...] = array


def assert_passed(differences: list[Difference]) -> None:
    assert differences
    assert not [d for d in differences if not d.passed]


def param(net: caffe.Net, key: str) -> caffe.blob.Blob:
    layer, index = key.split(":", 1)[1].rsplit(":", 1)
    return net.params[layer][int(index)]


def check_data(case: ReferenceCase, net: caffe.Net, suffix: str = "") -> list[Difference]:
    blobs = case.keys(f"out{suffix}", f"blob{suffix}")
    found = [case.compare(key, net.blobs[key.split(":", 1)[1]].data) for key in blobs]
    return found + [case.compare(key, param(net, key).data) for key in case.keys(f"param_after{suffix}")]


@pytest.mark.parametrize("case", EXACT, **named)
def test_forward_and_backward(case: ReferenceCase) -> None:
    net = load(case)
    feed(net, case.arrays("in"))
    net.forward()
    assert_passed(check_data(case, net))
    if not case.entry["backward"]:
        return
    for name, array in case.arrays("dout").items():
        net.blobs[name].diff[...] = array
    for name in case.about.get("no_dout", ()):
        net.blobs[name].diff[...] = 0
    net.backward()
    found = [case.compare(k, net.blobs[k.split(":", 1)[1]].diff) for k in case.keys("din", "dblob")]
    assert_passed(found + [case.compare(key, param(net, key).diff) for key in case.keys("dparam")])


@pytest.mark.parametrize("case", [c for c in EXACT if c.about.get("second_call")], **named)
def test_second_call(case: ReferenceCase) -> None:
    net = load(case)
    feed(net, case.arrays("in"))
    net.forward()
    feed(net, case.arrays("in2"))
    net.forward()
    assert_passed(check_data(case, net, "2"))
