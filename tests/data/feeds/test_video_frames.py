"""VideoData: frames and flow of videos, as temporal segment networks are trained with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feed_case import feed_of
from numpy.testing import assert_array_equal

from vggrepro import pycaffe
from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.cli.main import main
from vggrepro.data.feeds.video_frames import Segments, Video, read_videos
from vggrepro.data.opencv import opencv
from vggrepro.errors import DataError, UnsupportedError

cv2 = opencv()
RGB = np.random.default_rng(4).integers(0, 256, (9, 6, 7, 3), dtype=np.uint8)
FLOW = np.random.default_rng(5).integers(0, 256, (9, 2, 6, 7), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    for number in range(9):
        cv2.imwrite(str(tmp_path / "a" / f"img_{number + 1:05d}.png"), RGB[number])
        for axis, plane in zip("xy", FLOW[number], strict=True):
            cv2.imwrite(str(tmp_path / "a" / f"flow_{axis}_{number + 1:05d}.png"), plane)
    (tmp_path / "list").write_text("a 9 5\na 7 2\na 2 1\n")
    return tmp_path


def video(fields: str, transform: str = "", source: str = "list") -> str:
    data = f'video_data_param {{ source: "{source}" {fields} }}'
    return f'type: "VideoData" {data} transform_param {{ {transform} }}'


COLOURS = 'modality: RGB name_pattern: "img_%05d.png"'


def planes(*frames: int) -> np.ndarray:
    """The channels of frames, from 1."""
    return RGB[np.array(frames) - 1].transpose(0, 3, 1, 2).reshape(-1, 6, 7)


def test_the_middle_of_each_segment_in_test(folder: Path) -> None:
    feed = feed_of(video(f"batch_size: 2 num_segments: 3 {COLOURS}", "mean_value: 100"), folder=folder)
    batch = feed.batch(0)
    expected = [planes(2, 5, 8), planes(2, 4, 6)]  # parts of 3 and of 2 frames
    assert_array_equal(batch["data"], np.array(expected, np.float32) - 100)
    assert_array_equal(batch["label"], np.reshape([5, 2], (2, 1, 1, 1)))
    assert_array_equal(feed.batch(1)["label"].ravel(), [1, 5])
    assert feed.place(1, 0) == f"{folder / 'list'}: a"


def test_mean_values_of_a_frame_hold_for_all(folder: Path) -> None:
    three = "mean_value: 1 mean_value: 2 mean_value: 3"
    feed = feed_of(video(f"batch_size: 1 num_segments: 3 {COLOURS}", three), folder=folder)
    means = np.tile(np.float32([1, 2, 3]), 3)[:, None, None]
    assert_array_equal(feed.batch(0)["data"][0], planes(2, 5, 8) - means)
    with pytest.raises(DataError, match="as many as channels: 9"):
        feed_of(video(f"batch_size: 1 num_segments: 3 {COLOURS}", "mean_value: [1, 2]"), folder=folder).batch(
            0
        )


def test_flow_is_x_and_y_of_each_frame(folder: Path) -> None:
    fields = 'batch_size: 1 new_length: 2 num_segments: 2 name_pattern: "flow_%c_%05d.png"'
    batch = feed_of(video(fields), folder=folder).batch(0)
    frames = [2, 3, 6, 7]  # of parts of 4 frames two may begin at 1, 2 or 3
    assert_array_equal(batch["data"], FLOW[np.array(frames) - 1].reshape(1, 8, 6, 7))


def test_a_frame_of_each_segment_is_drawn_in_train(folder: Path) -> None:
    feed = feed_of(video(f"batch_size: 1 num_segments: 2 {COLOURS}"), TRAIN, folder=folder)
    found = set()
    for iteration in range(0, 120, 3):
        data = feed.batch(iteration)["data"][0]
        pair = [
            (first, second)
            for first in range(1, 5)
            for second in range(5, 9)
            if np.array_equal(data, planes(first, second))
        ]
        assert len(pair) == 1
        found.update(pair)
    assert {first for first, _ in found} == {1, 2, 3, 4} and {second for _, second in found} == {5, 6, 7, 8}


def test_the_parts_of_a_short_video_begin_at_its_first_frame() -> None:
    rng = np.random.default_rng(0)
    for drawn in (False, True):
        assert Segments(3, 2, drawn).first_frames(5, rng) == [1, 1, 1]
    assert Segments(3, 2, drawn=False).first_frames(6, rng) == [1, 3, 5]
    assert Segments(1, 1, drawn=False).first_frames(4, rng) == [3]


def test_grey_and_warped_frames(folder: Path) -> None:
    fields = f"batch_size: 1 grayscale: true new_height: 3 new_width: 4 {COLOURS}"
    data = feed_of(video(fields), folder=folder).batch(0)["data"]
    grey = cv2.imread(str(folder / "a" / "img_00005.png"), cv2.IMREAD_GRAYSCALE)
    assert_array_equal(data, cv2.resize(grey, (4, 3))[None, None])


def test_refusals(folder: Path) -> None:
    (folder / "bad").write_text("a 9 5\na 9\n")
    (folder / "far").write_text("a 30 5\n")
    (folder / "empty").write_text("\n")
    for fields, source, message in (
        (COLOURS, "bad", r"bad:2: expected 'folder frames label', got 'a 9'"),
        (COLOURS, "empty", "File is empty"),
        (COLOURS, "far", r"'data': .*a/img_00016.png: Could not open or find file"),
        ('modality: RGB name_pattern: "img"', "list", "name_pattern 'img': .*; one is image_%04d.jpg"),
        (f"new_height: 3 {COLOURS}", "list", "new_height and new_width to be set at the same time"),
        (f"num_segments: 0 {COLOURS}", "list", "new_length: expected 1 to 10000, got 0"),
    ):
        with pytest.raises(DataError, match=message):
            feed_of(video(f"batch_size: 1 {fields}", source=source), folder=folder).batch(0)
    cv2.imwrite(str(folder / "a" / "img_00002.png"), RGB[0, :5])
    with pytest.raises(DataError, match=r"img_00005.png: 6 x 7, the first frame is 5 x 7"):
        feed_of(video(f"batch_size: 1 num_segments: 3 {COLOURS}"), folder=folder).batch(0)
    with pytest.raises(UnsupportedError, match="VideoData"):
        feed_of(video("video_type: WEBCAM"), folder=folder)
    assert read_videos(folder / "far") == (Video("a", 30, 5),)


NET = """layer { name: "data" type: "VideoData" top: "data" top: "label"
  video_data_param { source: "list" batch_size: 2 new_length: 1 num_segments: 3 modality: RGB shuffle: true
    name_pattern: "img_%05d.png" }
  transform_param { crop_size: 4 mirror: true fix_crop: true more_fix_crop: true multi_scale: true
    max_distort: 1 scale_ratios: [1, .875, .75, .66] is_flow: false mean_value: [104, 117, 123, 104, 117,
    123, 104, 117, 123] } }
