"""ImageSegData: images and their segmentations from DeepLab's list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feed_case import feed_of
from numpy.testing import assert_array_equal

from vggrepro import pycaffe
from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.cli.main import main
from vggrepro.data.feeds.image_seg import read_entries
from vggrepro.data.opencv import opencv
from vggrepro.errors import DataError, UnsupportedError

cv2 = opencv()
rng = np.random.default_rng(9)
IMAGES = rng.integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
LABELS = rng.integers(0, 21, (3, 4, 6), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"i{number}.png"), IMAGES[number])
        cv2.imwrite(str(tmp_path / f"l{number}.png"), LABELS[number])
    (tmp_path / "list").write_text("/i0.png /l0.png\n/i1.png /l1.png\n/i2.png /l2.png\n")
    (tmp_path / "images").write_text("/i0.png 7\n/i1.png 255\n/i2.png 0\n")
    return tmp_path


def seg(folder: Path, fields: str = "label_type: PIXEL", transform: str = "", source: str = "list") -> str:
    data = f'image_data_param {{ source: "{source}" root_folder: "{folder}" {fields} }}'
    return f'top: "dim" type: "ImageSegData" {data} transform_param {{ {transform} }}'


def planes(*numbers: int) -> np.ndarray:
    return IMAGES[list(numbers)].transpose(0, 3, 1, 2)


def test_images_labels_and_sizes_in_turn(folder: Path) -> None:
    text = seg(folder, "label_type: PIXEL batch_size: 2", "mean_value: 8 scale: 0.5")
    feed = feed_of(text, folder=folder)
    for iteration, chosen in enumerate(([0, 1], [2, 0])):
        batch = feed.batch(iteration)
        assert_array_equal(batch["data"], (planes(*chosen) - np.float32(8)) / 2)
        assert_array_equal(batch["label"], LABELS[chosen][:, None])
        assert_array_equal(batch["dim"], np.full((2, 1, 1, 2), [4, 6]))
        assert {array.dtype for array in batch.values()} == {np.dtype(np.float32)}
    assert feed.place(1, 0) == f"{folder / 'list'}: /i2.png"


def test_a_larger_crop_has_the_mean_and_no_label_on_the_right_and_below(folder: Path) -> None:
    text = seg(
        folder, "label_type: PIXEL ignore_label: 99", "crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3"
    )
    batch = feed_of(text, TRAIN, folder=folder).batch(1)
    expected = planes(1) - np.float32([1, 2, 3]).reshape(1, 3, 1, 1)
    assert_array_equal(batch["data"], np.pad(expected, [(0, 0), (0, 0), (0, 4), (0, 2)]))
    assert_array_equal(batch["label"][0], np.pad(LABELS[1:2], [(0, 0), (0, 4), (0, 2)], constant_values=99))
    assert_array_equal(batch["dim"].ravel(), [4, 6])


def test_crops_and_mirroring_are_those_of_the_image(folder: Path) -> None:
    feed = feed_of(seg(folder, "label_type: PIXEL", "crop_size: 3 mirror: true"), TRAIN, folder=folder)
    seen = set()
    for iteration in range(0, 60, 3):
        batch = feed.batch(iteration)
        image, label = batch["data"][0], batch["label"][0]
        (found,) = {
            (top, left, step)
            for top in range(2)
            for left in range(4)
            for step in (1, -1)
            if np.array_equal(planes(0)[0, :, top : top + 3, left : left + 3][:, :, ::step], image)
        }
        top, left, step = found
        assert_array_equal(label, LABELS[:1, top : top + 3, left : left + 3][:, :, ::step])
        assert_array_equal(batch["dim"].ravel(), [3, 3])
        seen.add(found)
    assert len(seen) > 5
    centre = feed_of(seg(folder, "label_type: PIXEL", "crop_size: 2"), folder=folder).batch(0)
    assert_array_equal(centre["label"][0], LABELS[:1, 1:3, 2:4])


def test_scale_factors_are_drawn(folder: Path) -> None:
    text = seg(folder, "label_type: PIXEL", "scale_factors: 0.5 scale_factors: 1 scale_factors: 2")
    feed = feed_of(text, TRAIN, folder=folder)
    seen = {}
    for iteration in range(0, 60, 3):
        batch = feed.batch(iteration)
        seen[batch["label"].shape[2:]] = batch
    assert set(seen) == {(2, 3), (4, 6), (8, 12)}
    assert_array_equal(seen[8, 12]["label"][0, 0], LABELS[0].repeat(2, axis=0).repeat(2, axis=1))
    expected = cv2.resize(IMAGES[0], (12, 8), interpolation=cv2.INTER_LINEAR)
    assert_array_equal(seen[8, 12]["data"][0], expected.transpose(2, 0, 1))
    with pytest.raises(UnsupportedError, match="scale_factors"):
        feed_of(text.replace("ImageSegData", "ImageData"), folder=folder)


def test_labels_of_whole_images_and_none(folder: Path) -> None:
    """IMAGE is the default."""
    whole = feed_of(seg(folder, "batch_size: 3", source="images"), folder=folder).batch(0)["label"]
    assert_array_equal(whole, np.float32([7, 255, 0]).reshape(3, 1, 1, 1) + np.zeros((3, 1, 4, 6)))
    none = feed_of(seg(folder, "label_type: NONE is_color: false"), folder=folder).batch(0)
    assert none["data"].shape == (1, 1, 4, 6) and (none["label"] == 255).all()


def test_a_size_of_images(folder: Path) -> None:
    batch = feed_of(seg(folder, "label_type: PIXEL new_height: 8 new_width: 3"), folder=folder).batch(0)
    assert_array_equal(batch["label"][0, 0], LABELS[0].repeat(2, axis=0)[:, ::2])
    assert_array_equal(batch["dim"].ravel(), [4, 3])


def test_what_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="does not support mean file"):
        feed_of(seg(folder, transform='mean_file: "m"'), folder=folder)
    with pytest.raises(DataError, match=r"list: /i0\.png: .* label of 0 to 255, got '/l0\.png'"):
        feed_of(seg(folder, ""), folder=folder).batch(0)
    with pytest.raises(DataError, match="as many as channels: 3"):
        feed_of(seg(folder, transform="crop_size: 9 mean_value: 1 mean_value: 2"), folder=folder).batch(0)
    cv2.imwrite(str(folder / "l0.png"), LABELS[0][:, :5])
    with pytest.raises(DataError, match=r"l0\.png: Input and label .* must match: \(4, 6\) and \(4, 5\)"):
        feed_of(seg(folder), folder=folder).batch(0)
    (folder / "list").write_text("a\n")
    assert read_entries(folder / "list", labelled=False) == (("a", ""),)
    with pytest.raises(DataError, match=r"list:1: .* no labels for 'a'"):
        read_entries(folder / "list", labelled=True)
    (folder / "list").write_text("\n")
    with pytest.raises(DataError, match="File is empty"):
        read_entries(folder / "list", labelled=True)


def edges(folder: Path, fields: str = "", transform: str = "") -> str:
    data = f'image_data_param {{ source: "list" root_folder: "{folder}" batch_size: 1 {fields} }}'
    return f'type: "ImageLabelmapData" {data} transform_param {{ {transform} }}'


def test_edges_are_0_and_1_or_fractions(folder: Path) -> None:
    drawn = np.uint8([[0, 1, 127, 128, 200, 255]] * 4)
    cv2.imwrite(str(folder / "l1.png"), drawn)
    batch = feed_of(edges(folder, transform="mean_value: 8 scale: 2"), folder=folder).batch(1)
    assert_array_equal(batch["data"], (planes(1) - np.float32(8)) * 2)
    assert_array_equal(batch["label"], [[[[0, 0, 0, 1, 1, 1]] * 4]])
    grey = feed_of(edges(folder, "grey_labels: true"), folder=folder).batch(1)["label"]
    assert_array_equal(grey, (drawn / np.float32(255))[None, None])
    assert batch["label"].dtype == grey.dtype == np.float32


def test_edges_are_cut_as_the_image_and_at_random_in_both_phases(folder: Path) -> None:
    feed = feed_of(edges(folder, "grey_labels: true", "crop_size: 3 mirror: true"), TEST, folder=folder)
    seen = set()
    for iteration in range(0, 60, 3):
        batch = feed.batch(iteration)
        (found,) = {
            (top, left, step)
            for top in range(2)
            for left in range(4)
            for step in (1, -1)
            if np.array_equal(planes(0)[0, :, top : top + 3, left : left + 3][:, :, ::step], batch["data"][0])
        }
        top, left, step = found
        wanted = LABELS[0, top : top + 3, left : left + 3][:, ::step] / np.float32(255)
        assert_array_equal(batch["label"][0, 0], wanted)
        seen.add(found)
    assert len(seen) > 5


def test_edges_are_resized_between_places(folder: Path) -> None:
    batch = feed_of(edges(folder, "grey_labels: true new_height: 8 new_width: 3"), folder=folder).batch(0)
    expected = cv2.resize(LABELS[0], (3, 8), interpolation=cv2.INTER_LINEAR)
    assert_array_equal(batch["label"][0, 0], expected / np.float32(255))


NET = """
layer { name: "data" type: "ImageSegData" top: "data" top: "label" top: "data_dim"
  transform_param { crop_size: 5 mirror: true mean_value: 104 mean_value: 117 mean_value: 123 }
  image_data_param { source: "list" root_folder: "." batch_size: 2 shuffle: true label_type: PIXEL } }
layer { name: "silence" type: "Silence" bottom: "data_dim" }
layer { name: "score" type: "Convolution" bottom: "data" top: "score" convolution_param {
  num_output: 21 kernel_size: 1 weight_filler { type: "gaussian" std: 0.001 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss"
  loss_param { ignore_label: 255 } }
"""


@pytest.mark.parametrize("command", [["train-ilsvrc", "--config"], ["caffe", "train", "-solver"]])
def test_a_net_trains_from_its_list(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(folder)
    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.00001 lr_policy: "fixed" max_iter: 2 snapshot_prefix: "snap"'
        " solver_mode: CPU test_iter: 0 test_interval: 1"
    )
    try:
        assert main([*command, "solver.prototxt"]) == 0
    finally:
        pycaffe.allow_python_layers(False)
    assert Path("snap_iter_2.caffemodel").exists()
    net = pycaffe.Net("net.prototxt", pycaffe.TRAIN)
    assert np.isfinite(net.forward()["loss"]) and net.blobs["data_dim"].data.tolist() == [[[[4, 5]]]] * 2
