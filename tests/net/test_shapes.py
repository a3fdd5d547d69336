"""Shapes of a net's values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from net_files import image, layer, net_of

from vggrepro.caffe.text import parse_net
from vggrepro.emit import Shape
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Layer, Shapes, exactly
from vggrepro.net.net import build
from vggrepro.net.shapes import check_sizes, infer_shapes, probe

DATA = """layer { name: "d" type: "Data" top: "data" top: "label"
  data_param { batch_size: 4 } transform_param { crop_size: 5 } }"""


def test_a_batch_given_for_one_top_of_a_data_layer_holds_for_the_others() -> None:
    net = build(parse_net(DATA), "TRAIN", {"data": (7, 3, 5, 5)})
    assert net.inputs == {"data": (7, 3, 5, 5), "label": (7,)}


def test_the_tops_of_an_input_layer_have_batches_of_their_own() -> None:
    text = 'layer { name: "i" type: "Input" top: "a" top: "b" input_param { shape { dim: 4 dim: 2 } } }'
    assert build(parse_net(text), "TEST", {"a": (7, 2)}).inputs == {"a": (7, 2), "b": (4, 2)}


def test_the_tops_of_dummy_data_have_one_batch() -> None:
    shapes = "shape { dim: 4 dim: 2 } shape { dim: 4 } shape { dim: 3 }"
    text = f"""layer {{ name: "d" type: "DummyData" top: "a" top: "b" top: "c"
        dummy_data_param {{ {shapes} data_filler {{ type: "gaussian" }} }} }}"""
    assert build(parse_net(text), "TEST", {"a": (7, 5)}).inputs == {"a": (7, 5), "b": (7,), "c": (3,)}


def test_a_source_of_another_class_takes_the_shapes_that_are_given() -> None:
    text = 'layer { name: "d" type: "Own" top: "a" top: "b" }'

    class Own(Layer[None]):
        source = True
        bottoms, tops = exactly(0), exactly(2)

        @classmethod
        def from_param(cls, param: Any, phase: int) -> Own:
            return cls()

        def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
            return ()

        emit = reference = None  # type: ignore[assignment]

    def shapes_of(given: dict[str, Shape]) -> dict[str, Shape]:
        return dict(build(parse_net(text), "TEST", given, {"d": Own()}).inputs)

    assert shapes_of({"a": (7, 2), "b": (1,)}) == {"a": (7, 2), "b": (1,)}
    with pytest.raises(ShapeError, match="no shape for input 'b'"):
        shapes_of({"a": (7, 2)})
    with pytest.raises(ShapeError, match="no shape for input 'a', 'b': give each"):
        shapes_of({})


def test_an_input_without_a_shape_is_named() -> None:
    with pytest.raises(ShapeError, match=r"^layer 'i': no shape for input 'a': give it as an input shape"):
        build(parse_net('layer { name: "i" type: "Input" top: "a" }'), "TEST")


def test_labels_follow_from_the_shape_of_images_where_the_definition_tells_neither() -> None:
    text = DATA.replace("transform_param { crop_size: 5 }", "")
    assert build(parse_net(text), "TRAIN", {"data": (7, 1, 5, 6)}).inputs == {
        "data": (7, 1, 5, 6),
        "label": (7,),
    }
    maps = text.replace('"Data"', '"ImageSegData"')
    assert build(parse_net(maps), "TRAIN", {"data": (2, 3, 5, 6)}).inputs["label"] == (2, 1, 5, 6)
    images = r"no shape for input 'data' \(batch_size and .*\): give it .* \(--input-shape data=N,C,H,W\)$"
    with pytest.raises(ShapeError, match=images):
        build(parse_net(text), "TRAIN")
    files = DATA.replace('"Data"', '"HDF5Data"').replace("transform_param { crop_size: 5 }", "")
    each = r"input 'data', 'label' \(its files .*\(--input-shape data=\S* --input-shape label=\S*\)$"
    with pytest.raises(ShapeError, match=each):
        build(parse_net(files), "TRAIN")


def test_shapes_follow_the_layers(tmp_path: Path) -> None:
    net = net_of(
        tmp_path, image(1, 3, 8, 8) + layer("r", "ReLU", "data", "data") + layer("f", "Flatten", "data")
    )
    assert infer_shapes(net.layers, {"data": (2, 3, 4, 4)}) == {
        "data": (2, 3, 4, 4),
        "data#r": (2, 3, 4, 4),
        "f": (2, 48),
    }


def test_probes_change_images_and_batches_alone() -> None:
    inputs = {"data": (2, 3, 8, 9), "label": (2, 1)}
    assert probe(inputs, {0, 2, 3}, 10) == {"data": (12, 3, 18, 19), "label": (12, 1)}
    assert probe(inputs, {2, 3}, 10) == {"data": (2, 3, 18, 19), "label": (2, 1)}


def test_blobs_have_at_most_int_max_elements(tmp_path: Path) -> None:
    net = net_of(tmp_path, image(1, 3, 8, 8) + layer("r", "ReLU", "data"))
    check_sizes(net.layers, net.shapes)
    with pytest.raises(ShapeError, match=r"^layer 'r': blob size exceeds INT_MAX: top 'r' would have shape"):
        check_sizes(net.layers, {**net.shapes, "r": (2**16, 2**15)})
