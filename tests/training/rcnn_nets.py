"""Train definitions of the R-CNN family in the form that their projects publish, thinned: the first argument
divides the numbers of channels of the trunk, everything else is as published."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEARN = "param { lr_mult: 1 } param { lr_mult: 2 }"
FILL = 'weight_filler { type: "gaussian" std: 0.01 } bias_filler { type: "constant" value: 0 }'
SPREAD = 'weight_filler { type: "msra" }'
"""For trunks, which the published definitions read from files."""

PLACES = ("bbox_targets", "bbox_inside_weights", "bbox_outside_weights")


def layer(name: str, kind: str, bottoms: Sequence[str], tops: Sequence[str], text: str = "") -> str:
    read = " ".join(f'bottom: "{blob}"' for blob in bottoms)
    written = " ".join(f'top: "{blob}"' for blob in tops)
    return f'layer {{ name: "{name}" type: "{kind}" {read} {written} {text} }}\n'


def python(name: str, module: str, bottoms: Sequence[str], tops: Sequence[str], text: str) -> str:
    where, kind = module.rsplit(".", 1)
    param = f"python_param {{ module: '{where}' layer: '{kind}' param_str: \"{text}\" }}"
    return layer(name, "Python", bottoms, tops, param)


def convolution(name: str, bottom: str, number: int, size: int, text: str = "", relu: bool = True) -> str:
    fill = SPREAD if name.startswith("conv") else FILL
    param = f"convolution_param {{ num_output: {number} kernel_size: {size} {text} {fill} }}"
    made = layer(name, "Convolution", [bottom], [name], f"{LEARN} {param}")
    return made + (layer(f"relu_{name}", "ReLU", [name], [name]) if relu else "")


def inner_product(name: str, bottom: str, number: int, relu: bool = False, drop: bool = False) -> str:
    made = layer(
        name,
        "InnerProduct",
        [bottom],
        [name],
        f"{LEARN} inner_product_param {{ num_output: {number} {FILL} }}",
    )
    made += layer(f"relu_{name}", "ReLU", [name], [name]) if relu else ""
    text = "dropout_param { dropout_ratio: 0.5 scale_train: false }"
    return made + (layer(f"drop_{name}", "Dropout", [name], [name], text) if drop else "")


def pool(name: str, bottom: str, size: int, text: str = "") -> str:
    return layer(
        name,
        "Pooling",
        [bottom],
        [name],
        f"pooling_param {{ pool: MAX kernel_size: {size} stride: 2 {text} }}",
    )


def zf(thin: int) -> str:
    norm = "lrn_param { local_size: 3 alpha: 0.00005 beta: 0.75 norm_region: WITHIN_CHANNEL engine: CAFFE }"
    return (
        convolution("conv1", "data", 96 // thin, 7, "pad: 3 stride: 2")
        + layer("norm1", "LRN", ["conv1"], ["norm1"], norm)
        + pool("pool1", "norm1", 3, "pad: 1")
        + convolution("conv2", "pool1", 256 // thin, 5, "pad: 2 stride: 2")
        + layer("norm2", "LRN", ["conv2"], ["norm2"], norm)
        + pool("pool2", "norm2", 3, "pad: 1")
        + convolution("conv3", "pool2", 384 // thin, 3, "pad: 1")
        + convolution("conv4", "conv3", 384 // thin, 3, "pad: 1")
        + convolution("conv5", "conv4", 256 // thin, 3, "pad: 1")
    )


def vgg16(thin: int, last: str = "conv5") -> str:
    """Blobs conv1_1 to conv5_3, whose last one is called ``last``."""
    text, below = "", "data"
    for block, (number, convolutions) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], 1):
        for index in range(1, convolutions + 1):
            name = f"conv{block}_{index}"
            text += convolution(name, below, number // thin, 3, "pad: 1")
            below = name
        if block < 5:
            text += pool(f"pool{block}", below, 2)
            below = f"pool{block}"
    return text.replace('"conv5_3"', f'"{last}"')


def proposals(thin: int, features: str) -> str:
    """The region proposal network and its losses."""
    reshape = "reshape_param { shape { dim: 0 dim: %d dim: -1 dim: 0 } }"
    losses = (
        "propagate_down: 1 propagate_down: 0 loss_weight: 1 loss_param { ignore_label: -1 normalize: true }"
    )
    targets = [f"rpn_{name}" for name in PLACES]
    return (
        convolution("rpn_conv", features, 256 // thin, 3, "pad: 1")
        + convolution("rpn_cls_score", "rpn_conv", 18, 1, relu=False)
        + convolution("rpn_bbox_pred", "rpn_conv", 36, 1, relu=False)
        + layer("r", "Reshape", ["rpn_cls_score"], ["rpn_cls_score_reshape"], reshape % 2)
        + python(
            "rpn-data",
            "rpn.anchor_target_layer.AnchorTargetLayer",
            ["rpn_cls_score", "gt_boxes", "im_info", "data"],
            ["rpn_labels", *targets],
            "'feat_stride': 16",
        )
        + layer(
            "rpn_loss_cls",
            "SoftmaxWithLoss",
            ["rpn_cls_score_reshape", "rpn_labels"],
            ["rpn_cls_loss"],
            losses,
        )
        + layer(
            "rpn_loss_bbox",
            "SmoothL1Loss",
            ["rpn_bbox_pred", *targets],
            ["rpn_loss_bbox"],
            "loss_weight: 1 smooth_l1_loss_param { sigma: 3.0 }",
        )
    )


def regions(classes: int) -> str:
    """The regions that the second network learns from."""
    reshape = "reshape_param { shape { dim: 0 dim: 18 dim: -1 dim: 0 } }"
    return (
        layer("rpn_cls_prob", "Softmax", ["rpn_cls_score_reshape"], ["rpn_cls_prob"])
        + layer("rs", "Reshape", ["rpn_cls_prob"], ["rpn_cls_prob_reshape"], reshape)
        + python(
            "proposal",
            "rpn.proposal_layer.ProposalLayer",
            ["rpn_cls_prob_reshape", "rpn_bbox_pred", "im_info"],
            ["rpn_rois"],
            "'feat_stride': 16",
        )
        + python(
            "roi-data",
            "rpn.proposal_target_layer.ProposalTargetLayer",
            ["rpn_rois", "gt_boxes"],
            ["rois", "labels", *PLACES],
            f"'num_classes': {classes}",
        )
    )


def fast_rcnn(features: str, pooled: int, hidden: int) -> str:
    """Fast R-CNN's part, on ``features``."""
    size = f"roi_pooling_param {{ pooled_w: {pooled} pooled_h: {pooled} spatial_scale: 0.0625 }}"
    losses = (
        "propagate_down: 1 propagate_down: 0 loss_weight: 1 loss_param { ignore_label: -1 normalize: true }"
    )
    return (
        layer("roi_pool", "ROIPooling", [features, "rois"], ["roi_pool"], size)
        + inner_product("fc6", "roi_pool", hidden, relu=True, drop=True)
        + inner_product("fc7", "fc6", hidden, relu=True, drop=True)
        + inner_product("cls_score", "fc7", 21)
        + inner_product("bbox_pred", "fc7", 84)
        + layer("loss_cls", "SoftmaxWithLoss", ["cls_score", "labels"], ["loss_cls"], losses)
        + layer("loss_bbox", "SmoothL1Loss", ["bbox_pred", *PLACES], ["loss_bbox"], "loss_weight: 1")
    )


