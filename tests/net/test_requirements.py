"""What a use of a net requires of it."""

from pathlib import Path

import pytest

from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.errors import NetError
from vggrepro.net import Net, load_net
from vggrepro.net.requirements import layers_without_weights, picture_and_label_inputs, picture_input

CONV = 'layer {{ name: "{0}" type: "Convolution" bottom: "x" top: "{0}"'


def convolution(name: str) -> str:
    return f"{CONV.format(name)} convolution_param {{ num_output: 1 kernel_size: 1 }} }}\n"


def net_with(folder: Path, inputs: dict[str, str], layers: str = "", weights: Path | None = None) -> Net:
    shapes = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{'
        + " ".join(f"dim: {size}" for size in sizes.split())
        + " } } }\n"
        for name, sizes in inputs.items()
    )
    path = folder / "net.prototxt"
    path.write_text(f'name: "n"\n{shapes}{layers}')
    return load_net(path, weights)


def test_layers_that_no_file_gives_weights_are_named_in_order(tmp_path: Path) -> None:
    inputs, layers = {"x": "1 3 4 4"}, convolution("a") + convolution("b")
    assert layers_without_weights(net_with(tmp_path, inputs, layers)) == ["a", "b"]
    other = net_with(tmp_path, inputs, convolution("b"))
    write_caffemodel(tmp_path / "w.caffemodel", other.message, {"b": [*other.params.values()]})
    loaded = net_with(tmp_path, inputs, layers, tmp_path / "w.caffemodel")
    assert layers_without_weights(loaded) == ["a"]


def test_the_only_input_takes_pictures(tmp_path: Path) -> None:
    assert picture_input(net_with(tmp_path, {"x": "2 3 5 5"})) == "x"


@pytest.mark.parametrize(
    "inputs", [{"x": "1 3 5 6"}, {"x": "1 4 5 5"}, {"x": "1 3"}, {"x": "1 3 5 5", "y": "1"}]
)
def test_inputs_that_are_not_one_square_picture(tmp_path: Path, inputs: dict[str, str]) -> None:
    with pytest.raises(NetError, match=r"net 'n': inputs .*; expected one \(N, 3, side, side\)"):
        picture_input(net_with(tmp_path, inputs))


@pytest.mark.parametrize("labels", ["2", "2 1 1 1"])
def test_pictures_and_labels_in_any_order(tmp_path: Path, labels: str) -> None:
    assert picture_and_label_inputs(net_with(tmp_path, {"x": "2 3 5 5", "y": labels})) == ("x", "y")
    assert picture_and_label_inputs(net_with(tmp_path, {"y": labels, "x": "2 3 5 5"})) == ("x", "y")


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": "2 3 5 5"},
        {"x": "2 3 5 5", "y": "2 7"},
        {"x": "2 3 5 5", "y": "2 3 5 5"},
        {"x": "2 3 5 5", "y": "2", "z": "2"},
    ],
)
def test_inputs_that_are_not_pictures_and_labels(tmp_path: Path, inputs: dict[str, str]) -> None:
    with pytest.raises(NetError, match=r"expected pictures \(N, 3, side, side\) and labels \(N\)"):
        picture_and_label_inputs(net_with(tmp_path, inputs))
