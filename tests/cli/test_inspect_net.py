"""The figures of nets: Table 2's parameters, multiply-accumulates, receptive fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from golden_suite import ROOT

from vggrepro.cli.inspect_net import main

REPOSITORY = Path(__file__).parents[2]

PARAMETERS = {
    "A": 132_863_336,
    "A-LRN": 132_863_336,
    "B": 133_047_848,
    "C": 133_638_952,
    "D": 138_357_544,
    "E": 143_667_240,
    "B-5x5": 134_503_528,
}


def inspected(folder: Path, prototxt: Path | str, *options: str) -> dict[str, Any]:
    if isinstance(prototxt, str):
        (folder / "net.prototxt").write_text(prototxt)
        prototxt = folder / "net.prototxt"
    assert main([str(prototxt), "--json", str(folder / "r.json"), *options]) == 0
    return json.loads((folder / "r.json").read_text())


def rows(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in report["layers"]}


@pytest.mark.parametrize("config", PARAMETERS)
@pytest.mark.parametrize("kind", ["deploy", "train_val"])
def test_parameters_of_table_2(config: str, kind: str, tmp_path: Path) -> None:
    report = inspected(tmp_path, REPOSITORY / "prototxt" / config / f"{kind}.prototxt")
    assert report["totals"]["parameters"] == PARAMETERS[config]


def test_vgg16(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deploy = REPOSITORY / "prototxt" / "D" / "deploy.prototxt"
    report = inspected(tmp_path, deploy, "--input-shape", "data=1,3,224,224")
    by_name = rows(report)
    assert report["inputs"] == {"data": [1, 3, 224, 224]}
    assert report["totals"]["macs"] == 15_470_264_320
    assert by_name["conv1_1"] == {
        "name": "conv1_1",
        "type": "Convolution",
        "shape": [1, 64, 224, 224],
        "parameters": 64 * 3 * 9 + 64,
        "macs": 64 * 3 * 9 * 224 * 224,
        "bytes": 4 * 64 * 224 * 224,
        "field": [3, 3],
        "stride": [1, 1],
    }
    assert (by_name["pool5"]["field"], by_name["pool5"]["stride"]) == ([212, 212], [32, 32])
    assert by_name["fc6"]["field"] == by_name["prob"]["field"] == [404, 404]
    assert by_name["relu1_1"]["bytes"] == 0
    printed = capsys.readouterr().out
    assert "data 1x3x224x224" in printed
    assert "138,357,544" in printed
    assert "15,470,264,320" in printed


def test_the_batch_counts(tmp_path: Path) -> None:
    deploy = REPOSITORY / "prototxt" / "A" / "deploy.prototxt"
    one = inspected(tmp_path, deploy, "--input-shape", "data=1,3,224,224")["totals"]
    ten = inspected(tmp_path, deploy)["totals"]
    assert ten["macs"] == 10 * one["macs"]
    assert ten["bytes"] == 10 * one["bytes"]
    assert ten["parameters"] == one["parameters"]


HEAD = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 4 dim: 20 dim: 16 } } }\n'


def layer(name: str, kind: str, bottoms: str, more: str = "") -> str:
    wires = " ".join(f'bottom: "{b}"' for b in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {wires} top: "{name}" {more} }}\n'


def conv(name: str, bottom: str, more: str) -> str:
    return layer(name, "Convolution", bottom, f"convolution_param {{ num_output: 4 {more} }}")


PRODUCT = "inner_product_param { num_output: 5 }"
FIELDS = {
    "rectangle": (conv("c", "d", "kernel_h: 3 kernel_w: 5 stride_h: 2 stride_w: 1"), "c", [3, 5], [2, 1]),
    "dilation": (conv("c", "d", "kernel_size: 3 dilation: 4"), "c", [9, 9], [1, 1]),
    "strides_multiply": (
        conv("a", "d", "kernel_size: 3 stride: 2") + conv("c", "a", "kernel_size: 3 stride: 3"),
        "c",
        [7, 7],
        [6, 6],
    ),
    "widest_branch": (
        conv("a", "d", "kernel_size: 1")
        + conv("b", "d", "kernel_size: 5 pad: 2")
        + layer("c", "Concat", "a b"),
        "c",
        [5, 5],
        [1, 1],
    ),
    "global_pooling": (
        conv("a", "d", "kernel_size: 3 pad: 1")
        + layer("c", "Pooling", "a", "pooling_param { global_pooling: true }"),
        "c",
        [22, 18],
        [1, 1],
    ),
    "lrn_within_channel": (
        layer("c", "LRN", "d", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 5 }"),
        "c",
        [5, 5],
        [1, 1],
    ),
    "lrn_across_channels": (layer("c", "LRN", "d", "lrn_param { local_size: 5 }"), "c", [1, 1], [1, 1]),
    "im2col": (
        layer("c", "Im2col", "d", "convolution_param { kernel_size: 3 stride: 2 }"),
        "c",
        [3, 3],
        [2, 2],
    ),
    "product": (layer("c", "InnerProduct", "d", PRODUCT), "c", [20, 16], [1, 1]),
    "flattened_product": (
        conv("a", "d", "kernel_size: 3 pad: 1 stride: 2")
        + layer("f", "Flatten", "a")
        + layer("r", "ReLU", "f")
        + layer("g", "InnerProduct", "r", PRODUCT)
        + layer("c", "InnerProduct", "g", PRODUCT),
        "c",
        [21, 17],
        [2, 2],
    ),
    "flatten": (conv("a", "d", "kernel_size: 3") + layer("c", "Flatten", "a"), "c", [3, 3], [1, 1]),
    "reduction": (layer("c", "Reduction", "d", "reduction_param { axis: 1 }"), "c", None, None),
    "deconvolution": (
        layer("c", "Deconvolution", "d", "convolution_param { num_output: 2 kernel_size: 4 stride: 2 }"),
        "c",
        None,
        None,
    ),
    "behind_deconvolution": (
        layer("u", "Deconvolution", "d", "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }")
        + layer("c", "Eltwise", "u d"),
        "c",
        None,
        None,
    ),
    "mvn": (layer("c", "MVN", "d"), "c", None, None),
    "other_axis": (conv("c", "d", "kernel_size: 3 axis: 2"), "c", None, None),
}


@pytest.mark.parametrize("name", FIELDS)
def test_receptive_fields(name: str, tmp_path: Path) -> None:
    text, top, field, stride = FIELDS[name]
    row = rows(inspected(tmp_path, HEAD + text))[top]
    assert (row["field"], row["stride"]) == (field, stride)


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "nets").iterdir()))
def test_every_golden_net(name: str, tmp_path: Path) -> None:
    about = json.loads((ROOT / "nets" / name / "case.json").read_text())
    options = ["--phase", about["phase"], "--level", str(about.get("level", 0))]
    options += [o for stage in about.get("stages", []) for o in ("--stage", stage)]
    report = inspected(tmp_path, ROOT / "nets" / name / "net.prototxt", *options)
    # Caffe counts the Split layers that it puts in itself.
    layers = [layer for layer in about["layers"] if not layer[0].endswith("_split")]
    assert [[row["name"], row["type"]] for row in report["layers"]] == layers
    assert report["totals"]["parameters"] > 0 or not about["has_params"]


def test_a_shared_parameter_counts_once(tmp_path: Path) -> None:
    shared = 'param { name: "w" } param { name: "b" } inner_product_param { num_output: 1280 }'
    text = layer("a", "InnerProduct", "d", shared) + layer("b", "InnerProduct", "a", shared)
    report = inspected(tmp_path, HEAD + text)
    assert [row["parameters"] for row in report["layers"]] == [0, 1280 * 1281, 0]


HOSTILE = r"""
name: "n\033]0;title\007"
layer { name: "d\033[2J" type: "Input" top: "d\033[2J" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "r\033[31m" type: "ReLU" bottom: "BOTTOM" top: "y\nerror: fake" }
"""


def test_names_cannot_command_the_terminal(tmp_path, capsys):
    path = tmp_path / "net.prototxt"
    path.write_text(HOSTILE.replace("BOTTOM", r"d\033[2J"))
    assert main([str(path)]) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert printed.out.startswith(r"n\x1b]0;title\x07: d\x1b[2J 1x3")
    path.write_text(HOSTILE.replace("BOTTOM", r"absent\033[2J\nerror: fake"))
    assert main([str(path)]) == 2
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert printed.err.count("\n") == 1


def test_weights_that_are_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = ROOT / "nets" / "resnet_like" / "net.prototxt"
    assert main([str(net), str(net.with_name("weights.caffemodel"))]) == 0
    for name, told in (
        (tmp_path / "w.caffemodel", "No such file"),
        (net, "a text file, expected one of Caffe's"),
    ):
        capsys.readouterr()
        assert main([str(net), str(name)]) == 2
        assert capsys.readouterr().err.startswith(f"error: {name}: {told}")
