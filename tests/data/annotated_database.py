"""A database of AnnotatedDatums, and a small SSD for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from small_ssd import ssd_head, ssd_loss

from vggrepro.caffe.messages import AnnotatedDatum
from vggrepro.data.lmdb_writer import new_lmdb

LAYER = """
layer { name: "data" type: "AnnotatedData" top: "data" top: "label" transform_param { TRANSFORM }
  data_param { source: "db" batch_size: 2 backend: LMDB } annotated_data_param { ANNOTATED } }
"""
Box = tuple[int, int, tuple[float, float, float, float], bool]
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 12, 16, 3), dtype=np.uint8)
BOXES: list[list[Box]] = [
    [(1, 0, (0.1, 0.2, 0.5, 0.6), False), (1, 1, (0.3, 0.3, 0.9, 1.0), True), (4, 0, (0, 0, 1, 1), False)],
    [],
    [
        (2, 0, (-0.6, 0.25, 0.4, 0.5), False),
        (2, 1, (1.2, 0.1, 1.5, 0.3), False),
        (3, 0, (0.5, 0.5, 0.5, 0.9), False),
    ],
]


def record(picture: np.ndarray, boxes: Sequence[Box], *, encoded: bool) -> bytes:
    made = AnnotatedDatum(type=AnnotatedDatum.BBOX)
    if encoded:
        made.datum.data, made.datum.encoded = cv2.imencode(".png", picture)[1].tobytes(), True
    else:
        made.datum.channels, made.datum.height, made.datum.width = 3, *picture.shape[:2]
        made.datum.data = picture.transpose(2, 0, 1).tobytes()
    for label, instance, corners, difficult in boxes:
        same = [group for group in made.annotation_group if group.group_label == label]
        annotation = (same[0] if same else made.annotation_group.add(group_label=label)).annotation.add(
            instance_id=instance
        )
        for name, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            setattr(annotation.bbox, name, value)
        annotation.bbox.difficult = difficult
    return made.SerializeToString()


def write_database(folder: Path) -> None:
    """The three pictures and their boxes in ``folder/db``; the second one is stored without encoding."""
    with new_lmdb(folder / "db") as writer:
        for number, (picture, boxes) in enumerate(zip(PICTURES, BOXES, strict=True)):
            writer.put(f"{number:08}".encode(), record(picture, boxes, encoded=number != 1))


SSD = ssd_head(5) + ssd_loss(5)
DETECTIONS = """
layer { name: "conf_reshape" type: "Reshape" bottom: "conf_flat" top: "conf_reshape" include { phase: TEST }
  reshape_param { shape { dim: 0 dim: -1 dim: 5 } } }
layer { name: "conf_softmax" type: "Softmax" bottom: "conf_reshape" top: "conf_softmax"
  include { phase: TEST } softmax_param { axis: 2 } }
layer { name: "flat" type: "Flatten" bottom: "conf_softmax" top: "flat" include { phase: TEST } }
layer { name: "found" type: "DetectionOutput" bottom: "loc_flat" bottom: "flat" bottom: "prior" top: "found"
  include { phase: TEST } detection_output_param { num_classes: 5 background_label_id: 0 keep_top_k: 20
  nms_param { nms_threshold: 0.6 } confidence_threshold: 0.01 code_type: CENTER_SIZE } }
layer { name: "eval" type: "DetectionEvaluate" bottom: "found" bottom: "label" top: "eval"
  include { phase: TEST } detection_evaluate_param { num_classes: 5 overlap_threshold: 0.2
  evaluate_difficult_gt: false } }
"""
"""What SSD's nets have in phase TEST in place of the loss."""
