"""What a fork's layers mean where their fields do not tell, for names of layers that several forks share.

A net whose fork is named (``--fork``, ``load_net(fork=...)``) has these fields wherever it sets none itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from vggrepro.caffe.crop_offsets import set_crop_offsets
from vggrepro.errors import NetError, UpgradeError
from vggrepro.system.caller_warning import warn_caller

if TYPE_CHECKING:
    from vggrepro.caffe.messages import NetParameter

FORKS: dict[str, dict[str, str]] = {
    "caffe-3d": {"Normalization": "normalization_param { flatten: true }"},
    "caffemex": {"Normalization": "normalization_param { flatten: false }"},
    "cascade-rcnn": {"ROIAlign": "roi_pooling_param { corner_grid: true }"},
    "cuhk": {"BN": "bn_param { frozen: false }"},
    "daerduocarey": {"SpatialTransformer": "st_param { to_compute_dU: true }"},
    "faceboxes": {"PriorBox": "prior_box_param { faceboxes: true }"},
    "happynear": {
        "Flip": "flip_param { flip_width: true flip_height: false }",
        "FocalLoss": "focal_loss_param { alpha: 1 }",
        "Normalize": 'normalize_param { normalize_type: "L2" }',
    },
    "hed": {"SigmoidCrossEntropyLoss": "loss_param { balanced: true }"},
    "inisis": {"HardSigmoid": "hardsigmoid_param { alpha: 0.2 beta: 0.5 }"},
    "junhyukoh": {"Lstm": "lstm_param { batch_size: 1 }"},
    "mnc": {"MaskResize": "mask_resize_param { factor_height: 0 }"},
    "mobilenet-yolo": {"RegionLoss": "region_loss_param { mobilenet_yolo: true }"},
    "openvino": {"GRN": "grn_param { bias: 1 }", "Interp": "interp_param { zoom_multiplies: true }"},
    "r-fcn": {
        "Python": "rcnn_config_param { bg_thresh_lo: 0.1 rpn_pre_nms_top_n: 6000 rpn_post_nms_top_n: 300 }"
    },
    "r-fcn-ohem": {
        "Python": "rcnn_config_param { batch_size: -1 rpn_pre_nms_top_n: 6000 rpn_post_nms_top_n: 300 }"
    },
    "rcf": {
        "ImageLabelmapData": "image_data_param { grey_labels: true }",
        "SigmoidCrossEntropyLoss": "loss_param { balanced: true negative_weight: 1.1 }",
    },
    "segnet": {"BN": "bn_param { bn_mode: LEARN }"},
    "ssd": {"Normalize": "norm_param { across_spatial: true }"},
    "textboxes": {"PriorBox": "prior_box_param { denser_prior_boxes: true }"},
    "xilinx": {"BatchNorm": "batch_norm_param { scale_first: true }"},
    "zimenglan": {"FocalLoss": "focal_loss_param { alpha: 0.25 }"},
}
"""By the name of a fork: types of layers, and the inside of a layer whose fields are the fork's own rules."""

ONLY_IN = {
    **dict.fromkeys(("BoxOutput", "BoxGroupOutput", "DecodeBBox", "ScaleRoute"), "cascade-rcnn"),
    "AutoCrop": "rcf",
}
"""Types of layers that one fork alone has, by which it is known without being named."""

ALIGNED_CROPS = frozenset({"hed"})
"""Forks whose Crop layers without ``crop_param`` are aligned with their second bottoms, as in FCN's Caffe."""

FROM = {"ImageLabelmapData": "hed"}
"""Types of layers that come from a fork, and are in descendants of it with other rules: they hint at it."""


def with_defaults(message: NetParameter, fork: str | None) -> NetParameter:
    """A copy of an upgraded net in which each layer of the fork has the fields that tell it from others;
    without a fork, and without a layer that only one fork has, the net itself.

    Raises NetError for a fork that is not in ``FORKS``, UpgradeError for crops that cannot be aligned.
    """
    if fork is None:
        fork = next((ONLY_IN[layer.type] for layer in message.layer if layer.type in ONLY_IN), None)
    message = _with_aligned_crops(message, fork)
    if fork is None:
        _hint_at_fork({layer.type for layer in message.layer})
        return message
    if fork not in FORKS:
        raise NetError(f"fork {fork!r}: expected one of {', '.join(sorted(FORKS))}")
    from google.protobuf import text_format

    from vggrepro.caffe.messages import LayerParameter, NetParameter

    told = NetParameter()
    told.CopyFrom(message)
    for layer in told.layer:
        if layer.type in FORKS[fork]:
            own = LayerParameter()
            own.CopyFrom(layer)
            layer.CopyFrom(text_format.Parse(FORKS[fork][layer.type], LayerParameter()))
            layer.MergeFrom(own)
    return told


def _with_aligned_crops(message: NetParameter, fork: str | None) -> NetParameter:
    """A net with AutoCrop, RCF's name of what FCN's Caffe called Crop, and the Crop layers of forks that mean
    the same, as Crop layers with offsets; the net itself if it has none."""
    plain = [
        i
        for i, layer in enumerate(message.layer)
        if layer.type == "Crop" and not layer.HasField("crop_param")
    ]
    automatic = [i for i, layer in enumerate(message.layer) if layer.type == "AutoCrop"]
    if fork in ALIGNED_CROPS:
        automatic += plain
    elif fork is None and plain:
        _hint_at_aligned_crops(message, plain)
    if not automatic:
        return message
    told = type(message)()
    told.CopyFrom(message)
    for index in automatic:
        told.layer[index].type = "Crop"
    set_crop_offsets(told, automatic)
    return told


def _hint_at_aligned_crops(message: NetParameter, crops: Sequence[int]) -> None:
    """Warn of Crop layers that begin elsewhere if they are those of a fork."""
    aligned = type(message)()
    aligned.CopyFrom(message)
    with contextlib.suppress(UpgradeError):
        set_crop_offsets(aligned, crops)
    moved = [aligned.layer[i] for i in crops if any(aligned.layer[i].crop_param.offset)]
    if moved:
        offset = ", ".join(map(str, moved[0].crop_param.offset))
        warn_caller(
            f"Crop is taken for BVLC Caffe's, which without an offset cuts at 0; HED's would cut"
            f" {moved[0].name!r} at {offset}: --fork hed (fork='hed')"
        )


def _hint_at_fork(types: Set[str]) -> None:
    """Warn of layers that are taken for BVLC Caffe's where a fork may be meant."""
    for kind in sorted(types & FROM.keys()):
        fork = FROM[kind]
        for meant in sorted(types & FORKS[fork].keys()):
            warn_caller(
                f"{meant} is taken for BVLC Caffe's; {kind} hints at another: --fork {fork} (fork={fork!r})"
            )
