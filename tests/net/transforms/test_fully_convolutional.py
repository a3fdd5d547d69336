"""Fully connected layers as convolutions: equal at the net's own size, window by window beyond it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT
from net_files import image, layer, net_of, noise

from vggrepro.errors import UnsupportedError
from vggrepro.graph.forward import build_forward
from vggrepro.graph.reference import reference_forward
from vggrepro.net import Net
from vggrepro.net.transforms.fully_convolutional import fully_convolutional
from vggrepro.runtime.session import Session
from vggrepro.verify.reference_case import ReferenceCase

DENSE = sorted(path.name for path in (ROOT / "nets").iterdir() if "dense" in path.name and "vgg" in path.name)
OF_VGG = ["vgg_a", "vgg_a_lrn", "vgg_b", "vgg_c", "vgg_d", "vgg_e", "vgg_a_224"]


@pytest.mark.parametrize("name", DENSE)
def test_golden(name: str) -> None:
    """Caffe's own dense outputs, from nets whose layers were made convolutions by hand."""
    dense = ReferenceCase(ROOT / "nets" / name)
    net = ReferenceCase(ROOT / "nets" / dense.about["surgery_from"]).load()
    blobs = {blob: blob.removesuffix("-conv") for blob in [*dense.arrays("out"), *dense.arrays("blob")]}
    graph = build_forward(net, outputs=list(blobs.values()), fully_convolutional=True)
    graph.check()
    got = Session(graph, threads=1).run(dense.arrays("in"))
    differences = [
        dense.compare(f"{kind}:{blob}", got[blobs[blob]])
        for kind in ("out", "blob")
        for blob in dense.arrays(kind)
    ]
    assert len(differences) >= 7
    assert not [d for d in differences if not d.passed]


@pytest.mark.parametrize("size", [(64, 64), (65, 65), (75, 101), (97, 66), (64, 96)])
@pytest.mark.parametrize("name", ["vgg_a", "vgg_a_lrn", "vgg_c"])
def test_every_size_equals_the_reference(name: str, size: tuple[int, int]) -> None:
    net = ReferenceCase(ROOT / "nets" / name).load()
    feeds = {"data": 50 * noise({"data": (2, 3, *size)})["data"]}
    got = Session(build_forward(net, outputs=["fc8", "prob"], fully_convolutional=True), threads=1).run(feeds)
    want = reference_forward(fully_convolutional(net), feeds)
    for blob in ("fc8", "prob"):
        np.testing.assert_allclose(got[blob], want[blob], rtol=1e-4, atol=2e-5 * np.abs(want[blob]).max())


@pytest.mark.parametrize("name", OF_VGG)
def test_the_own_size_stays(name: str) -> None:
    net = ReferenceCase(ROOT / "nets" / name).load()
    assert_same_at_own_size(net, fully_convolutional(net))


def assert_same_at_own_size(net: Net, changed: Net) -> None:
    feeds = noise(net.inputs)
    old, new = reference_forward(net, feeds), reference_forward(changed, feeds)
    assert old.keys() <= new.keys()
    for blob, value in old.items():
        np.testing.assert_allclose(new[blob].reshape(value.shape), value, rtol=1e-9, atol=1e-12)


def assert_windows(net: Net, changed: Net, blob: str, grow: tuple[int, int]) -> None:
    """Every place of the map holds what the original net gives on that window (stride 1, no padding)."""
    ((name, shape),) = net.inputs.items()
    big = noise({name: (*shape[:2], shape[2] + grow[0], shape[3] + grow[1])})[name]
    whole = reference_forward(changed, {name: big})[blob]
    assert whole.shape[2:] == (grow[0] + 1, grow[1] + 1)
    for y, x in np.ndindex(*whole.shape[2:]):
        cut = big[:, :, y : y + shape[2], x : x + shape[3]]
        part = reference_forward(net, {name: cut})[blob]
        np.testing.assert_allclose(whole[:, :, y, x], part.reshape(part.shape[:2]), rtol=1e-9)


