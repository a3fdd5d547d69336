"""The forks of Caffe that can be named, and what tells them.

Command lines offer their names: nothing is imported here.
"""

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
    "naibaf7": {"EuclideanLoss": "loss_param { by_element: true }"},
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
    "synopsys": {"MatMul": "matmul_param { last_axes: true }"},
    "textboxes": {"PriorBox": "prior_box_param { denser_prior_boxes: true }"},
    "video-caffe": {"NdPooling": "pooling_param { round_mode: CEIL }"},
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

FROM = {"ImageLabelmapData": "hed", "MergeCrop": "naibaf7"}
"""Types of layers that come from a fork, and are in descendants of it with other rules: they hint at it."""
