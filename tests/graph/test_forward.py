"""Forward graphs: free sizes, outputs by name, what is left out, checks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT

from vggrepro import to_onnx
from vggrepro.errors import FixedShapeError, NetError, VggReproError
from vggrepro.graph.forward import build_forward
from vggrepro.graph.model import Graph
from vggrepro.graph.reference import reference_forward
from vggrepro.graph.validation import build_validation
from vggrepro.net import Net, load_net
from vggrepro.runtime.session import Session
from vggrepro.verify.reference_case import ReferenceCase


def golden(name: str) -> Net:
    return ReferenceCase(ROOT / "nets" / name).load()


def free(graph: Graph) -> dict[str, list[str]]:
    """The symbols of each input, and nothing for its fixed sizes."""
    return {i.name: [d.dim_param for d in i.type.tensor_type.shape.dim] for i in graph.skeleton.graph.input}


ANY_SIZE = {
    "squeezenet_like": [(2, 3, 64, 47), (1, 3, 35, 90)],
    "googlenet_like": [(2, 3, 64, 47), (1, 3, 61, 90)],
    "mobilenet_like": [(3, 3, 40, 33)],
    "densenet_like": [(3, 3, 40, 50)],
    "fcn_like": [(2, 3, 61, 40)],
    "nin_like": [(1, 3, 51, 44)],
    "senet_like": [(3, 3, 20, 14)],
    "unet_like": [(2, 2, 30, 38)],
    "vgg_a_dense_65x65": [(2, 3, 99, 70)],
    "vgg_a_lrn_dense_75x101": [(2, 3, 70, 81)],
}
"""Nets whose batch, height and width are free, with other input shapes."""

ANY_BATCH = [
    "vgg_a",
    "vgg_a_lrn",
    "vgg_c",
    "vgg_d",
    "alexnet_like",
    "cifar_like",
    "resnet_like",
]
"""Nets whose fully connected layers fix height and width."""


def assert_equal_to_the_reference(net: Net, graph: Graph, shape: tuple[int, ...]) -> None:
    (name,) = net.inputs
    feeds = {name: np.random.default_rng(0).standard_normal(shape, np.float32)}
    got, want = Session(graph, threads=1).run(feeds), reference_forward(net, feeds)
    assert set(got) == set(net.outputs)
    for blob, array in got.items():
        assert array.shape == want[blob].shape
        np.testing.assert_allclose(array, want[blob], rtol=1e-3, atol=2e-5 * np.abs(want[blob]).max())


@pytest.mark.parametrize(("name", "shape"), [(n, s) for n, shapes in ANY_SIZE.items() for s in shapes])
def test_any_size(name: str, shape: tuple[int, ...]) -> None:
    net = golden(name)
    graph = build_forward(net)
    graph.check()
    (symbols,) = free(graph).values()
    assert symbols == ["N", "", "H", "W"]
    assert_equal_to_the_reference(net, graph, shape)


@pytest.mark.parametrize("name", ANY_BATCH)
def test_any_batch(name: str) -> None:
    net = golden(name)
    graph = build_forward(net)
    graph.check()
    ((blob, symbols),) = free(graph).items()
    assert symbols == ["N", "", "", ""]
    assert_equal_to_the_reference(net, graph, (5, *net.inputs[blob][1:]))


def net_of(folder: Path, text: str, *shapes: tuple[int, ...]) -> Net:
    """A net with inputs x, y, ... of these shapes."""
    inputs = "".join(
        f'layer {{ name: "{n}" type: "Input" top: "{n}" input_param {{ shape {{'
        f" {' '.join(f'dim: {d}' for d in shape)} }} }} }}\n"
        for n, shape in zip("xyz", shapes, strict=False)
    )
    path = folder / "net.prototxt"
    path.write_text(inputs + text)
    return load_net(path)


def layer(name: str, kind: str, bottoms: str, more: str = "", top: str = "") -> str:
    wires = " ".join(f'bottom: "{b}"' for b in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {wires} top: "{top or name}" {more} }}\n'


CONV = layer("c", "Convolution", "x", "convolution_param { num_output: 4 kernel_size: 3 stride: 2 }")
GLOBAL = layer("p", "Pooling", "c", "pooling_param { pool: AVE global_pooling: true }")
PRODUCT = 'inner_product_param { num_output: 3 weight_filler { type: "xavier" } }'


def test_global_pooling_before_a_fully_connected_layer_frees_the_size(tmp_path: Path) -> None:
    net = net_of(tmp_path, CONV + GLOBAL + layer("fc", "InnerProduct", "p", PRODUCT), (2, 3, 30, 41))
    graph = build_forward(net)
    assert free(graph) == {"x": ["N", "", "H", "W"]}
    assert_equal_to_the_reference(net, graph, (3, 3, 21, 16))


def test_a_layer_that_needs_its_size_fixes_it(tmp_path: Path) -> None:
    spp = layer("s", "SPP", "x", "spp_param { pyramid_height: 2 }")
    graph = build_forward(net_of(tmp_path, spp, (2, 3, 6, 5)))
    assert free(graph) == {"x": ["N", "", "", ""]}
    graph.check()


def test_states_fix_the_batch() -> None:
    assert not any(any(symbols) for symbols in free(build_forward(golden("lstm_captioner"))).values())


def test_a_layer_for_one_image_fixes_the_batch(tmp_path: Path) -> None:
    """It refuses the sizes that are tried, as not implemented."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: 1 dim: 35 dim: 5 dim: 5 }'
        ' layer { name: "y" type: "YoloDetectionOutput" bottom: "x" top: "y"'
        " yolo_detection_output_param { num_classes: 2 biases: [1, 2, 3, 4, 5, 6, 7, 8, 9, 9] } }"
    )
    assert free(build_forward(load_net(path))) == {"x": [""] * 4}
    assert free(build_validation(load_net(path))) == {"x": [""] * 4}


