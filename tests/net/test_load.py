"""Weights that do not fit a net are refused in Caffe's words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from net_files import image, layer

from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.caffe.text import parse_net
from vggrepro.errors import (
    NetError,
    ParseError,
    ShapeError,
    UnknownFieldError,
    UnsupportedError,
    WeightsError,
)
from vggrepro.net import load_net

NET = """
layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: {inputs} }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param {{ num_output: 3 }} }}
"""


def test_shapes_are_told_as_caffe_prints_them(tmp_path: Path) -> None:
    weights = [np.zeros((3, 4), np.float32), np.zeros(3, np.float32)]
    write_caffemodel(tmp_path / "w.caffemodel", parse_net(NET.format(inputs=4)), {"ip": weights})
    (tmp_path / "net.prototxt").write_text(NET.format(inputs=5))
    text = (
        "Cannot copy param 0 weights from layer 'ip'; shape mismatch.  Source param shape is 3 4 (12);"
        " target param shape is 3 5 (15). To learn this layer's parameters from scratch rather than"
        " copying from a saved net, rename the layer."
    )
    with pytest.raises(WeightsError, match=re.escape(text)):
        load_net(tmp_path / "net.prototxt", tmp_path / "w.caffemodel")


def test_inputs_without_sizes_take_the_given_ones(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text('\ufeffinput: "data" layer { name: "r" type: "ReLU" bottom: "data" top: "r" }', "utf-8")
    assert load_net(path, input_shapes={"data": (1, 3, 4, 5)}).outputs == {"r": (1, 3, 4, 5)}
    with pytest.raises(ShapeError, match=r"net\.prototxt: input 'data' has no sizes: give them"):
        load_net(path)


@pytest.mark.parametrize("shape", [(1, 3, 4.5, 5), "abc", 3, (1, None)])
def test_sizes_are_whole_numbers(tmp_path: Path, shape: Any) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(image(1, 3, 4, 5))
    with pytest.raises(NetError, match="input_shapes: 'data': expected whole numbers, got "):
        load_net(path, input_shapes={"data": shape})
    assert load_net(path, input_shapes={"data": np.array([2, 3, 4, 5])}).inputs == {"data": (2, 3, 4, 5)}


def test_the_letters_of_a_stage_are_no_stages(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(image(1, 3, 4, 5))
    with pytest.raises(NetError, match="stages must be a list of names, got 'deploy'"):
        load_net(tmp_path / "net.prototxt", stages="deploy")


def test_a_blob_without_elements_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 2 dim: 0 dim: 4 } } }'
    )
    with pytest.raises(ShapeError, match=r"net\.prototxt: layer 'd': top 'd' would have no elements"):
        load_net(path)
    assert load_net(path, input_shapes={"d": (1, 2, 3, 4)}).inputs == {"d": (1, 2, 3, 4)}


def saved_net(folder: Path, *names: str) -> Path:
    """A weight file with an InnerProduct layer of each name."""
    net = NetParameter(name="w")
    for name in names:
        net.layer.add(name=name, type="InnerProduct")
    write_caffemodel(folder / "w.caffemodel", net, {name: [np.full((2, 2), 7.0)] for name in names})
    return folder / "w.caffemodel"


def two_products(folder: Path) -> Path:
    more = "inner_product_param { num_output: 2 bias_term: false }"
    path = folder / "net.prototxt"
    path.write_text(
        image(1, 2)
        + layer("a", "InnerProduct", "data", more=more)
        + layer("b", "InnerProduct", "a", more=more)
    )
    return path


def test_source_layers_that_are_ignored_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"w\.caffemodel: Ignoring source layer x, y: not in the net"
    ) as told:
        load_net(two_products(tmp_path), saved_net(tmp_path, "a", "x", "b", "y"))
    assert len(told) == 1


def test_a_file_of_which_nothing_is_copied(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"w\.caffemodel: NOTHING is copied: .* \(x, y\)"):
        net = load_net(two_products(tmp_path), saved_net(tmp_path, "x", "y"))
    assert net.loaded == frozenset()


@pytest.mark.filterwarnings("error")
def test_files_that_fit_are_quiet(tmp_path: Path) -> None:
    load_net(two_products(tmp_path), saved_net(tmp_path, "a", "b"))


def test_a_file_with_a_layer_twice(tmp_path: Path) -> None:
    path = saved_net(tmp_path, "a", "b")
    path.write_bytes(path.read_bytes() + NetParameter(layer=[repeated()]).SerializeToString())
    with pytest.warns(UserWarning, match="several layers are called a: the last one's values stay"):
        net = load_net(two_products(tmp_path), path)
    np.testing.assert_array_equal(net.params["a:0"], np.zeros((2, 2)))


def repeated() -> Any:
    again = NetParameter().layer.add(name="a", type="InnerProduct")
    blob = again.blobs.add(data=[0, 0, 0, 0])
    blob.shape.dim.extend([2, 2])
    return again


def write(folder: Path, text: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text(text)
    return path


FORK_DATA = """
layer { name: "data" type: "AnnotatedData" top: "data" top: "label" include { phase: TRAIN }
  transform_param { resize_param { height: 8 width: 9 } emit_constraint { emit_type: CENTER } }
  data_param { batch_size: 4 backend: ANNOTATED } annotated_data_param { label_map_file: "x" } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 } }
