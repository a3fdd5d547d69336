"""Offsets of V1's CROP: those that FCN's authors published for the same nets in today's format."""

import pytest

from vggrepro.caffe import text, upgrade
from vggrepro.errors import UpgradeError


def windowed(kind, name, bottom, fields):
    param = "pooling_param" if kind == "POOLING" else "convolution_param"
    return (
        f'layers {{ name: "{name}" type: {kind} bottom: "{bottom}" top: "{name}" {param} {{ {fields} }} }}\n'
        f'layers {{ name: "{name}r" type: RELU bottom: "{name}" top: "{name}" }}\n'
    )


def crop(name, data, size):
    return f'layers {{ name: "{name}" type: CROP bottom: "{data}" bottom: "{size}" top: "{name}" }}\n'


def vgg():
    """VGG-16's convolutions and poolings as FCN has them: the first with 100 elements of padding."""
    written, below = 'layers { name: "d" type: DATA top: "data" top: "label" }\n', "data"
    for block, number in enumerate((2, 2, 3, 3, 3), 1):
        for index in range(1, number + 1):
            name, pad = f"conv{block}_{index}", 100 if below == "data" else 1
            written += windowed("CONVOLUTION", name, below, f"num_output: 1 kernel_size: 3 pad: {pad}")
            below = name
        written += windowed("POOLING", f"pool{block}", below, "kernel_size: 2 stride: 2")
        below = f"pool{block}"
    return written + windowed("CONVOLUTION", "fc6", "pool5", "num_output: 1 kernel_h: 7 kernel_w: 7")


def offsets(written):
    net = upgrade.upgrade_net_param(text.parse_net(written))
    crops = [layer for layer in net.layer if layer.type == "Crop"]
    assert {layer.crop_param.axis for layer in crops} == {2}
    return {layer.name: list(layer.crop_param.offset) for layer in crops}


def deconvolution(name, bottom, kernel, stride):
    return windowed("DECONVOLUTION", name, bottom, f"num_output: 1 kernel_size: {kernel} stride: {stride}")


def test_fcn_32s():
    net = vgg() + deconvolution("upscore", "fc6", 64, 32) + crop("score", "upscore", "data")
    assert offsets(net) == {"score": [19, 19]}


def test_fcn_8s():
    net = vgg() + deconvolution("upscore2", "fc6", 4, 2)
    for pool, up, kernel, stride in ((4, "upscore2", 4, 2), (3, "upscore_pool4", 16, 8)):
        below = f"pool{pool}"
        net += windowed("CONVOLUTION", f"score_{below}", below, "num_output: 1 kernel_size: 1")
        net += crop(f"crop{pool}", f"score_{below}", up)
        net += (
            f'layers {{ name: "fuse{pool}" type: ELTWISE bottom: "{up}" bottom: "crop{pool}"'
            f' top: "fuse{pool}" }}\n'
        )
        net += deconvolution("upscore8" if pool == 3 else "upscore_pool4", f"fuse{pool}", kernel, stride)
    assert offsets(net + crop("score", "upscore8", "data")) == {
        "crop4": [5, 5],
        "crop3": [9, 9],
        "score": [31, 31],
    }


def test_inputs_and_height_and_width_apart():
    net = 'input: "a" input_dim: 1 input_dim: 1 input_dim: 9 input_dim: 9\n'
    net += 'layers { name: "r" type: RELU bottom: "a" top: "a" }\n'
    net += windowed("CONVOLUTION", "c", "a", "num_output: 1 kernel_h: 3 kernel_w: 5 pad_h: 2 pad_w: 5")
    assert offsets(net + crop("x", "c", "a")) == {"x": [1, 3]}


def test_a_crop_with_one_bottom_is_left_to_be_refused():
    net = text.parse_net('layers { name: "x" type: CROP bottom: "a" top: "b" }')
    assert not upgrade.upgrade_net_param(net).layer[0].HasField("crop_param")


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (
            'input: "a" input: "b" ' + crop("x", "a", "b"),
            "layer 'x': Cannot align apparently disconnected blobs",
        ),
        (
            windowed("POOLING", "p", "a", "kernel_size: 2 stride: 2") + crop("x", "p", "a"),
            "is 2 x [+] 1/2 in",
        ),
        (windowed("CONVOLUTION", "c", "a", "kernel_size: 3") + crop("x", "c", "a"), "is 1 x [+] 1 in"),
        (windowed("CONVOLUTION", "c", "a", "kernel_size: 2 pad: 1") + crop("x", "c", "a"), "x [+] -1/2 in"),
        (windowed("POOLING", "p", "a", "global_pooling: true") + crop("x", "p", "a"), "how Pooling moves"),
        (windowed("CONVOLUTION", "c", "a", "num_output: 1") + crop("x", "c", "a"), "has no kernel or stride"),
    ],
)
def test_what_cannot_be_aligned(net, message):
    with pytest.raises(UpgradeError, match=message):
        upgrade.upgrade_net_param(text.parse_net(net))
