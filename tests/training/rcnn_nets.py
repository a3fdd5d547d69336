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


FIELDS = ((40, 8), (80, 16))
"""Sides of MS-CNN's fields and pixels between places, of two maps."""


def ms_cnn(thin: int, mode: str = "bootstrap") -> str:
    """kitti_car/mscnn-7s-384/trainval_2nd.prototxt, with two of its seven maps, at two images."""
    norm = "bbox_reg_param { bbox_mean: [0, 0, 0, 0] bbox_std: [0.1, 0.1, 0.2, 0.2] }"
    field = "field_h: {0} field_w: {0} field_whr: 2 field_xyr: 2 downsample_rate: {1}"
    data = "image_gt_data_param { batch_size: 2 coord_num: 4 output_gt_boxes: true field_w: 40 field_w: 80 }"
    made = layer("data", "ImageGtData", [], ["data", "label_1", "label_2", "gt_boxes"], data)
    made += vgg16(thin).split('layer { name: "pool4"')[0] + pool("pool4", "conv4_3", 2)
    made += convolution("conv5_1", "pool4", 512 // thin, 3, "pad: 1")
    names = []
    for index, (features, (side, stride)) in enumerate(zip(("conv4_3", "conv5_1"), FIELDS, strict=True), 1):
        name, label, sides = f"LFCN_{index}", f"label_{index}", field.format(side, stride)
        names.append(name)
        made += convolution(name, features, 9, 5, "pad: 2", relu=False)
        rule = f"cls_num: 5 coord_num: 4 lambda: 1 {sides} bb_smooth: true bg_threshold: 0.2 bg_multiple: 2"
        rule += f' sample_mode: "{mode}" pos_neg_weighted: true'
        text = f"detection_loss_param {{ {rule} }} loss_weight: 0.9"
        made += layer(f"loss_{index}", "DetectionLoss", [name, label], [f"loss_{index}"], text)
        text = f"detection_accuracy_param {{ cls_num: 5 coord_num: 4 {sides} }}"
        made += layer(
            f"acc_{index}", "DetectionAccuracy", [name, label], [f"acc_{index}", f"iou_{index}"], text
        )
    sides = " ".join(f"field_w: {side} field_h: {side} downsample_rate: {stride}" for side, stride in FIELDS)
    found = (
        f"box_output_param {{ fg_thr: -10 iou_thr: 0.65 {sides} field_whr: 2 field_xyr: 2 max_nms_num: 300 }}"
    )
    made += layer("proposals", "BoxOutput", names, ["proposals"], found + "propagate_down: 0 " * 2)
    drawn = "cls_num: 5 batch_size: 32 fg_fraction: 0.25 num_img_per_batch: 2 fg_thr: 0.5 bg_thr_hg: 0.49"
    drawn += " bg_thr_lw: 0.1 img_width: 64 img_height: 64"
    made += layer(
        "proposal_info",
        "ProposalTarget",
        ["proposals", "gt_boxes"],
        ["rois", "labels", *PLACES, "match_gt_boxes"],
        f"proposal_target_param {{ {drawn} }} {norm} propagate_down: 0 propagate_down: 0",
    )
    for name, pad in (("roi_org", 0), ("roi_ctx", 0.25)):
        size = f"pooled_w: 7 pooled_h: 7 spatial_scale: 0.125 pad_ratio: {pad}"
        made += layer(name, "ROIPooling", ["conv4_3", "rois"], [name], f"roi_pooling_param {{ {size} }}")
    made += layer("roi_pool", "Concat", ["roi_org", "roi_ctx"], ["roi_pool"])
    made += convolution("roi_c1", "roi_pool", 512 // thin, 3) + inner_product("fc6", "roi_c1", 16, relu=True)
    made += inner_product("cls_pred", "fc6", 5) + inner_product("bbox_pred", "fc6", 20)
    still = "loss_weight: 1 propagate_down: 1 propagate_down: 0"
    return (
        made
        + layer("loss_cls", "SoftmaxWithLoss", ["cls_pred", "labels"], ["loss_cls"], still)
        + layer("loss_bbox", "SmoothL1Loss", ["bbox_pred", *PLACES], ["loss_bbox"], "loss_weight: 1")
        + layer("bbox_iou", "BboxAccuracy", ["bbox_pred", "rois", "match_gt_boxes"], ["iou", "iou_pre"], norm)
    )


def cascade(thin: int) -> str:
    """voc/alex-9s-600-rpn-cascade/train.prototxt behind ZF, with two of its fields and of its stages."""
    sides = "field_w: 64 field_h: 32 field_w: 32 field_h: 64 stride: 16"
    reshape = "reshape_param { shape { dim: -1 dim: %d dim: 0 dim: 0 } }"
    made = layer(
        "data",
        "DetectionData",
        [],
        ["data", "label_1", "label_2", "gt_boxes"],
        "detection_data_param { batch_size: 2 }",
    )
    made += layer("group", "Concat", ["label_1", "label_2"], ["group"], "concat_param { axis: 1 }")
    made += layer("label", "Reshape", ["group"], ["label"], reshape % 6) + zf(thin)
    for name, number in (("cls", 2), ("bbox", 4)):
        made += convolution(f"rpn_{name}", "conv5", 2 * number, 1, relu=False)
        made += layer(f"r_{name}", "Reshape", [f"rpn_{name}"], [f"r_{name}"], reshape % number)
    rule = f"batch_size: 64 cls_num: 2 lambda: 1 {sides} field_whr: 8 field_xyr: 1 bg_threshold: 0.3"
    rule += ' bg_multiple: 1 neg_mining_type: "random" objectness: true bbox_loss_type: "Smooth_L1"'
    read = ["r_cls", "r_bbox", "label"]
    made += layer(
        "rpn_loss", "DetectionGroupLoss", read, ["rpn_loss"], f"detection_group_loss_param {{ {rule} }}"
    )
    rule = f"cls_num: 2 {sides} field_whr: 8 field_xyr: 1 objectness: true"
    made += layer(
        "rpn_acc",
        "DetectionGroupAccuracy",
        read,
        ["acc", "box_iou"],
        f"detection_group_accuracy_param {{ {rule} }}",
    )
    made += layer("prob", "Softmax", ["r_cls"], ["prob"], "softmax_param { axis: 1 }")
    rule = (
        f"fg_thr: 0.01 iou_thr: 0.7 box_group_param {{ {sides} }} field_whr: 8 field_xyr: 1 max_nms_num: 300"
    )
    below = "proposals"
    made += layer(
        below,
        "BoxGroupOutput",
        ["prob", "r_bbox"],
        [below],
        f"box_group_output_param {{ {rule} }} propagate_down: 0 propagate_down: 0",
    )
    for stage, (batch, edge, std) in enumerate(((32, 0.5, 0.1), (-1, 0.6, 0.05)), 1):
        own = {name: f"{name}_{stage}" for name in ("rois", "labels", *PLACES, "match")}
        places = [own[name] for name in PLACES]
        norm = f"bbox_mean: [0, 0, 0, 0] bbox_std: [{std}, {std}, {2 * std}, {2 * std}]"
        norm = f"bbox_reg_param {{ cls_aware: false {norm} }}"
        drawn = f"cls_num: 21 batch_size: {batch} fg_fraction: 0.25 num_img_per_batch: 2 fg_thr: {edge}"
        drawn += f" bg_thr_hg: {edge} bg_thr_lw: 0 img_width: 64 img_height: 64"
        text = f"proposal_target_param {{ {drawn} }} {norm} propagate_down: 0 propagate_down: 0"
        made += layer(f"info_{stage}", "ProposalTarget", [below, "gt_boxes"], list(own.values()), text)
        size = "roi_pooling_param { pooled_w: 6 pooled_h: 6 spatial_scale: 0.0625 pad_ratio: 0 }"
        made += layer(
            f"pool_{stage}",
            "ROIPooling",
            ["conv5", own["rois"]],
            [f"pool_{stage}"],
            size + "propagate_down: 1 propagate_down: 0",
        )
        made += inner_product(f"fc_{stage}", f"pool_{stage}", 16, relu=True)
        made += inner_product(f"cls_{stage}", f"fc_{stage}", 21) + inner_product(
            f"bbox_{stage}", f"fc_{stage}", 8
        )
        still = "propagate_down: 1 propagate_down: 0 "
        made += layer(
            f"loss_cls_{stage}",
            "SoftmaxWithLoss",
            [f"cls_{stage}", own["labels"]],
            [f"loss_cls_{stage}"],
            still,
        )
        made += layer(
            f"loss_bbox_{stage}",
            "SmoothL1Loss",
            [f"bbox_{stage}", *places],
            [f"loss_bbox_{stage}"],
            still + "propagate_down: 0 " * 2,
        )
        found = [f"bbox_{stage}", own["rois"], own["match"]]
        made += layer(f"iou_{stage}", "BboxAccuracy", found, [f"iou_{stage}"], norm)
        below = f"proposals_{stage + 1}"
        if stage == 1:
            made += layer(below, "DecodeBBox", found, [below], norm + "propagate_down: 0 " * 3)
    return made


def field_labels(seed: int, size: tuple[int, int], stride: int, classes: int) -> np.ndarray:
    """Labels, right boxes and overlaps of the places of a map of ``size``, (2, 6, H, W)."""
    rng = np.random.default_rng(seed)
    shape = (2, *size)
    label = rng.integers(1, classes, shape) * (rng.random(shape) < 0.2)
    row, column = np.indices(shape[1:])
    centre = np.stack([column, row], -1) * stride + rng.uniform(0, stride, (*shape, 2))
    parts = [label[..., None], centre, rng.uniform(20, 90, (*shape, 2)), rng.uniform(0, 0.3, (*shape, 1))]
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, 1).astype(np.float32)


def image_boxes(size: tuple[int, int], classes: int, columns: int) -> np.ndarray:
    """Rows (6, columns) of boxes in two images, with their labels; none is ignored."""
    rows = np.zeros((6, columns), np.float32)
    rows[:, 1:6] = boxes(7, size, classes=classes)[:6]
    rows[:, 0] = np.arange(6) % 2
    return rows


def ohem(trunk: str, hidden: int = 16) -> str:
    """fast_rcnn/train.prototxt of OHEM: a readonly net finds the regions that the net behind it learns."""
    tops = ["rois", "labels", *PLACES]
    made = roi_data(["data", *tops]) + trunk
    for end in ("_readonly", ""):
        mined = tops if end else [f"{name}_hard" for name in tops]
        if not end:
            read = ["cls_prob_readonly", "bbox_pred_readonly", *tops]
            made += python(
                "hard_roi_mining", "roi_data_layer.layer.OHEMDataLayer", read, mined, "'num_classes': 21"
            ).replace(" python_param", " propagate_down: false" * 7 + " python_param")
        size = "roi_pooling_param { pooled_w: 6 pooled_h: 6 spatial_scale: 0.0625 }"
        flags = f"propagate_down: {'false' if end else 'true'} propagate_down: false "
        made += layer(f"pool{end}", "ROIPooling", ["conv5", mined[0]], [f"pool{end}"], flags + size)
        for name, below, number in (
            ("fc6", "pool", hidden),
            ("cls_score", "fc6", 21),
            ("bbox_pred", "fc6", 84),
        ):
            shared = f'param {{ name: "{name}_w" }} param {{ name: "{name}_b" }}'
            made += inner_product(f"{name}{end}", f"{below}{end}", number).replace(LEARN, shared)
        if end:
            made += layer("prob", "Softmax", ["cls_score_readonly"], ["cls_prob_readonly"])
    losses = "propagate_down: 1 propagate_down: 0 loss_weight: 1"
    made += layer("loss_cls", "SoftmaxWithLoss", ["cls_score", "labels_hard"], ["loss_cls"], losses)
    hard = [f"{name}_hard" for name in PLACES]
    return made + layer("loss_bbox", "SmoothL1Loss", ["bbox_pred", *hard], ["loss_bbox"], "loss_weight: 1")