def test_fixed_keeps_the_nets_own_sizes() -> None:
    assert not any(any(symbols) for symbols in free(build_forward(golden("vgg_a"), fixed=True)).values())


def test_inputs_of_one_batch_share_its_symbol(tmp_path: Path) -> None:
    text = layer("s", "Eltwise", "x y") + layer("i", "InnerProduct", "z", PRODUCT)
    net = net_of(tmp_path, text, (2, 3, 6, 5), (2, 3, 6, 5), (2, 7))
    assert free(build_forward(net)) == {"x": ["N", "", "H", "W"], "y": ["N", "", "H", "W"], "z": ["N", ""]}


def test_inputs_of_other_batches_and_sizes_have_their_own(tmp_path: Path) -> None:
    text = layer("a", "ReLU", "x") + layer("b", "ReLU", "y")
    net = net_of(tmp_path, text, (2, 3, 6, 5), (3, 3, 6, 9))
    graph = build_forward(net)
    assert free(graph) == {"x": ["N", "", "H", "W"], "y": ["N_y", "", "H", "W_y"]}
    graph.check()


def test_a_fully_convolutional_model_that_cannot_be(tmp_path: Path) -> None:
    text = layer("fc", "InnerProduct", "x", PRODUCT) + layer(
        "s", "SPP", "x", "spp_param { pyramid_height: 2 }"
    )
    with pytest.raises(FixedShapeError):
        build_forward(net_of(tmp_path, text, (2, 3, 6, 5)), fully_convolutional=True)


IN_PLACE = (
    layer("a", "Power", "x", "power_param { shift: 1 }")
    + layer("r", "ReLU", "a", top="a")
    + layer("b", "Power", "a", "power_param { scale: 2 }")
)


def test_a_blob_changed_in_place_means_its_last_value(tmp_path: Path) -> None:
    net = net_of(tmp_path, IN_PLACE, (1, 2))
    x = np.float32([[-3, 4]])
    got = Session(build_forward(net, outputs=["a", "b"])).run({"x": x})
    np.testing.assert_array_equal(got["a"], [[0, 5]])
    np.testing.assert_array_equal(got["b"], [[0, 10]])


def test_an_input_changed_in_place_keeps_its_name_for_the_input(tmp_path: Path) -> None:
    net = net_of(tmp_path, layer("r", "ReLU", "x", top="x") + layer("b", "Power", "x"), (1, 2))
    graph = build_forward(net, outputs=["x", "b"])
    graph.check()
    assert graph.input_names == ["x"]
    assert graph.output_names == ["x#r", "b"]
    got = Session(graph).run({"x": np.float32([[-3, 4]])})
    np.testing.assert_array_equal(got["x#r"], [[0, 4]])


def test_an_input_may_be_an_output(tmp_path: Path) -> None:
    net = net_of(tmp_path, layer("s", "Split", "x"), (1, 2))
    graph = build_forward(net, outputs=["s"])
    graph.check()
    np.testing.assert_array_equal(Session(graph).run({"x": np.float32([[-3, 4]])})["s"], [[-3, 4]])