def roi_data(tops: Sequence[str]) -> str:
    return python("input-data", "roi_data_layer.layer.RoIDataLayer", [], tops, "'num_classes': 21")


def end_to_end(trunk: str, thin: int, features: str = "conv5", pooled: int = 6, hidden: int = 16) -> str:
    """faster_rcnn_end2end/train.prototxt."""
    made = roi_data(["data", "im_info", "gt_boxes"]) + trunk + proposals(thin, features)
    return made + regions(21) + fast_rcnn(features, pooled, hidden)


def first_stage(trunk: str, thin: int, hidden: int = 16) -> str:
    """faster_rcnn_alt_opt/stage1_rpn_train.pt."""
    filler = 'shape { dim: 1 dim: 9216 } data_filler { type: "gaussian" std: 0.01 }'
    return (
        roi_data(["data", "im_info", "gt_boxes"])
        + trunk
        + proposals(thin, "conv5")
        + layer("dummy", "DummyData", [], ["dummy"], f"dummy_data_param {{ {filler} }}")
        + inner_product("fc6", "dummy", hidden, relu=True).replace(
            LEARN, "param { lr_mult: 0 } param { lr_mult: 0 }"
        )
        + layer("silence_fc6", "Silence", ["fc6"], [])
    )


def second_stage(trunk: str, pooled: int = 6, hidden: int = 16) -> str:
    """faster_rcnn_alt_opt/stage1_fast_rcnn_train.pt, whose regions come from a file."""
    return roi_data(["data", "rois", "labels", *PLACES]) + trunk + fast_rcnn("conv5", pooled, hidden)


