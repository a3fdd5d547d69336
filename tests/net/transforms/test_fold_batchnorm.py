"""Folding normalisation into products: the same outputs, fewer layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_suite import cases
from net_files import image, layer, net_of, noise

from vggrepro.graph.forward import build_forward
from vggrepro.graph.reference import reference_forward
from vggrepro.net import Net
from vggrepro.net.transforms.fold_batchnorm import fold_batchnorm
from vggrepro.runtime.session import Session
from vggrepro.verify.reference_case import ReferenceCase

GOLDEN = [
    case
    for case in cases("net")
    if case.about["phase"] == "TEST" and {"BatchNorm", "Scale", "Bias"} & set(case.about["layer_types"])
]


def count(net: Net, *types: str) -> int:
    return sum(placed.layer.type in types for placed in net.layers)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: c.folder.name)
def test_golden(case: ReferenceCase) -> None:
    """What Caffe computed with the layers apart, in a float32 graph of the folded net."""
    folded = fold_batchnorm(case.load())
    keys = [k for k in case.keys("out", "blob") if k.split(":", 1)[1] in folded.blobs]
    blobs = [key.split(":", 1)[1] for key in keys]
    got = Session(build_forward(folded, outputs=blobs), threads=1).run(case.arrays("in"))
    assert set(case.keys("out")) <= set(keys)
    for key, blob in zip(keys, blobs, strict=True):
        want = case.io[key]
        np.testing.assert_allclose(got[blob], want, rtol=1e-4, atol=5e-5 * np.abs(want).max())


def test_golden_nets_lose_their_normalisation() -> None:
    left = {c.folder.name: count(fold_batchnorm(c.load()), "BatchNorm") for c in GOLDEN}
    assert left["resnet_like"] == left["mobilenet_like"] == 0
    assert left["densenet_like"] > 0  # normalised before the convolution: nothing to fold into


def conv(more: str = "", kind: str = "Convolution", bottom: str = "data") -> str:
    text = f"convolution_param {{ num_output: 6 kernel_size: 3 {more} }}"
    return layer("conv", kind, bottom, more=text)


NORM = layer("bn", "BatchNorm", "conv")
SCALE = layer("scale", "Scale", "bn", more="scale_param { bias_term: true }")
IMAGE = image(2, 4, 6, 5)
PRODUCT = "inner_product_param { num_output: 6 %s }"

FOLDABLE = {
    "batch_norm": IMAGE + conv() + NORM,
    "batch_norm_scale": IMAGE + conv() + NORM + SCALE,
    "no_bias": IMAGE + conv("bias_term: false") + NORM + SCALE,
    "scale_without_bias": IMAGE + conv() + NORM + layer("scale", "Scale", "bn"),
    "scale_alone": IMAGE + conv() + layer("scale", "Scale", "conv"),
    "scale_bias_layers": IMAGE + conv() + layer("s", "Scale", "conv") + layer("b", "Bias", "s"),
    "in_place": IMAGE
    + conv()
    + layer("bn", "BatchNorm", "conv", "conv")
    + layer("s", "Scale", "conv", "conv", "scale_param { bias_term: true }")
    + layer("relu", "ReLU", "conv", "conv"),
    "groups": IMAGE + conv("group: 2") + NORM + SCALE,
    "dilated_nd": image(2, 4, 7, 6, 5) + conv("dilation: 2 pad: 2") + NORM + SCALE,
    "deconvolution": IMAGE + conv("stride: 2", "Deconvolution") + NORM + SCALE,
    "deconvolution_groups": IMAGE + conv("group: 2 bias_term: false", "Deconvolution") + NORM + SCALE,
    "negative_axis": IMAGE + conv() + layer("s", "Scale", "conv", more="scale_param { axis: -3 }"),
    "other_axis": image(2, 3, 4, 6, 5)
    + conv("axis: 2")
    + layer("s", "Scale", "conv", more="scale_param { axis: 2 }"),
    "product": IMAGE + layer("conv", "InnerProduct", "data", more=PRODUCT % "") + NORM + SCALE,
    "product_transposed": IMAGE
    + layer("conv", "InnerProduct", "data", more=PRODUCT % "transpose: true bias_term: false")
    + NORM
    + layer("s", "Scale", "bn", more="scale_param { num_axes: -1 bias_term: true }"),
    "product_last_axis": IMAGE
    + layer("conv", "InnerProduct", "data", more=PRODUCT % "axis: 3")
    + layer("s", "Scale", "conv", more="scale_param { axis: -1 }"),
}


@pytest.mark.parametrize("name", FOLDABLE)
def test_folded(name: str, tmp_path: Path) -> None:
    net = net_of(tmp_path, FOLDABLE[name])
    folded = fold_batchnorm(net)
    assert count(folded, "BatchNorm", "Scale", "Bias") == 0
    assert folded.outputs == net.outputs
    assert [u.key for u in folded.param_uses] == ["conv:0", "conv:1"]
    feeds = noise(net.inputs)
    old, new = reference_forward(net, feeds), reference_forward(folded, feeds)
    for blob in net.outputs:
        np.testing.assert_allclose(new[blob], old[blob], rtol=1e-5, atol=1e-6 * np.abs(old[blob]).max())


KEPT = {
    "two_readers": IMAGE + conv() + NORM + layer("other", "ReLU", "conv"),
    "relu_between": IMAGE + conv() + layer("relu", "ReLU", "conv", "conv") + NORM,
    "before": IMAGE + layer("bn", "BatchNorm", "data") + conv(bottom="bn"),
    "batch_statistics": IMAGE
    + conv()
    + layer("bn", "BatchNorm", "conv", more="batch_norm_param { use_global_stats: false }"),
    "two_bottoms": IMAGE + image(6, name="s") + conv() + layer("scale", "Scale", "conv s"),
    "other_axis": IMAGE + conv() + layer("s", "Scale", "conv", more="scale_param { axis: 2 }"),
    "more_axes": IMAGE + conv() + layer("s", "Scale", "conv", more="scale_param { num_axes: 2 }"),
    "scalar": IMAGE + conv() + layer("s", "Scale", "conv", more="scale_param { num_axes: 0 }"),
    "norm_across_the_channels": image(2, 3, 4, 6, 5) + conv("axis: 2") + NORM,
    "shared": IMAGE + conv().replace("convolution_param", 'param { name: "w" } convolution_param') + NORM,
    "several_bottoms": IMAGE
    + image(2, 4, 6, 5, name="other")
    + conv(bottom="data other").replace('top: "conv"', 'top: "conv" top: "conv2"')
    + NORM,
}


@pytest.mark.parametrize("name", KEPT)
def test_kept(name: str, tmp_path: Path) -> None:
    net = net_of(tmp_path, KEPT[name])
    assert fold_batchnorm(net) is net


def test_a_factor_of_zero_and_unknown_statistics(tmp_path: Path) -> None:
    """A factor of 0 makes mean and variance 0: the scale is 1 / sqrt(eps)."""
    net = net_of(tmp_path, IMAGE + conv() + NORM)
    net = net.with_params({"bn:2": np.zeros(1, np.float32)})
    feeds = noise(net.inputs)
    want, got = reference_forward(net, feeds), reference_forward(fold_batchnorm(net), feeds)
    np.testing.assert_allclose(got["bn"], want["bn"], atol=1e-6 * np.abs(want["bn"]).max())


def test_the_rest_of_the_net_stays(tmp_path: Path) -> None:
    text = (
        "force_backward: true\n"
        + IMAGE
        + conv()
        + NORM
        + layer("fc", "InnerProduct", "bn", more=PRODUCT % "")
    )
    net = net_of(tmp_path, text)
    folded = fold_batchnorm(net)
    assert [p.name for p in folded.layers] == ["data", "conv", "fc"]
    assert folded.message.force_backward
    np.testing.assert_array_equal(folded.params["fc:0"], net.params["fc:0"])
