"""DenseImageData: images and the pictures of their labels from a list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feed_case import feed_of
from numpy.testing import assert_array_equal

from vggrepro import Solver, pycaffe
from vggrepro.cli.main import main
from vggrepro.data.feeds.dense_image import read_pairs
from vggrepro.data.opencv import opencv
from vggrepro.errors import DataError, UnsupportedError

cv2 = opencv()
rng = np.random.default_rng(5)
IMAGES = rng.integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
LABELS = rng.integers(0, 12, (3, 4, 6), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"i{number}.png"), IMAGES[number])
        cv2.imwrite(str(tmp_path / f"l{number}.png"), LABELS[number])
    (tmp_path / "list").write_text("i0.png l0.png\ni1.png  l1.png\n\ni2.png\tl2.png\n")
    return tmp_path


def dense(fields: str = "", transform: str = "", source: str = "list") -> str:
    data = f'dense_image_data_param {{ source: "{source}" batch_size: 2 {fields} }}'
    return f'type: "DenseImageData" {data} transform_param {{ {transform} }}'


def test_images_and_labels_in_turn(folder: Path) -> None:
    feed = feed_of(dense(), folder=folder)
    for iteration, chosen in enumerate(([0, 1], [2, 0], [1, 2])):
        batch = feed.batch(iteration)
        assert_array_equal(batch["data"], IMAGES[chosen].transpose(0, 3, 1, 2))
        assert_array_equal(batch["label"], LABELS[chosen][:, None])
        assert batch["data"].dtype == batch["label"].dtype == np.float32
    assert feed.place(1, 0) == f"{folder / 'list'}: i2.png"


def test_mean_and_scale_leave_the_labels_alone(folder: Path) -> None:
    batch = feed_of(dense(transform="mean_value: 8 scale: 0.5"), folder=folder).batch(0)
    assert_array_equal(batch["data"], (IMAGES[:2].transpose(0, 3, 1, 2) - np.float32(8)) / 2)
    assert_array_equal(batch["label"], LABELS[:2, None])


def test_labels_are_resized_to_the_nearest_place(folder: Path) -> None:
    batch = feed_of(dense("new_height: 8 new_width: 3"), folder=folder).batch(0)
    assert_array_equal(batch["label"], LABELS[:2].repeat(2, axis=1)[:, None, :, ::2])
    expected = cv2.resize(IMAGES[1], (3, 8), interpolation=cv2.INTER_LINEAR)
    assert_array_equal(batch["data"][1], expected.transpose(2, 0, 1))


def test_grey_images_below_a_folder(folder: Path) -> None:
    """The folder is the beginning of both names."""
    (folder / "short").write_text("0.png 0.png")
    text = dense(f'is_color: false root_folder: "{folder}/l"', source="short")
    batch = feed_of(text, folder=folder).batch(0)
    assert_array_equal(batch["data"], LABELS[[0, 0], None])
    assert_array_equal(batch["data"], batch["label"])


def test_shuffling_keeps_images_and_labels_together(folder: Path) -> None:
    feed = feed_of(dense("shuffle: true"), folder=folder, seed=4)
    seen = [feed.batch(iteration) for iteration in range(3)]
    images = np.concatenate([batch["data"] for batch in seen]).transpose(0, 2, 3, 1)
    order = [next(n for n in range(3) if np.array_equal(image, IMAGES[n])) for image in images]
    assert sorted(order[:3]) == sorted(order[3:]) == [0, 1, 2]
    assert_array_equal(np.concatenate([batch["label"] for batch in seen])[:, 0], LABELS[order])


def test_what_is_refused(folder: Path) -> None:
    for transform in ("mirror: true", "crop_size: 3"):
        with pytest.raises(UnsupportedError, match="mirror and crop_size"):
            feed_of(dense(transform=transform), folder=folder)
    with pytest.raises(DataError, match="new_height and new_width"):
        feed_of(dense("new_height: 3"), folder=folder)
    (folder / "list").write_text("i0.png l0.png i1.png")
    with pytest.raises(DataError, match=r"no labels for 'i1\.png'"):
        read_pairs(folder / "list")
    (folder / "list").write_text("\n")
    with pytest.raises(DataError, match="File is empty"):
        read_pairs(folder / "list")


def test_labels_of_another_size_are_named(folder: Path) -> None:
    cv2.imwrite(str(folder / "l1.png"), LABELS[1][:, :5])
    with pytest.raises(DataError, match=r"l1\.png: Input and label .* must match: \(4, 6\) and \(4, 5\)"):
        feed_of(dense(), folder=folder).batch(0)


NET = """
layer { name: "data" type: "DenseImageData" top: "data" top: "label"
  dense_image_data_param { source: "list" batch_size: 2 FIELD } }
layer { name: "score" type: "Convolution" bottom: "data" top: "score" convolution_param {
  num_output: 12 kernel_size: 1 weight_filler { type: "gaussian" std: 0.001 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""


@pytest.fixture
def solver(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    (folder / "net.prototxt").write_text(NET.replace("FIELD", ""))
    (folder / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.00001 lr_policy: "fixed" max_iter: 2 snapshot_prefix: "snap"'
        " solver_mode: CPU"
    )
    return "solver.prototxt"


@pytest.mark.parametrize("command", [["train-ilsvrc", "--config"], ["caffe", "train", "-solver"]])
def test_a_net_trains_from_its_list(solver: str, command: list[str]) -> None:
    try:
        assert main([*command, solver]) == 0
    finally:
        pycaffe.allow_python_layers(False)
    assert Path("snap_iter_2.caffemodel").exists()


def test_a_given_shape_of_the_images_makes_inputs_of_it(solver: str) -> None:
    """Then no list is read, and fields of SegNet's descendants do not matter."""
    Path("net.prototxt").write_text(NET.replace("FIELD", 'root_folder_label: "x"'))
    with pytest.raises(RuntimeError, match="root_folder_label"):
        pycaffe.Net("net.prototxt", pycaffe.TRAIN)
    shapes = {"data": (2, 3, 4, 6)}
    pycaffe.set_fork_rules(input_shapes=shapes)
    try:
        assert pycaffe.Net("net.prototxt", pycaffe.TRAIN).inputs == ["data", "label"]
    finally:
        pycaffe.set_fork_rules()
    training = Solver(solver, input_shapes=shapes)
    training.step([{"data": IMAGES[:2].transpose(0, 3, 1, 2), "label": LABELS[:2, None]}])
    assert training.iteration == 1