layer { name: "one" type: "Reshape" bottom: "data" top: "one"
  reshape_param { shape { dim: [-1, 3, 4, 4] } } }
layer { name: "fc" type: "InnerProduct" bottom: "one" top: "fc"
  inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
layer { name: "parts" type: "Reshape" bottom: "fc" top: "parts"
  reshape_param { shape { dim: [-1, 1, 3, 6] } } }
layer { name: "mean" type: "Pooling" bottom: "parts" top: "mean"
  pooling_param { pool: AVE kernel_h: 3 kernel_w: 1 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "mean" bottom: "label" top: "loss"
  softmax_param { axis: 3 } }
"""


def test_a_temporal_segment_network_trains(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / "net").write_text(NET)
    (folder / "solver").write_text(
        'net: "net" base_lr: 0.001 lr_policy: "multistep" gamma: 0.1 stepvalue: [2, 4] max_iter: 3 display: 1'
        ' snapshot_prefix: "snap" device_id: [0, 1] richness: 200 clip_gradients: 20 iter_size: 2'
    )
    net = pycaffe.Net("net", pycaffe.TRAIN)
    assert net.blobs["data"].shape[:] == [2, 9, 4, 4] and net.blobs["label"].shape[:] == [2, 1, 1, 1]
    assert main(["caffe", "--allow-unknown", "train", "-solver", "solver"]) == 0
    assert "Iteration 2 (" in capfd.readouterr().err
    assert (folder / "snap_iter_3.caffemodel").exists()


def test_the_films_of_ssd_stay_inputs(tmp_path: Path) -> None:
    layer = """layer { name: "data" type: "VideoData" top: "data" data_param { batch_size: 1 }
      video_data_param { video_type: WEBCAM device_id: 0 skip_frames: 2 }
      transform_param { resize_param { prob: 1 resize_mode: WARP height: 5 width: 6 } } }"""
    (tmp_path / "net").write_text(layer)
    net = pycaffe.Net(str(tmp_path / "net"), TEST)
    assert net.blobs["data"].shape[:] == [1, 3, 5, 6]
    assert pycaffe.params.VideoData.VIDEO == 1
