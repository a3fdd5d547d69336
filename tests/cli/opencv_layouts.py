"""Nets of the layouts that were published for OpenCV's dnn module, narrow and with random weights.

Layers, names and connections follow the published definitions; only the numbers of channels are smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.net import load_net

FILLER = 'weight_filler { type: "msra" } bias_filler { type: "constant" value: 0.1 }'


def conv(
    name: str, bottom: str, number: int, kernel: int, pad: int = 0, stride: int = 1, more: str = ""
) -> str:
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param {{'
        f" num_output: {number} kernel_size: {kernel} pad: {pad} stride: {stride} {FILLER} {more} }} }}\n"
    )


def relu(blob: str, name: str = "") -> str:
    return f'layer {{ name: "{name or blob + "/relu"}" type: "ReLU" bottom: "{blob}" top: "{blob}" }}\n'


def pool(name: str, bottom: str, kernel: int = 2, stride: int = 2) -> str:
    sizes = f"kernel_size: {kernel} stride: {stride}"
    return (
        f'layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}"'
        f" pooling_param {{ pool: MAX {sizes} }} }}\n"
    )


def norm(blob: str) -> str:
    """BatchNorm and Scale, in place."""
    return (
        f'layer {{ name: "{blob}_bn" type: "BatchNorm" bottom: "{blob}" top: "{blob}" }}\n'
        f'layer {{ name: "{blob}_scale" type: "Scale" bottom: "{blob}" top: "{blob}"'
        " scale_param { bias_term: true } }\n"
    )


def joined(name: str, bottoms: list[str], axis: int = 1) -> str:
    listed = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
    return (
        f'layer {{ name: "{name}" type: "Concat" {listed} top: "{name}" concat_param {{ axis: {axis} }} }}\n'
    )


def head(source: str, boxes: int, classes: int, sizes: str) -> str:
    """Places, confidences and prior boxes of one feature map."""
    text = ""
    for kind, number in (("loc", boxes * 4), ("conf", boxes * classes)):
        name = f"{source}_mbox_{kind}"
        text += conv(name, source, number, 1).replace(FILLER, 'weight_filler { type: "gaussian" std: 0.02 }')
        text += (
            f'layer {{ name: "{name}_perm" type: "Permute" bottom: "{name}" top: "{name}_perm"'
            " permute_param { order: 0 order: 2 order: 3 order: 1 } }\n"
            f'layer {{ name: "{name}_flat" type: "Flatten" bottom: "{name}_perm" top: "{name}_flat"'
            " flatten_param { axis: 1 } }\n"
        )
    return text + (
        f'layer {{ name: "{source}_mbox_priorbox" type: "PriorBox" bottom: "{source}" bottom: "data"'
        f' top: "{source}_mbox_priorbox" prior_box_param {{ {sizes} flip: true clip: false'
        " variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 offset: 0.5 } }\n"
    )


def detections(sources: list[str], classes: int, param: str) -> str:
    text = joined("mbox_loc", [f"{source}_mbox_loc_flat" for source in sources])
    text += joined("mbox_conf", [f"{source}_mbox_conf_flat" for source in sources])
    text += joined("mbox_priorbox", [f"{source}_mbox_priorbox" for source in sources], axis=2)
    return text + (
        'layer { name: "mbox_conf_reshape" type: "Reshape" bottom: "mbox_conf" top: "mbox_conf_reshape"'
        f" reshape_param {{ shape {{ dim: 0 dim: -1 dim: {classes} }} }} }}\n"
        'layer { name: "mbox_conf_softmax" type: "Softmax" bottom: "mbox_conf_reshape"'
        ' top: "mbox_conf_softmax" softmax_param { axis: 2 } }\n'
        'layer { name: "mbox_conf_flatten" type: "Flatten" bottom: "mbox_conf_softmax"'
        ' top: "mbox_conf_flatten" flatten_param { axis: 1 } }\n'
        'layer { name: "detection_out" type: "DetectionOutput" bottom: "mbox_loc" bottom: "mbox_conf_flatten"'
        ' bottom: "mbox_priorbox" top: "detection_out" include { phase: TEST } detection_output_param {'
        f" num_classes: {classes} share_location: true background_label_id: 0 code_type: CENTER_SIZE"
        f" {param} }} }}\n"
    )


def start(name: str, channels: int, height: int, width: int, blob: str = "data") -> str:
    dims = " ".join(f"input_dim: {size}" for size in (1, channels, height, width))
    return f'name: "{name}" input: "{blob}" {dims}\n'


def mobilenet_ssd() -> str:
    """chuanqi305's MobileNet-SSD after its BatchNorms were merged: six maps, 21 classes."""
    text = start("MobileNet-SSD", 3, 300, 300) + conv("conv0", "data", 8, 3, 1, 2) + relu("conv0")
    bottom, channels = "conv0", 8
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    for number, stride in enumerate(strides, 1):
        depthwise, point = f"conv{number}/dw", f"conv{number}"
        text += conv(depthwise, bottom, channels, 3, 1, stride, f"group: {channels}") + relu(depthwise)
        channels = min(channels * stride, 24)
        text += conv(point, depthwise, channels, 1) + relu(point)
        bottom = point
    for number in range(14, 18):
        narrow, wide = f"conv{number}_1", f"conv{number}_2"
        text += conv(narrow, bottom, 8, 1) + relu(narrow) + conv(wide, narrow, 16, 3, 1, 2) + relu(wide)
        bottom = wide
    sources = ["conv11", "conv13", "conv14_2", "conv15_2", "conv16_2", "conv17_2"]
    text += head(sources[0], 3, 21, "min_size: 60 aspect_ratio: 2")
    for place, source in enumerate(sources[1:]):
        least, most = (105, 150, 195, 240, 285)[place], (150, 195, 240, 285, 300)[place]
        text += head(source, 6, 21, f"min_size: {least} max_size: {most} aspect_ratio: 2 aspect_ratio: 3")
    nms = "nms_param { nms_threshold: 0.45 top_k: 100 } keep_top_k: 100 confidence_threshold: 0.25"
    return text + detections(sources, 21, nms)