CONV = image(2, 3, 5, 4) + layer(
    "conv", "Convolution", "data", more="convolution_param { num_output: 4 kernel_size: 2 }"
)


def product(name: str, bottom: str, number: int = 6, more: str = "", params: str = "") -> str:
    text = f"inner_product_param {{ num_output: {number} {more} }} {params}"
    return layer(name, "InnerProduct", bottom, more=text)


HEADS = {
    "flatten": layer("flat", "Flatten", "conv") + product("fc", "flat"),
    "reshape": layer("flat", "Reshape", "conv", more="reshape_param { shape { dim: 0 dim: -1 } }")
    + product("fc", "flat"),
    "transposed": product("fc", "conv", more="transpose: true"),
    "no_bias": product("fc", "conv", more="bias_term: false"),
    "negative_axis": layer("flat", "Flatten", "conv") + product("fc", "flat", more="axis: -1"),
    "between_flatten_and_product": layer("flat", "Flatten", "conv")
    + layer("relu", "ReLU", "flat", "flat")
    + layer("drop", "Dropout", "flat", "dropped")
    + layer("power", "Power", "dropped", "power", "power_param { scale: 2 shift: 1 }")
    + product("fc", "power"),
    "deep": product("a", "conv", 7)
    + layer("relu", "ReLU", "a", "a")
    + layer("drop", "Dropout", "a", "a")
    + product("b", "a", 5)
    + layer("bn", "BatchNorm", "b")
    + layer("scale", "Scale", "bn", more="scale_param { bias_term: true }")
    + layer("prelu", "PReLU", "scale")
    + product("fc", "prelu")
    + layer("prob", "Softmax", "fc"),
    "flattened_pair": layer("ra", "ReLU", "conv")
    + layer("fa", "Flatten", "conv")
    + layer("fb", "Flatten", "ra")
    + layer("both", "Concat", "fa fb")
    + product("fc", "both"),
    "towers": product("a", "conv", 3)
    + product("b", "conv", 5)
    + layer("both", "Concat", "a b")
    + layer("cut", "Slice", "both", "cut1 cut2", "slice_param { slice_point: 4 }")
    + layer("silence", "Silence", "cut1", "").replace('top: "silence"', "")
    + product("fc", "cut2"),
    "residual": product("a", "conv") + product("b", "conv") + layer("fc", "Eltwise", "a b"),
    "shared": product("a", "conv", 4 * 4 * 3, params='param { name: "w" } param { name: "v" }')
    + layer("map", "Reshape", "a", more="reshape_param { shape { dim: 0 dim: -1 dim: 1 dim: 1 } }")
    + product("fc", "map", 4 * 4 * 3, params='param { name: "w" } param { name: "v" }'),
}
"""Heads over conv (2, 4, 4, 3), each with a blob fc at its end."""


@pytest.mark.parametrize("head", HEADS)
def test_heads(head: str, tmp_path: Path) -> None:
    net = net_of(tmp_path, CONV + HEADS[head])
    changed = fully_convolutional(net)
    assert not [p for p in changed.layers if p.layer.type in ("InnerProduct", "Flatten")]
    assert [p.name for p in changed.layers] == [p.name for p in net.layers]
    assert_same_at_own_size(net, changed)
    assert_windows(net, changed, "fc", (2, 1))
    assert sum(p.size for p in changed.params.values()) == sum(p.size for p in net.params.values())


@pytest.mark.parametrize("head", HEADS)
def test_heads_in_onnx(head: str, tmp_path: Path) -> None:
    net = net_of(tmp_path, CONV + HEADS[head])
    graph = build_forward(net, outputs=["fc"], fully_convolutional=True)
    graph.check()
    dims = graph.skeleton.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param for d in dims] == ["N", "", "H", "W"]
    feeds = noise({"data": (3, 3, 9, 7)})
    got = Session(graph, threads=1).run(feeds)["fc"]
    want = reference_forward(fully_convolutional(net), feeds)["fc"]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


