"""What a fork's layers mean where their fields do not tell, for names of layers that several forks share.

A net whose fork is named (``--fork``, ``load_net(fork=...)``) has these fields wherever it sets none itself.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from vggrepro.errors import NetError
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
    "openvino": {"Interp": "interp_param { zoom_multiplies: true }"},
    "r-fcn": {
        "Python": "rcnn_config_param { bg_thresh_lo: 0.1 rpn_pre_nms_top_n: 6000 rpn_post_nms_top_n: 300 }"
    },
    "r-fcn-ohem": {
        "Python": "rcnn_config_param { batch_size: -1 rpn_pre_nms_top_n: 6000 rpn_post_nms_top_n: 300 }"
    },
    "segnet": {"BN": "bn_param { bn_mode: LEARN }"},
    "textboxes": {"PriorBox": "prior_box_param { denser_prior_boxes: true }"},
    "xilinx": {"BatchNorm": "batch_norm_param { scale_first: true }"},
    "zimenglan": {"FocalLoss": "focal_loss_param { alpha: 0.25 }"},
}
"""By the name of a fork: types of layers, and the inside of a layer whose fields are the fork's own rules."""

ONLY_IN = dict.fromkeys(("BoxOutput", "BoxGroupOutput", "DecodeBBox", "ScaleRoute"), "cascade-rcnn")
"""Types of layers that one fork alone has, by which it is known without being named."""

FROM = {"ImageLabelmapData": "hed"}
"""Types of layers that come from a fork, and are in descendants of it with other rules: they hint at it."""


def with_defaults(message: NetParameter, fork: str | None) -> NetParameter:
    """A copy of an upgraded net in which each layer of the fork has the fields that tell it from others;
    without a fork, and without a layer that only one fork has, the net itself.

    Raises NetError for a fork that is not in ``FORKS``.
    """
    if fork is None:
        fork = next((ONLY_IN[layer.type] for layer in message.layer if layer.type in ONLY_IN), None)
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


def _hint_at_fork(types: Set[str]) -> None:
    """Warn of layers that are taken for BVLC Caffe's where a fork may be meant."""
    for kind in sorted(types & FROM.keys()):
        fork = FROM[kind]
        for meant in sorted(types & FORKS[fork].keys()):
            warn_caller(
                f"{meant} is taken for BVLC Caffe's; {kind} hints at another: --fork {fork} (fork={fork!r})"
            )