def face_detector() -> str:
    """OpenCV's res10 face detector: residual blocks with BatchNorm before the convolution, Normalize."""
    text = start("res10", 3, 300, 300)
    text += 'layer { name: "data_bn" type: "BatchNorm" bottom: "data" top: "data_bn" }\n'
    text += (
        'layer { name: "data_scale" type: "Scale" bottom: "data_bn" top: "data_bn"'
        " scale_param { bias_term: true } }\n"
    )
    text += conv("conv1_h", "data_bn", 8, 7, 3, 2) + norm("conv1_h") + relu("conv1_h")
    text += pool("conv1_pool", "conv1_h", 3, 2)
    bottom = "conv1_pool"
    for width, stride in ((8, 1), (12, 2), (16, 2)):
        name = f"layer_{width}_1"
        text += conv(f"{name}_conv1_h", bottom, width, 3, 1, stride) + norm(f"{name}_conv1_h")
        text += relu(f"{name}_conv1_h") + conv(f"{name}_conv2", f"{name}_conv1_h", width, 3, 1)
        text += conv(f"{name}_expand", bottom, width, 1, 0, stride)
        text += (
            f'layer {{ name: "{name}_sum" type: "Eltwise" bottom: "{name}_conv2" bottom: "{name}_expand"'
            f' top: "{name}_sum" }}\n'
        )
        bottom = f"{name}_sum"
    text += (
        'layer { name: "conv4_3_norm" type: "Normalize" bottom: "layer_12_1_sum" top: "conv4_3_norm"'
        ' norm_param { across_spatial: false scale_filler { type: "constant" value: 20 }'
        " channel_shared: false } }\n"
    )
    sources = ["conv4_3_norm", "layer_16_1_sum"]
    text += head(sources[0], 4, 2, "min_size: 30 max_size: 60 aspect_ratio: 2 step: 8")
    text += head(sources[1], 6, 2, "min_size: 60 max_size: 111 aspect_ratio: 2 aspect_ratio: 3 step: 16")
    nms = "nms_param { nms_threshold: 0.45 top_k: 400 } keep_top_k: 200 confidence_threshold: 0.01"
    return text + detections(sources, 2, nms)