def r_fcn(trunk: str, thin: int, ohem: bool) -> str:
    """rfcn_end2end/train_agnostic.prototxt and train_agnostic_ohem.prototxt behind another trunk."""
    psroi = "psroi_pooling_param { spatial_scale: 0.0625 output_dim: %d group_size: 7 }"
    average = "pooling_param { pool: AVE kernel_size: 7 stride: 7 }"
    fixed = "loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 128 }"
    made = roi_data(["data", "im_info", "gt_boxes"]) + trunk + proposals(thin, "conv5") + regions(2)
    for name, number, top in (("cls", 21, "cls_score"), ("bbox", 8, "bbox_pred")):
        made += convolution(f"rfcn_{name}", "conv5", number * 49, 1, relu=False)
        made += layer(f"ps_{name}", "PSROIPooling", [f"rfcn_{name}", "rois"], [f"ps_{name}"], psroi % number)
        made += layer(f"ave_{name}", "Pooling", [f"ps_{name}"], [top], average)
    labels, weights, silent = "labels", "bbox_inside_weights", ["bbox_outside_weights"]
    still = "propagate_down: false "
    if ohem:
        made += (
            layer(
                "per_roi_loss_cls",
                "SoftmaxWithLossOHEM",
                ["cls_score", "labels"],
                ["temp_loss_cls", "temp_prob_cls", "per_roi_loss_cls"],
                "loss_weight: 0 " * 3 + still * 2,
            )
            + layer(
                "per_roi_loss_bbox",
                "SmoothL1LossOHEM",
                ["bbox_pred", "bbox_targets", "bbox_inside_weights"],
                ["temp_loss_bbox", "per_roi_loss_bbox"],
                "loss_weight: 0 " * 2 + still * 3,
            )
            + layer(
                "per_roi_loss",
                "Eltwise",
                ["per_roi_loss_cls", "per_roi_loss_bbox"],
                ["per_roi_loss"],
                still * 2,
            )
            + layer(
                "annotator_detector",
                "BoxAnnotatorOHEM",
                ["rois", "per_roi_loss", "labels", "bbox_inside_weights"],
                ["labels_ohem", "bbox_loss_weights_ohem"],
                "box_annotator_ohem_param { roi_per_img: 128 ignore_label: -1 } " + still * 4,
            )
        )
        labels, weights = "labels_ohem", "bbox_loss_weights_ohem"
        silent += ["temp_loss_cls", "temp_prob_cls", "temp_loss_bbox"]
    text = "loss_weight: 1 propagate_down: true propagate_down: false "
    ignored = "loss_param { ignore_label: -1 }" if ohem else ""
    return (
        made
        + layer("silence", "Silence", silent, [])
        + layer("loss", "SoftmaxWithLoss", ["cls_score", labels], ["loss_cls"], text + ignored)
        + layer(
            "loss_bbox",
            "SmoothL1LossOHEM",
            ["bbox_pred", "bbox_targets", weights],
            ["loss_bbox"],
            text + still + fixed,
        )
    )


def boxes(number: int, size: tuple[int, int], seed: int = 0, classes: int = 21) -> np.ndarray:
    """Rows (number, 5) of boxes and labels in an image of ``size`` (height, width); the last row is none."""
    rng = np.random.default_rng(seed)
    height, width = size
    first = rng.uniform(0, 0.5, (number, 2)) * (width, height)
    last = first + rng.uniform(0.3, 0.5, (number, 2)) * (width, height)
    rows = np.column_stack([first, last, rng.integers(1, classes, number)]).astype(np.float32)
    rows[-1] = 0
    return rows
