"""WindowData against arithmetic that is written down anew: pixel by pixel, in double precision."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from feed_case import feed_of
from google.protobuf import text_format
from numpy.testing import assert_allclose, assert_array_equal

from vggrepro.caffe.messages import TRAIN, LayerParameter
from vggrepro.caffe.snapshot import write_blob
from vggrepro.data.feeds import folder_of
from vggrepro.data.feeds.window_feed import cut_of
from vggrepro.data.feeds.window_file import Window
from vggrepro.errors import DataError

ROWS, COLUMNS, SIZE = 40, 50, 12
PICTURE = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pics").mkdir()
    cv2.imwrite(str(tmp_path / "pics" / "p.png"), PICTURE)
    return tmp_path


def write_windows(folder: Path, *windows: tuple[int, float, int, int, int, int]) -> None:
    lines = [" ".join(map(str, window)) for window in windows]
    text = "\n".join(["# 0", "p.png", "3", str(ROWS), str(COLUMNS), str(len(lines)), *lines])
    (folder / "w.txt").write_text(text)


def layer(more: str = "", transform: str = "", batch: int = 4) -> str:
    return (
        'type: "WindowData" window_data_param { source: "w.txt" root_folder: "pics/"'
        f" batch_size: {batch} {more} }} transform_param {{ crop_size: {SIZE} {transform} }}"
    )


def nearest(value: float) -> int:
    return math.floor(value + 0.5) if value >= 0 else -math.floor(-value + 0.5)


def expected(box: tuple[int, int, int, int], pad: int, square: bool, mirrored: bool) -> np.ndarray:
    """A crop of zeros where the image, enlarged by the context, does not reach."""
    x1, y1, x2, y2 = box
    crop = np.zeros((3, SIZE, SIZE))
    height = width = SIZE
    top = left = 0
    if pad or square:
        factor = SIZE / (SIZE - 2 * pad)
        half_h, half_w = (y2 - y1 + 1) / 2, (x2 - x1 + 1) / 2
        mid_x, mid_y = x1 + half_w, y1 + half_h
        if square:
            half_h = half_w = max(half_h, half_w)
        x1, x2 = nearest(mid_x - half_w * factor), nearest(mid_x + half_w * factor)
        y1, y2 = nearest(mid_y - half_h * factor), nearest(mid_y + half_h * factor)
        whole_h, whole_w = y2 - y1 + 1, x2 - x1 + 1
        out = (max(0, -x1), max(0, -y1), max(0, x2 - COLUMNS + 1), max(0, y2 - ROWS + 1))
        x1, y1, x2, y2 = x1 + out[0], y1 + out[1], x2 - out[2], y2 - out[3]
        height = nearest((y2 - y1 + 1) * SIZE / whole_h)
        width = nearest((x2 - x1 + 1) * SIZE / whole_w)
        left = nearest(out[2 if mirrored else 0] * SIZE / whole_w)
        top = nearest(out[1] * SIZE / whole_h)
        height, width = min(height, SIZE - top), min(width, SIZE - left)
    part = PICTURE[y1 : y2 + 1, x1 : x2 + 1]
    part = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
    for row in range(height):
        for column in range(width):
            crop[:, row + top, column + left] = part[row, width - 1 - column if mirrored else column]
    return crop


BOXES = [(5, 6, 20, 30), (0, 0, 49, 39), (0, 10, 8, 12), (40, 30, 49, 39), (20, 0, 21, 39)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(("pad", "mode"), [(0, "warp"), (2, "warp"), (0, "square"), (3, "square")])
def test_crops(box: tuple[int, int, int, int], pad: int, mode: str, folder: Path) -> None:
    write_windows(folder, (7, 0.9, *box))
    more = f'fg_fraction: 1 context_pad: {pad} crop_mode: "{mode}" scale: 0.5'
    tops = feed_of(layer(more), folder=folder).batch(0)
    assert tops["data"].shape == (4, 3, SIZE, SIZE) and tops["data"].dtype == np.float32
    assert_array_equal(tops["label"], [7, 7, 7, 7])
    wanted = 0.5 * expected(box, pad, mode == "square", False)
    assert_allclose(tops["data"], np.broadcast_to(wanted, tops["data"].shape), atol=1e-6)


@pytest.mark.parametrize("box", BOXES)
def test_mirrored_crops_have_their_padding_mirrored(box: tuple[int, int, int, int], folder: Path) -> None:
    write_windows(folder, (7, 0.9, *box))
    feed = feed_of(layer("fg_fraction: 1 context_pad: 3", "mirror: true", batch=20), TRAIN, folder=folder)
    plain, turned = expected(box, 3, False, False), expected(box, 3, False, True)
    kinds = {
        "plain" if np.array_equal(crop, plain) else "turned" if np.array_equal(crop, turned) else "neither"
        for crop in feed.batch(0)["data"]
    }
    assert kinds == {"plain", "turned"}


def test_background_comes_first_and_the_fraction_is_rounded_down(folder: Path) -> None:
    write_windows(
        folder, (7, 0.9, 1, 1, 9, 9), (8, 0.5, 1, 1, 9, 9), (5, 0.1, 2, 2, 20, 20), (4, 0.4, 0, 0, 5, 5)
    )
    feed = feed_of(layer("fg_threshold: 0.5 bg_threshold: 0.3 fg_fraction: 0.39", batch=10), folder=folder)
    labels = np.stack([feed.batch(iteration)["label"] for iteration in range(30)])
    assert not labels[:, :7].any()
    assert set(labels[:, 7:].ravel()) == {7.0, 8.0}


def test_a_batch_follows_from_seed_and_iteration(folder: Path) -> None:
    write_windows(folder, *((label, 0.9, label, 1, 20 + label, 9) for label in range(1, 9)))
    text = layer("fg_fraction: 1", "mirror: true", batch=8)
    one, again, other = (feed_of(text, seed=seed, folder=folder) for seed in (1, 1, 2))
    again.batch(0)
    assert_array_equal(one.batch(3)["data"], again.batch(3)["data"])
    assert not np.array_equal(one.batch(3)["label"], other.batch(3)["label"])
    label = int(one.batch(3)["label"][5])
    assert one.place(3, 5).endswith(f"p.png: window ({label}, 1) to ({20 + label}, 9)")


def test_means(folder: Path) -> None:
    write_windows(folder, (7, 0.9, 5, 6, 20, 30))
    plain = feed_of(layer("fg_fraction: 1"), folder=folder).batch(0)["data"]
    values = feed_of(layer("fg_fraction: 1", "mean_value: 1 mean_value: 2 mean_value: 3"), folder=folder)
    assert_array_equal(values.batch(0)["data"], plain - np.float32([1, 2, 3])[:, None, None])
    image = np.random.default_rng(1).random((3, SIZE + 5, SIZE + 5)).astype(np.float32)
    write_blob(folder / "mean.binaryproto", image[None])
    subtracted = feed_of(layer("fg_fraction: 1", 'mean_file: "mean.binaryproto"'), folder=folder)
    assert_array_equal(subtracted.batch(0)["data"], plain - image[:, 2 : 2 + SIZE, 2 : 2 + SIZE])


def test_free_parts_stay_zero_with_a_mean(folder: Path) -> None:
    write_windows(folder, (7, 0.9, 0, 0, 10, 10))
    feed = feed_of(layer("fg_fraction: 1 context_pad: 4", "mean_value: 9"), folder=folder)
    crop = feed.batch(0)["data"][0]
    assert not crop[:, 0].any() and not crop[:, :, 0].any() and crop[:, -1, -1].all()


def test_corners_round_halves_away_from_zero() -> None:
    cut = cut_of(Window(0, 1, 0, 0, 2, 2), 40, 50, 12, 3, square=False)
    # The centre is 1.5, the half side 1.5 * 2: from round(-1.5) to round(4.5).
    assert (cut.x1, cut.x2, cut.left) == (0, 5, nearest(2 * 12 / 8))


@pytest.mark.parametrize(
    ("windows", "text", "message"),
    [
        ([], layer(), "a batch has 3 background windows, but the file has none"),
        ([(1, 0.1, 0, 0, 3, 3)], layer(), "a batch has 1 foreground windows, but the file has none"),
        ([(1, 0.9, 0, 0, 50, 3)], layer("fg_fraction: 1"), r"window \(0, 0\) to \(50, 3\) is outside"),
        (
            [],
            layer("context_pad: 6"),
            "crop_size must be positive and more than twice context_pad, got 12 and 6",
        ),
        ([], layer(batch=0), "Positive batch size required"),
        ([], layer("", "mean_value: 1 mean_value: 2"), "Specify either 1 mean_value or as many as channels"),
        ([], layer("", 'mean_value: 1 mean_file: "m"'), "Cannot specify mean_file and mean_value"),
    ],
)
def test_errors(
    windows: list[tuple[int, float, int, int, int, int]], text: str, message: str, folder: Path
) -> None:
    write_windows(folder, *windows)
    with pytest.raises(DataError, match=message):
        feed_of(text, folder=folder).batch(0)


def test_a_small_mean_image(folder: Path) -> None:
    write_windows(folder)
    write_blob(folder / "mean.binaryproto", np.zeros((1, 3, 11, 11), np.float32))
    with pytest.raises(DataError, match="too small for crops of 12"):
        feed_of(layer("", 'mean_file: "mean.binaryproto"'), folder=folder)


def test_the_scale_that_caffe_does_not_read(folder: Path) -> None:
    write_windows(folder)
    with pytest.warns(UserWarning, match="reads window_data_param.scale, not transform_param.scale"):
        feed_of(layer("", "scale: 0.5"), folder=folder)


def test_the_folder_of_its_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    param = text_format.Parse(layer(), LayerParameter())
    assert folder_of(param, folder) == folder
    write_windows(folder)
    monkeypatch.chdir(folder)
    assert folder_of(param, Path("elsewhere")) == Path()
