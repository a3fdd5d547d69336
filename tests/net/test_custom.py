"""Layers that this package does not have, as nodes of a custom operator domain."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from net_files import image, layer

from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.errors import NetError, ShapeError, UnsupportedError, WeightsError
from vggrepro.graph.backward import build_gradient
from vggrepro.graph.forward import build_forward
from vggrepro.graph.reference import reference_forward
from vggrepro.net import Net, load_net
from vggrepro.net.transforms.fully_convolutional import fully_convolutional
from vggrepro.runtime.session import Session

CONV = layer("conv", "Convolution", "data", more="convolution_param { num_output: 4 kernel_size: 3 }")
ODD = layer("odd", "Oddity", "conv", more="oddity_param { gain: 3 }  # as written\n")
PYTHON = layer(
    "py", "Python", "odd", more='python_param { module: "rois" layer: "Proposal" param_str: "{}" }'
)
POOL = layer("pool", "Pooling", "py", more="pooling_param { kernel_size: 2 stride: 2 }")
NET = image(2, 3, 8, 8) + CONV + ODD + PYTHON + POOL


def write(folder: Path, text: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text(text)
    return path


def custom(folder: Path, text: str, weights: Path | None = None, **shapes: tuple[int, ...]) -> Net:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_net(write(folder, text), weights, allow_custom=True, custom_shapes=shapes)


def node(model: onnx.ModelProto, op_type: str) -> onnx.NodeProto:
    (found,) = (n for n in model.graph.node if n.op_type == op_type)
    return found


def attributes(found: onnx.NodeProto) -> dict[str, object]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in found.attribute}


def test_without_leave_all_types_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        load_net(write(tmp_path, NET))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'net.prototxt'}: layer 'odd': Unknown layer type: Oddity; ")
    assert "layer 'py': Unknown layer type: Python (class 'Proposal' of module 'rois')" in message
    assert message.endswith("--allow-custom (allow_custom) makes custom nodes of them")
    assert "; --layers computes them, --allow-custom" in message


def test_nodes_carry_the_layers_text(tmp_path: Path) -> None:
    net = custom(tmp_path, NET)
    graph = build_forward(net)
    graph.check()
    model = graph.to_model()
    assert {o.domain: o.version for o in model.opset_import} == {"": 18, "vggrepro.caffe": 1}
    odd, python = node(model, "Oddity"), node(model, "Python")
    assert (odd.domain, list(odd.input), list(odd.output)) == ("vggrepro.caffe", ["conv"], ["odd"])
    assert list(python.input) == ["odd"]
    assert attributes(odd) == {"prototxt": ODD.removesuffix("\n").encode(), "bottoms": 1}
    assert b'param_str: "{}"' in attributes(python)["prototxt"]


def test_shapes_are_the_first_bottoms_and_a_warning_says_so(tmp_path: Path) -> None:
    with pytest.warns(UserWarning) as warned:
        net = load_net(write(tmp_path, NET), allow_custom=True, custom_shapes={"py": (0, 7, 0, 5)})
    assert net.shapes["odd"] == (2, 4, 6, 6)
    assert net.shapes["py"] == (2, 7, 6, 5)
    assert net.outputs == {"pool": (2, 7, 3, 3)}
    assert [str(w.message) for w in warned] == [
        "layer 'odd': becomes the custom node vggrepro.caffe::Oddity;"
        " top 'odd' is taken to have its first bottom's shape (2, 4, 6, 6)",
        "layer 'py': becomes the custom node vggrepro.caffe::Python",
    ]


def test_sizes_stay_free_and_are_declared(tmp_path: Path) -> None:
    graph = build_forward(custom(tmp_path, NET, py=(0, 7, 0, 0))).skeleton.graph
    infos = {i.name: i for i in (*graph.value_info, *graph.output)}
    dims = {n: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for n, i in infos.items()}
    assert dims == {"odd": ["N", 4, 0, 0], "py": ["N", 7, 0, 0], "pool": ["N", 7, 0, 0]}


def test_blobs_of_the_weight_file_are_inputs(tmp_path: Path) -> None:
    plain = load_net(write(tmp_path, image(2, 3, 8, 8) + CONV))
    blobs = {"conv": list(plain.params.values()), "odd": [np.full((2, 5), 7, np.float32), np.float32([1, 2])]}
    message = custom(tmp_path, NET).message
    write_caffemodel(tmp_path / "w.caffemodel", message, blobs)
    net = custom(tmp_path, NET, tmp_path / "w.caffemodel")
    assert net.params["odd:0"].shape == (2, 5)
    model = build_forward(net).to_model()
    assert list(node(model, "Oddity").input) == ["conv", "odd:0", "odd:1"]
    assert attributes(node(model, "Oddity"))["bottoms"] == 1
    weights = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    np.testing.assert_array_equal(weights["odd:1"], [1, 2])
    assert "odd:0" in net.loaded


def test_several_bottoms_and_tops_and_in_place(tmp_path: Path) -> None:
    text = (
        image(2, 3, 8, 8)
        + CONV
        + layer("split", "Divide", "conv data", "a b")
        + layer("same", "Swirl", "a", "a")
    )
    net = custom(tmp_path, text, b=(1,))
    assert net.outputs == {"a": (2, 4, 6, 6), "b": (1,)}
    graph = build_forward(net)
    graph.check()
    divide = node(graph.skeleton, "Divide")
    assert list(divide.input) == ["conv", "data"]
    assert len(divide.output) == 2
    assert list(node(graph.skeleton, "Swirl").output) == ["a"]


def test_a_layer_without_bottoms_is_an_input(tmp_path: Path) -> None:
    data = layer("source", "Python", "", "data label", 'python_param { module: "m" layer: "Reader" }')
    with pytest.raises(ShapeError, match="no shape for input 'data'"):
        custom(tmp_path, data + CONV)
    net = custom(tmp_path, data + CONV, data=(1, 3, 9, 9), label=(1,))
    assert net.inputs == {"data": (1, 3, 9, 9), "label": (1,)}
    assert Session(build_forward(net, outputs=["conv"])).run({"data": np.ones((1, 3, 9, 9), np.float32)})


def test_a_layer_without_tops_gives_nothing(tmp_path: Path) -> None:
    sink = layer("sink", "Python", "conv").replace('top: "sink"', 'python_param { module: "m" layer: "Log" }')
    net = custom(tmp_path, image(2, 3, 8, 8) + CONV + sink + layer("relu", "ReLU", "conv"))
    assert not [n for n in build_forward(net).skeleton.graph.node if n.domain]


def test_params_of_a_layer_without_weights_are_no_fault(tmp_path: Path) -> None:
    text = image(2, 3, 8, 8) + CONV + layer("odd", "Oddity", "conv", more="param {} param { lr_mult: 2 }")
    assert custom(tmp_path, text).outputs == {"odd": (2, 4, 6, 6)}


def test_it_can_neither_run_nor_be_judged_nor_learn(tmp_path: Path) -> None:
    net = custom(tmp_path, NET)
    feeds = {"data": np.zeros((2, 3, 8, 8), np.float32)}
    with pytest.raises(UnsupportedError, match=r"no vggrepro\.caffe::Oddity, vggrepro\.caffe::Python"):
        Session(build_forward(net))
    assert Session(build_forward(net, outputs=["conv"])).run(feeds)["conv"].shape == (2, 4, 6, 6)
    with pytest.raises(UnsupportedError, match="layer 'odd': Oddity is a custom node: it has no reference"):
        reference_forward(net, feeds)
    with pytest.raises(
        UnsupportedError, match="layer 'py': Python is a custom node: it has no gradient rule"
    ):
        build_gradient(net)


def test_surgery_keeps_it_before_and_refuses_it_behind(tmp_path: Path) -> None:
    product = layer("fc", "InnerProduct", "pool", more="inner_product_param { num_output: 3 }")
    changed = fully_convolutional(custom(tmp_path, NET + product))
    assert changed.outputs == {"fc": (2, 3, 1, 1)}
    assert node(build_forward(changed).skeleton, "Oddity").input
    behind = custom(tmp_path, NET + product + layer("late", "Oddity", "fc"))
    with pytest.raises(UnsupportedError, match="layer 'late'"):
        fully_convolutional(behind)


def test_a_layer_that_bvlc_caffe_has_is_not_custom(tmp_path: Path) -> None:
    net = custom(tmp_path, image(2, 3, 8, 8) + CONV)
    assert not net.custom
    with pytest.raises(NetError, match="custom shape of 'conv': no custom layer has such a top"):
        custom(tmp_path, image(2, 3, 8, 8) + CONV, conv=(1, 2))


def test_a_shape_that_copies_an_axis_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="layer 'odd': custom shape"):
        custom(tmp_path, NET, odd=(0, 0, 0, 0, 0))


def test_blobs_that_do_not_fit_a_known_layer_stay_errors(tmp_path: Path) -> None:
    message = custom(tmp_path, NET).message
    write_caffemodel(tmp_path / "w.caffemodel", message, {"conv": [np.zeros((9, 9), np.float32)]})
    with pytest.raises(WeightsError, match="conv"):
        custom(tmp_path, NET, tmp_path / "w.caffemodel")


def test_a_shape_error_says_that_a_custom_shape_was_assumed(tmp_path: Path) -> None:
    text = (
        image(1, 3, 8, 8)
        + layer("odd", "Oddity", "data", "rois")
        + layer("roi", "ROIPooling", "data rois", more="roi_pooling_param { pooled_h: 2 pooled_w: 2 }")
    )
    with pytest.raises(
        ShapeError, match=r"custom top 'rois': the first bottom's shape.*--custom-shape rois=300,5"
    ):
        custom(tmp_path, text)
    assert custom(tmp_path, text, rois=(300, 5)).outputs == {"roi": (300, 3, 2, 2)}