def test_two_heads_of_one_map(tmp_path: Path) -> None:
    net = net_of(tmp_path, CONV + product("fc", "conv", 3) + product("box", "conv", 4))
    changed = fully_convolutional(net)
    assert changed.outputs == {"fc": (2, 3, 1, 1), "box": (2, 4, 1, 1)}
    for head in ("fc", "box"):
        assert_windows(net, changed, head, (1, 2))


def test_global_pooling_leaves_one_place(tmp_path: Path) -> None:
    pool = layer("pool", "Pooling", "conv", more="pooling_param { pool: AVE global_pooling: true }")
    net = net_of(tmp_path, CONV + pool + product("fc", "pool"))
    changed = fully_convolutional(net)
    assert changed.reshape({"data": (2, 3, 11, 9)}).outputs == {"fc": (2, 6, 1, 1)}
    assert_same_at_own_size(net, changed)


def test_what_never_grows_may_stay_a_vector() -> None:
    """Squeeze and excitation: fully connected layers that scale channels, whatever the image's size."""
    net = ReferenceCase(ROOT / "nets" / "senet_like").load()
    changed = fully_convolutional(net)
    assert_same_at_own_size(net, changed)
    feeds = noise({"data": (2, 3, 17, 14)})
    blob = next(iter(changed.outputs))
    got = Session(build_forward(net, outputs=[blob], fully_convolutional=True), threads=1).run(feeds)[blob]
    want = reference_forward(changed, feeds)[blob]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_vectors_that_are_no_image_stay(tmp_path: Path) -> None:
    net = net_of(tmp_path, image(2, 7) + product("fc", "data"))
    changed = fully_convolutional(net)
    assert [p.layer.type for p in changed.layers] == ["Input", "InnerProduct"]
    assert changed.outputs == net.outputs


def test_nothing_to_do_is_nothing_done() -> None:
    net = ReferenceCase(ROOT / "nets" / "vgg_a_dense_65x65").load()
    assert fully_convolutional(net) is net


LABEL = image(2, name="label")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONV + product("fc", "conv", more="axis: 2"), "layer 'fc': InnerProduct with axis 2"),
        (
            CONV
            + layer("rows", "Reshape", "conv", more="reshape_param { shape { dim: 0 dim: 4 dim: -1 } }")
            + product("fc", "rows"),
            "layer 'fc': InnerProduct with axis 1 over a bottom of shape (2, 4, 12)",
        ),
        (
            CONV + product("fc", "conv") + layer("prob", "Softmax", "fc", more="softmax_param { axis: -1 }"),
            "layer 'prob': Softmax does not do in every place of a map",
        ),
        (
            CONV + product("fc", "conv") + layer("norm", "MVN", "fc"),
            "layer 'norm': MVN does not do in every place",
        ),
        (
            LABEL + CONV + product("fc", "conv") + layer("loss", "SoftmaxWithLoss", "fc label"),
            "layer 'loss': SoftmaxWithLoss does not do in every place",
        ),
        (
            CONV
            + product("fc", "conv")
            + layer("map", "Reshape", "fc", more="reshape_param { shape { dim: 0 dim: -1 dim: 1 dim: 1 } }")
            + layer("up", "Deconvolution", "map", more="convolution_param { num_output: 2 kernel_size: 3 }")
            + product("last", "up")
            + layer("prob", "Softmax", "last", more="softmax_param { axis: -1 }"),
            "layer 'prob': Softmax does not do in every place of a map",
        ),
        (
            CONV
            + layer("flat", "Flatten", "conv")
            + layer("slope", "PReLU", "flat")
            + product("fc", "slope"),
            "layer 'slope': PReLU does not do in every place",
        ),
        (
            image(2, 3, 1, 1)
            + product("a", "data", 3, "transpose: true", 'param { name: "w" }')
            + product("b", "a", 3, "", 'param { name: "w" }'),
            "layer 'a': a transposed weight that other layers share",
        ),
    ],
)
def test_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    net = net_of(tmp_path, text)
    with pytest.raises(UnsupportedError) as caught:
        fully_convolutional(net)
    assert message in str(caught.value)
