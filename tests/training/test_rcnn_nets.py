"""Train definitions of the R-CNN family: they load, become forward and gradient graphs, and learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rcnn_nets as nets

from vggrepro.graph.backward import build_gradient
from vggrepro.graph.forward import build_forward
from vggrepro.net import load_net
from vggrepro.training.solver import Solver

THIN = 32
SIZE = (208, 224)
SOLVER = 'train_net: "net.prototxt" base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 random_seed: 1'


def image(seed: int = 0) -> dict[str, np.ndarray]:
    return {"data": np.random.default_rng(seed).normal(0, 1, (1, 3, *SIZE)).astype(np.float32)}


def boxes() -> dict[str, np.ndarray]:
    return {**image(), "im_info": np.float32([[*SIZE, 1]]), "gt_boxes": nets.boxes(4, SIZE)}


def regions() -> dict[str, np.ndarray]:
    """What RoIDataLayer gives where the regions come from a file."""
    rows = nets.boxes(9, SIZE)[:8]
    own = np.eye(21, dtype=np.float32)[rows[:, 4].astype(int)].repeat(4, axis=1)
    return {
        **image(),
        "rois": np.column_stack([np.zeros(8), rows[:, :4]]).astype(np.float32),
        "labels": rows[:, 4],
        **dict.fromkeys(nets.PLACES, own),
    }


def fields(classes: int, maps: list[tuple[tuple[int, int], int]], columns: int) -> dict[str, np.ndarray]:
    """What ImageGtData and DetectionData give; ``maps``: sizes and strides."""
    size = (96, 128)
    return {
        "data": np.random.default_rng(0).normal(0, 1, (2, 3, *size)).astype(np.float32),
        "label_1": nets.field_labels(1, *maps[0], classes),
        "label_2": nets.field_labels(2, *maps[1], classes),
        "gt_boxes": nets.image_boxes(size, classes, columns),
    }


CASES = {
    "ZF end2end": (nets.end_to_end(nets.zf(THIN), THIN), boxes()),
    "VGG16 end2end": (nets.end_to_end(nets.vgg16(THIN), THIN, pooled=7), boxes()),
    "ZF stage 1, proposals": (
        nets.first_stage(nets.zf(THIN), THIN),
        {**boxes(), "dummy": np.zeros((1, 9216), np.float32)},
    ),
    "VGG16 stage 1, proposals": (
        nets.first_stage(nets.vgg16(THIN), THIN),
        {**boxes(), "dummy": np.zeros((1, 9216), np.float32)},
    ),
    "ZF stage 1, Fast R-CNN": (nets.second_stage(nets.zf(THIN)), regions()),
    "VGG16 stage 1, Fast R-CNN": (nets.second_stage(nets.vgg16(THIN), pooled=7), regions()),
    "R-FCN": (nets.r_fcn(nets.zf(THIN), THIN, ohem=False), boxes()),
    "R-FCN with OHEM": (nets.r_fcn(nets.zf(THIN), THIN, ohem=True), boxes()),
    "Fast R-CNN with OHEM": (nets.ohem(nets.zf(THIN)), regions()),
    "MS-CNN": (nets.ms_cnn(THIN), fields(5, [((12, 16), 8), ((6, 8), 16)], 7)),
    "MS-CNN, mixture": (nets.ms_cnn(THIN, "mixture"), fields(5, [((12, 16), 8), ((6, 8), 16)], 7)),
    "Cascade R-CNN": (nets.cascade(THIN), fields(21, [((7, 9), 16)] * 2, 8)),
}


def solver_of(folder: Path, text: str, feed: dict[str, np.ndarray]) -> Solver:
    (folder / "net.prototxt").write_text(text)
    path = folder / "solver.prototxt"
    path.write_text(f'{SOLVER} snapshot_prefix: "{folder}/snap"')
    return Solver(path, threads=1, input_shapes={name: array.shape for name, array in feed.items()})


@pytest.mark.parametrize("name", CASES)
def test_definitions_learn(tmp_path: Path, name: str) -> None:
    text, feed = CASES[name]
    solver = solver_of(tmp_path, text, feed)
    shapes = {blob: array.shape for blob, array in feed.items()}
    net = load_net(tmp_path / "net.prototxt", phase="TRAIN", input_shapes=shapes)
    assert build_forward(net).skeleton is not None
    assert build_gradient(net).gradients
    before = {key: value.copy() for key, value in solver.params.items()}
    losses = [solver.step([feed]) for _ in range(2)]
    assert np.isfinite(losses).all() and min(losses) > 0
    moved = {key for key, value in solver.params.items() if (value != before[key]).any()}
    trunk = [key for key in before if key.startswith("conv") and key.endswith(":0")]
    expected = {trunk[0], trunk[-1]}
    assert expected <= moved
    assert all(np.isfinite(value).all() for value in solver.params.values())


@pytest.mark.parametrize("fork", ["r-fcn", "r-fcn-ohem"])
def test_the_batch_of_a_fork(tmp_path: Path, fork: str) -> None:
    text, feed = CASES["R-FCN with OHEM"]
    (tmp_path / "net.prototxt").write_text(text)
    shapes = {blob: array.shape for blob, array in feed.items()}
    net = load_net(tmp_path / "net.prototxt", phase="TRAIN", input_shapes=shapes, fork=fork)
    assert net.shapes["rpn_rois"] == (300, 5)
    assert net.shapes["rois"] == ((128 if fork == "r-fcn" else 304), 5, 1, 1)
    assert build_gradient(net).gradients