"""


def test_data_layers_of_forks_are_inputs_whatever_fields_they_have(tmp_path: Path) -> None:
    path = write(tmp_path, FORK_DATA)
    net = load_net(path, phase="TRAIN", input_shapes={"label": (1, 1, 5, 8)})
    assert net.inputs == {"data": (4, 3, 8, 9), "label": (1, 1, 5, 8)}
    assert net.shapes["conv"] == (4, 2, 6, 7)
    with pytest.raises(
        ShapeError, match=r"layer 'data': no shape for input 'label'.*--input-shape label=N,C,H,W"
    ):
        load_net(path, phase="TRAIN")
    path = write(tmp_path, FORK_DATA.replace("num_output: 2", "num_output: 2 odd: 1"))
    with pytest.raises(UnknownFieldError, match=r':6:37: .*"odd"'):
        load_net(path, phase="TRAIN")


def test_v1_data_layers_of_forks_too(tmp_path: Path) -> None:
    text = (
        'layers { name: "d" type: VIDEO_DATA top: "data" top: "label" clip_param { length: 3 } }'
        'layers { name: "r" type: RELU bottom: "data" top: "r" }'
    )
    net = load_net(write(tmp_path, text), input_shapes={"data": (2, 3, 4, 5), "label": (2,)})
    assert net.inputs == {"data": (2, 3, 4, 5), "label": (2,)}
    assert net.outputs == {"r": (2, 3, 4, 5), "label": (2,)}


def test_python_layers_without_bottoms_are_inputs(tmp_path: Path) -> None:
    text = (
        'layer { name: "d" type: "Python" top: "data" python_param { module: "m" layer: "Reader" } }'
        + layer("r", "ReLU", "data")
    )
    assert load_net(write(tmp_path, text), input_shapes={"data": (1, 2)}).inputs == {"data": (1, 2)}


def test_unknown_fields_say_what_helps(tmp_path: Path) -> None:
    path = write(tmp_path, image(1, 2) + layer("r", "ReLU", "data", more="relu_param { engine: MKL2017 }"))
    with pytest.raises(
        ParseError, match=r"no value named MKL2017.*\(--allow-unknown \(allow_unknown\) leaves"
    ):
        load_net(path)
    with pytest.warns(UserWarning, match="ReLUParameter.engine: MKL2017") as caught:
        load_net(path, allow_unknown=True)
    assert [warning.filename for warning in caught] == [__file__]


def test_unsupported_layers_are_grouped_in_one_short_line(tmp_path: Path) -> None:
    text = image(1, 2)
    for number in range(90):
        text += layer(f"odd{number}", ("Oddity", "Rarity", "ReLu")[number % 3], "data")
    path = write(tmp_path, text)
    with pytest.raises(UnsupportedError) as caught:
        load_net(path)
    message = str(caught.value).removeprefix(f"{path}: ")
    assert message == (
        "layers 'odd0', 'odd3', 'odd6' and 27 more: Unknown layer type: Oddity; layers 'odd1', 'odd4', 'odd7'"
        " and 27 more: Unknown layer type: Rarity; and 1 more; --layers computes them,"
        " --allow-custom (allow_custom) makes custom nodes of them"
    )
    many = image(1, 2) + "".join(layer(f"x{n}", f"Type{n}", "data") for n in range(271))
    with pytest.raises(UnsupportedError) as caught:
        load_net(write(tmp_path, many))
    assert len(str(caught.value)) < 300 + len(str(path))
    one = image(1, 2) + layer("r", "ReLu", "data")
    with pytest.raises(
        UnsupportedError, match=r"layer 'r': Unknown layer type: ReLu; did you mean 'ReLU'\?; --layers"
    ):
        load_net(write(tmp_path, one))


def test_allowed_unknown_fields_leave_unknown_types_to_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, image(1, 2) + layer("o", "Oddity", "data", more="odd_param { a: 1 }"))
    with pytest.raises(UnsupportedError, match="layer 'o': Unknown layer type: Oddity; --layers computes"):
        load_net(path, allow_unknown=True)


def test_averages_of_a_mean_for_images_of_another_size(tmp_path: Path) -> None:
    """FlowNet's DataAugmentation; the number of channels must be the same."""
    text = (
        'layer {{ name: "i" type: "Input" top: "x" input_param {{ shape {{ dim: [1, {}, 3, 4] }} }} }}'
        'layer {{ name: "a" type: "DataAugmentation" bottom: "x" top: "y"'
        " augmentation_param {{ recompute_mean: 9 }} }}"
    )
    means = np.arange(2 * 5 * 2, dtype=np.float32).reshape(1, 2, 5, 2)
    blobs = [np.ones((1, 1, 1, 1), np.float32), means, np.zeros((1, 2, 1, 1), np.float32)]
    path, weights = tmp_path / "net.prototxt", tmp_path / "w.caffemodel"
    write_caffemodel(weights, parse_net(text.format(2)), {"a": blobs})
    path.write_text(text.format(2))
    net = load_net(path, weights)
    places = net.params[net.layers[1].params[1].key]
    np.testing.assert_array_equal(places, np.broadcast_to([[[[4.5]], [[14.5]]]], (1, 2, 3, 4)))
    path.write_text(text.format(3))
    with pytest.raises(WeightsError, match="Cannot copy param 1 weights from layer 'a'"):
        load_net(path, weights)
