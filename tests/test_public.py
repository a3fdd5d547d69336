"""The public API that the README documents."""

from __future__ import annotations

import inspect

import numpy as np
import onnx
import onnxruntime
import pytest
from golden_suite import ROOT

import vggrepro


def test_names() -> None:
    for name in vggrepro.__all__:
        assert getattr(vggrepro, name) is not None
        assert name in dir(vggrepro)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vggrepro.nothing


def test_signatures() -> None:
    parameters = inspect.signature(vggrepro.load_net).parameters
    assert list(parameters)[:2] == ["prototxt", "weights"]
    assert (parameters["phase"].default, parameters["stages"].default, parameters["level"].default) == (
        "TEST",
        (),
        0,
    )
    assert str(inspect.signature(vggrepro.to_onnx)).startswith("(net: 'Net', *, outputs")
    assert list(inspect.signature(vggrepro.gradient_model).parameters) == ["net", "params", "inputs"]
    assert list(inspect.signature(vggrepro.Solver).parameters)[:3] == ["solver_prototxt", "weights", "device"]


def test_from_prototxt_to_numbers() -> None:
    """The whole way with nothing but the public names and a plain ONNX Runtime."""
    case = ROOT / "nets" / "vgg_a"
    net = vggrepro.load_net(case / "net.prototxt", case / "weights.caffemodel")
    with np.load(case / "io.npz") as arrays:
        x, want = arrays["in:data"], arrays["out:prob"]
    assert net.inputs == {"data": x.shape}
    assert net.outputs == {"prob": want.shape}
    assert all(array.dtype == np.float32 for array in net.params.values())
    model = vggrepro.to_onnx(net, outputs=["prob", "pool3"])
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    prob, pool3 = session.run(None, {"data": np.concatenate([x, x])})
    np.testing.assert_allclose(prob[:1], want, atol=1e-6)
    np.testing.assert_array_equal(prob[0], prob[1])
    reference = vggrepro.reference_forward(net, {"data": x})
    assert reference["pool3"].dtype == np.float64
    np.testing.assert_allclose(pool3[:1], reference["pool3"], atol=1e-4)


def test_gradient_model_is_plain_onnx() -> None:
    case = ROOT / "nets" / "lenet_train"
    net = vggrepro.load_net(case / "net.prototxt", case / "weights.caffemodel", phase="TRAIN")
    model = vggrepro.gradient_model(net, inputs=["data"])
    assert {i.name for i in model.graph.input} == {*net.inputs, *net.params}
    assert {o.name for o in model.graph.output} == {"d:data", *(f"d:{key}" for key in net.params)}
    assert {node.domain for node in model.graph.node} == {""}


def test_upgrade() -> None:
    text = vggrepro.upgrade_net('input: "data" input_dim: 1 input_dim: 3 input_dim: 4 input_dim: 4')
    assert 'type: "Input"' in text
    assert 'type: "Adam"' in vggrepro.upgrade_solver("solver_type: ADAM")