def test_every_blob_may_be_asked_for() -> None:
    net = golden("googlenet_like")
    blobs = [blob for blob in net.blobs if blob not in net.inputs]
    graph = build_forward(net, outputs=blobs)
    graph.check()
    assert graph.output_names == blobs
    twice = build_forward(net, outputs=[blobs[3], blobs[3]])
    assert twice.output_names == [blobs[3]]


def test_unknown_outputs_and_none(tmp_path: Path) -> None:
    net = golden("vgg_a")
    with pytest.raises(NetError, match="no blob 'fc9' to output; it has data, conv1_1"):
        to_onnx(net, outputs=["prob", "fc9"])
    with pytest.raises(NetError, match="no blob to output"):
        to_onnx(net, outputs=[])


def test_what_silence_alone_reads_is_returned_where_nothing_else_is(tmp_path: Path) -> None:
    """The published colorization net ends with Silence on its result."""
    path = tmp_path / "silent.prototxt"
    layers = """layer { name: "x" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "a" type: "AbsVal" bottom: "x" top: "a" }
        layer { name: "b" type: "AbsVal" bottom: "a" top: "b" }
        layer { name: "c" type: "AbsVal" bottom: "a" top: "c" }
        layer { name: "quiet" type: "Silence" bottom: "b" bottom: "y" bottom: "a" }"""
    path.write_text(layers)
    net = load_net(path)
    assert list(net.outputs) == list(net.returned) == ["c"]
    path.write_text(layers + 'layer { name: "hush" type: "Silence" bottom: "c" }')
    net = load_net(path)
    assert list(net.outputs) == []
    assert net.returned == {"b": (2, 3), "c": (2, 3)}
    assert [o.name for o in to_onnx(net).graph.output] == ["b", "c"]


def test_what_the_outputs_do_not_need_is_left_out() -> None:
    net = golden("googlenet_like_train")
    model = to_onnx(net, outputs=["pool1/norm1"])
    assert {i.name for i in model.graph.initializer if ":" in i.name} == {"conv1/7x7_s2:0", "conv1/7x7_s2:1"}
    assert [i.name for i in model.graph.input] == ["data", "label"]
    feeds = {"data": np.zeros(net.inputs["data"], np.float32)}
    graph = build_forward(net, outputs=["pool1/norm1"])
    assert set(Session(graph).run(feeds)) == {"pool1/norm1"}


def test_moved_statistics_are_always_outputs() -> None:
    net = ReferenceCase(ROOT / "layers" / "bn_train").load()
    names = {o.name for o in to_onnx(net).graph.output}
    assert {n for n in names if n.startswith("next:")} == {
        f"next:{p.name}:{i}" for p in net.layers if p.layer.type == "BatchNorm" for i in range(3)
    }


def test_names_of_blobs_that_generated_names_might_take(tmp_path: Path) -> None:
    text = layer("r", "ReLU", "x", top="const_0") + layer(
        "p", "Power", "const_0", "power_param { scale: 3 }", top="p/Mul"
    )
    net = net_of(tmp_path, text, (1, 2))
    graph = build_forward(net, outputs=["const_0", "p/Mul"])
    graph.check()
    got = Session(graph).run({"x": np.float32([[-3, 4]])})
    np.testing.assert_array_equal(got["p/Mul"], [[0, 12]])


def test_two_models_of_one_net_are_the_same_bytes() -> None:
    net = golden("resnet_like")
    assert to_onnx(net).SerializeToString(deterministic=True) == to_onnx(net).SerializeToString(
        deterministic=True
    )


def test_the_net_is_left_alone() -> None:
    net = golden("vgg_a")
    before = {key: array.copy() for key, array in net.params.items()}
    to_onnx(net, fully_convolutional=True)
    assert net.shapes["fc6"] == (1, 32)
    for key, array in before.items():
        np.testing.assert_array_equal(net.params[key], array)


def test_a_size_that_no_layer_takes_is_an_error_not_a_graph(tmp_path: Path) -> None:
    with pytest.raises(VggReproError, match="layer 'c'"):
        net_of(tmp_path, CONV, (1, 3, 1, 1))


def test_blobs_called_as_parameters_are(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 } } }
        layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc:0"
            inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
        layer { name: "last" type: "InnerProduct" bottom: "fc:0" top: "last:1"
            inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }"""
    )
    net = load_net(path)
    weight, bias, last, last_bias = net.params.values()
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    expected = (x @ weight.T + bias) @ last.T + last_bias
    (found,) = Session(build_forward(net)).run({"x": x}).values()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert {"fc:0'", "fc:1"} <= {tensor.name for tensor in to_onnx(net).graph.initializer}
