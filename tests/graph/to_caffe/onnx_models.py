"""Small ONNX models, and the Caffe nets that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.text import format_message, parse_net
from vggrepro.graph.forward import build_forward
from vggrepro.graph.to_caffe.onnx_to_caffe import to_caffe
from vggrepro.net.load import build_net
from vggrepro.runtime.session import Session

RNG = np.random.default_rng(0)


def random(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    constants: Mapping[str, np.ndarray] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 18,
) -> onnx.ModelProto:
    """A model from "x" of a shape to its outputs."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes),
        "small",
        [info("x", onnx.TensorProto.FLOAT, shape)],
        [info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op_type: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(
        op_type, inputs.split(), outputs.split(), name=f"n_{outputs.split()[0]}", **attributes
    )


def caffe_net(made: onnx.ModelProto, **shapes: tuple[int, ...]) -> tuple[NetParameter, Any]:
    message, blobs = to_caffe(made, shapes)
    net = build_net(parse_net(format_message(message)), "TEST")
    keys = {f"{name}:{i}": array for name, arrays in blobs.items() for i, array in enumerate(arrays)}
    return message, net.with_params(keys)


def check(made: onnx.ModelProto, *types: str, positive: bool = False) -> NetParameter:
    """The net of a model has these layers, and computes what ONNX Runtime does for the model."""
    import onnxruntime

    message, net = caffe_net(made)
    found = [layer.type for layer in message.layer if layer.type != "Input"]
    assert found == list(types)
    x = random(*net.inputs["x"])
    x = np.abs(x) + np.float32(0.1) if positive else x
    names = [output.name for output in made.graph.output]
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    got = Session(build_forward(net, outputs=names), threads=1).run({"x": x})
    for name, want in zip(names, session.run(names, {"x": x}), strict=True):
        assert got[name].shape == want.shape
        np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=1e-5)
    return message