def openpose() -> str:
    """OpenPose's COCO net: VGG's first layers, then stages of two branches, parts and limbs."""
    text, bottom = start("openpose", 3, 368, 368, "image"), "image"
    for block, count in enumerate((2, 2, 4, 2), 1):
        for number in range(1, count + 1):
            name = f"conv{block}_{number}"
            text += conv(name, bottom, 4, 3, 1) + relu(name, f"relu{block}_{number}")
            bottom = name
        if block < 4:
            text += pool(f"pool{block}_stage1", bottom)
            bottom = f"pool{block}_stage1"
    text += conv("conv4_4_CPM", bottom, 8, 3, 1) + relu("conv4_4_CPM", "relu4_4_CPM")
    bottom = "conv4_4_CPM"
    for stage in (1, 2, 3):
        ends = []
        for branch, maps in ((1, 38), (2, 19)):
            kernel, source = (3, bottom) if stage == 1 else (7, f"concat_stage{stage}")
            name = f"Mconv1_stage{stage}_L{branch}"
            text += conv(name, source, 8, kernel, kernel // 2) + relu(name, f"Mrelu1_stage{stage}_L{branch}")
            ends.append(f"Mconv2_stage{stage}_L{branch}")
            text += conv(ends[-1], name, maps, 1)
        text += joined(f"concat_stage{stage + 1}", [*ends, bottom]) if stage < 3 else ""
    return text + joined("concat_stage7", ends[::-1])


def age_net(classes: int = 8) -> str:
    """Levi and Hassner's nets for ages and genders."""
    text = start("CaffeNet", 3, 227, 227) + conv("conv1", "data", 8, 7, 0, 4) + relu("conv1", "relu1")
    bottom = "conv1"
    for number, (width, kernel) in enumerate(((12, 5), (16, 3)), 2):
        previous = number - 1
        text += pool(f"pool{previous}", bottom, 3, 2)
        text += (
            f'layer {{ name: "norm{previous}" type: "LRN" bottom: "pool{previous}" top: "norm{previous}"'
            " lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 } }\n"
        )
        text += conv(f"conv{number}", f"norm{previous}", width, kernel, kernel // 2)
        text += relu(f"conv{number}", f"relu{number}")
        bottom = f"conv{number}"
    text += pool("pool5", bottom, 3, 2)
    bottom = "pool5"
    for number, width in ((6, 16), (7, 16), (8, classes)):
        text += (
            f'layer {{ name: "fc{number}" type: "InnerProduct" bottom: "{bottom}" top: "fc{number}"'
            f" inner_product_param {{ num_output: {width} {FILLER} }} }}\n"
        )
        bottom = f"fc{number}"
        if number < 8:
            text += relu(bottom, f"relu{number}")
            text += f'layer {{ name: "drop{number}" type: "Dropout" bottom: "{bottom}" top: "{bottom}" }}\n'
    return text + 'layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }\n'


def colorization() -> str:
    """Zhang, Isola and Efros's net, release 2: lightness in, the two colour channels of Lab out."""
    text, bottom = start("colorization", 1, 224, 224, "data_l"), "data_l"
    for block, (stride, dilation) in enumerate(((2, 1), (2, 1), (2, 1), (1, 1), (1, 2), (1, 2), (1, 1)), 1):
        for number, step in ((1, 1), (2, stride)):
            name = f"{'bw_' if block == number == 1 else ''}conv{block}_{number}"
            text += conv(name, bottom, 6, 3, dilation, step, f"dilation: {dilation}")
            text += relu(name, f"relu{block}_{number}")
            bottom = name
        top = f"conv{block}_2norm"
        text += f'layer {{ name: "{top}" type: "BatchNorm" bottom: "{bottom}" top: "{top}" }}\n'
        bottom = top
    text += (
        f'layer {{ name: "conv8_1" type: "Deconvolution" bottom: "{bottom}" top: "conv8_1"'
        f" convolution_param {{ num_output: 6 kernel_size: 4 pad: 1 stride: 2 {FILLER} }} }}\n"
    )
    text += relu("conv8_1", "relu8_1") + conv("conv8_313", "conv8_1", 313, 1)
    return text + (
        'layer { name: "conv8_313_rh" type: "Scale" bottom: "conv8_313" top: "conv8_313_rh"'
        " scale_param { bias_term: false filler { value: 2.606 } } }\n"
        'layer { name: "class8_313_rh" type: "Softmax" bottom: "conv8_313_rh" top: "class8_313_rh" }\n'
        'layer { name: "class8_ab" type: "Convolution" bottom: "class8_313_rh" top: "class8_ab"'
        " convolution_param { num_output: 2 kernel_size: 1 bias_term: false"
        ' weight_filler { type: "gaussian" std: 40 } } }\n'
        'layer { name: "Silence" type: "Silence" bottom: "class8_ab" }\n'
    )


LAYOUTS: dict[str, Callable[[], str]] = {
    "MobileNetSSD_deploy": mobilenet_ssd,
    "res10_300x300_ssd": face_detector,
    "pose_iter_440000": openpose,
    "age_net": age_net,
    "colorization_v2": colorization,
}


def write_layout(folder: Path, name: str) -> tuple[str, str]:
    """Prototxt and caffemodel of a layout, ``name`` with .prototxt and .caffemodel behind it."""
    prototxt, weights = folder / f"{name}.prototxt", folder / f"{name}.caffemodel"
    prototxt.write_text(LAYOUTS[name]())
    net = load_net(prototxt, seed=1)
    norms = {p.name for p in net.layers if p.message.type == "BatchNorm"}
    params = dict(net.params)
    for key, array in net.params.items():  # as after one batch: of pixels, or of blobs about as large
        layer, _, index = key.rpartition(":")
        if layer in norms:
            params[key] = np.full_like(array, {"0": 0, "1": 2500, "2": 1}[index])
    net = net.with_params(params)
    blobs = {p.name: [net.params[use.key] for use in p.params] for p in net.layers if p.params}
    write_caffemodel(weights, net.message, blobs)
    return str(prototxt), str(weights)
