"""AnnotatedData: the images and boxes of an LMDB of AnnotatedDatums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotated_database import LAYER, PICTURES, SSD, record, write_database

import vggrepro
from vggrepro import pycaffe
from vggrepro.caffe.messages import TEST, TRAIN, AnnotatedDatum
from vggrepro.caffe.text import parse_net
from vggrepro.cli.main import main
from vggrepro.data.feeds import open_feed
from vggrepro.data.lmdb_writer import new_lmdb
from vggrepro.errors import DataError, UnknownFieldError, UnsupportedError
from vggrepro.training.definition import read_definition

pytest.importorskip("lmdb")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    write_database(tmp_path)
    return tmp_path


def feed(folder: Path, transform: str = "", annotated: str = "", phase: int = TEST) -> Any:
    text = LAYER.replace("TRANSFORM", transform).replace("ANNOTATED", annotated)
    return open_feed(parse_net(text).layer[0], phase, seed=1, folder=folder)


def test_boxes_of_a_batch(database: Path) -> None:
    """Cut at the edges; those without an area inside are left out; rows of -1 behind them."""
    batch = feed(database).batch(0)
    assert batch["data"].shape == (2, 3, 12, 16)
    np.testing.assert_array_equal(batch["data"][0], PICTURES[0].transpose(2, 0, 1))
    want = [[0, 1, 0, 0.1, 0.2, 0.5, 0.6, 0], [0, 1, 1, 0.3, 0.3, 0.9, 1, 1], [0, 4, 0, 0, 0, 1, 1, 0]]
    np.testing.assert_array_equal(batch["label"][0, 0], np.float32(want + [[-1] * 8] * 5))
    batch = feed(database).batch(1)  # the third image, and the first again
    want = [[0, 2, 0, 0, 0.25, 0.4, 0.5, 0], *[[1, *row[1:]] for row in want]]
    np.testing.assert_array_equal(batch["label"][0, 0, :4], np.float32(want))
    assert feed(database).place(1, 1) == feed(database).place(0, 0)


def test_a_batch_without_boxes(tmp_path: Path) -> None:
    with new_lmdb(tmp_path / "db") as writer:
        writer.put(b"0", record(PICTURES[0], [], encoded=True))
    np.testing.assert_array_equal(feed(tmp_path).batch(0)["label"], np.full((1, 1, 8, 8), -1))


def test_many_boxes_come_in_powers_of_two(tmp_path: Path) -> None:
    with new_lmdb(tmp_path / "db") as writer:
        writer.put(b"0", record(PICTURES[0], [(1, i, (0, 0, 1, 1), False) for i in range(9)], encoded=True))
    label = feed(tmp_path).batch(0)["label"]
    assert label.shape == (1, 1, 32, 8) and (label[0, 0, :, 0] >= 0).sum() == 18


def test_resizing_mean_and_scale(database: Path) -> None:
    transform = "mean_value: 104 mean_value: 117 mean_value: 123 scale: 0.5"
    transform += " resize_param { height: 6 width: 5 interp_mode: AREA }"
    batch = feed(database, transform).batch(0)
    warped = cv2.resize(PICTURES[0], (5, 6), interpolation=cv2.INTER_AREA).astype(np.float32)
    np.testing.assert_array_equal(batch["data"][0], ((warped - (104, 117, 123)) * 0.5).transpose(2, 0, 1))
    np.testing.assert_array_equal(batch["label"], feed(database).batch(0)["label"])


def test_mirrored_images_have_mirrored_boxes(database: Path) -> None:
    plain, mirrored = feed(database), feed(database, "mirror: true", phase=TRAIN)
    turned = 0
    for number in range(6):
        one, other = plain.batch(number), mirrored.batch(number)
        for item in range(2):
            rows, found = ((b["label"][0, 0][b["label"][0, 0, :, 0] == item]) for b in (one, other))
            if np.array_equal(one["data"][item], other["data"][item]):
                np.testing.assert_array_equal(rows, found)
                continue
            turned += 1
            np.testing.assert_array_equal(one["data"][item, :, :, ::-1], other["data"][item])
            rows[:, [3, 5]] = 1 - rows[:, [5, 3]]
            np.testing.assert_allclose(rows, found, atol=1e-7)
    assert 0 < turned < 12


def test_kernels_are_drawn(database: Path) -> None:
    modes = " ".join(f"interp_mode: {name}" for name in ("LINEAR", "AREA", "NEAREST", "CUBIC", "LANCZOS4"))
    drawing = feed(database, f"resize_param {{ height: 30 width: 40 {modes} }}", phase=TRAIN)
    seen = {drawing.batch(number)["data"][0].tobytes() for number in range(0, 60, 3)}
    assert 3 <= len(seen) <= 5
    again = feed(database, f"resize_param {{ height: 30 width: 40 {modes} }}", phase=TRAIN)
    np.testing.assert_array_equal(again.batch(7)["data"], drawing.batch(7)["data"])


def test_boxes_whose_centre_is_outside(database: Path) -> None:
    """They go before a warp cuts boxes only if samplers look at them first."""
    emit, warp = "emit_constraint { emit_type: CENTER }", "resize_param { height: 6 width: 5 }"
    for transform, annotated, stays in [
        ("", "", True),
        (emit, "", False),
        (emit + warp, "", True),
        (emit + warp, "batch_sampler { sampler { } max_sample: 1 max_trials: 1 }", False),
    ]:
        rows = feed(database, transform, annotated).batch(1)["label"][0, 0]
        assert ((rows[:, 0] == 0).sum() == 1) == stays


def test_boxes_of_which_little_is_inside(database: Path) -> None:
    """Of the third image's boxes 0.4 of the first one's area, and nothing of the others'."""
    for overlap, labels in ((0.3, [2]), (0.5, [])):
        transform = f"emit_constraint {{ emit_type: MIN_OVERLAP emit_overlap: {overlap} }}"
        rows = feed(database, transform).batch(1)["label"][0, 0]
        assert rows[rows[:, 0] == 0, 1].tolist() == labels


SSD_CHANGES = """
  distort_param { brightness_prob: 0.5 brightness_delta: 32 contrast_prob: 0.5 contrast_lower: 0.5
    contrast_upper: 1.5 hue_prob: 0.5 hue_delta: 18 saturation_prob: 0.5 saturation_lower: 0.5
    saturation_upper: 1.5 random_order_prob: 0.1 }
  expand_param { prob: 0.5 max_expand_ratio: 4 } emit_constraint { emit_type: CENTER }
  mean_value: 104 mean_value: 117 mean_value: 123 resize_param { height: 10 width: 10 } mirror: true
"""
SAMPLERS = """
  batch_sampler { max_sample: 1 max_trials: 1 }
  batch_sampler { sampler { min_scale: 0.3 max_scale: 1 min_aspect_ratio: 0.5 max_aspect_ratio: 2 }
    sample_constraint { min_jaccard_overlap: 0.3 } max_sample: 1 max_trials: 50 }
"""


def test_ssds_own_changes_come_in_turn_and_again(database: Path) -> None:
    one, other = (feed(database, SSD_CHANGES, SAMPLERS, TRAIN) for _ in range(2))
    assert [type(step).__name__ for step in one.changes] == ["Distortion", "Expansion", "PartSampling"]
    counts = set()
    for number in range(20):
        batch = one.batch(number)
        np.testing.assert_array_equal(batch["data"], other.batch(number)["data"])
        rows = batch["label"][0, 0]
        rows = rows[rows[:, 0] >= 0]
        counts.add(len(rows))
        assert (rows[:, 3:7] >= 0).all() and (rows[:, 3:7] <= 1).all()
        assert (rows[:, 5:7] > rows[:, 3:5]).all()
    assert len(counts) > 1


def test_a_place_is_named_where_a_change_fails(tmp_path: Path) -> None:
    with new_lmdb(tmp_path / "db") as writer:
        writer.put(b"small", record(PICTURES[0][:1, :1], [], encoded=True))
    sampler = "batch_sampler { sampler { max_scale: 0.5 min_scale: 0.5 } }"
    with pytest.raises(DataError, match=r"small.*: a sampler cuts 0 x 0 pixels out of an image of 1 x 1"):
        feed(tmp_path, "", sampler).batch(0)
    with pytest.raises(DataError, match="layer 'data': expand_param: max_expand_ratio must be above 1"):
        feed(tmp_path, "expand_param { }")


@pytest.mark.parametrize(
    ("transform", "annotated", "message"),
    [
        ("crop_size: 3", "", "crop_size and mean_file are not read with boxes"),
        ("resize_param { height: 3 width: 3 prob: 0.5 }", "", "only resize_mode: WARP with prob: 1"),
        ("resize_param { height: 3 width: 3 resize_mode: FIT_SMALL_SIZE }", "", "only resize_mode: WARP"),
        (
            "resize_param { height: 3 width: 3 } resize_param { height: 6 width: 6 }",
            "",
            "only one is read here",
        ),
    ],
)
def test_what_is_not_implemented_is_named(
    database: Path, transform: str, annotated: str, message: str
) -> None:
    with pytest.raises(UnsupportedError, match=f"layer 'data': .*{message}"):
        feed(database, transform, annotated)


def test_values_that_are_no_annotated_images(tmp_path: Path) -> None:
    with new_lmdb(tmp_path / "db") as writer:
        writer.put(b"0", b"\xff\xff")
        writer.put(b"1", AnnotatedDatum().SerializeToString() + b"\x10\x00")
    with pytest.raises(DataError, match="the value of 2 bytes is not an AnnotatedDatum"):
        feed(tmp_path).batch(0)
    with pytest.raises(DataError, match=r"expected an AnnotatedDatum with boxes"):
        feed(tmp_path)._example(1, np.random.default_rng(0))


RESIZED = "mean_value: 104 resize_param { height: 20 width: 20 }"


@pytest.fixture
def ssd(database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(database)
    data = LAYER.replace("TRANSFORM", RESIZED).replace("ANNOTATED", 'label_map_file: "x"')
    Path("net.prototxt").write_text(data + SSD)
    Path("solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 max_iter: 4 random_seed: 3'
        ' snapshot_prefix: "snap" display: 1 solver_mode: CPU'
    )
    return database


@pytest.mark.parametrize("command", [["train-ilsvrc", "--config"], ["caffe", "train", "-solver"]])
def test_an_ssd_trains_from_its_database(ssd: Path, command: list[str]) -> None:
    try:
        assert main([*command, "solver.prototxt"]) == 0
    finally:
        pycaffe.allow_python_layers(False)
    assert Path("snap_iter_4.caffemodel").exists()


def test_both_ways_of_training_see_the_same_loss(ssd: Path) -> None:
    solver = pycaffe.get_solver("solver.prototxt")
    solver.net.save("begin.caffemodel")
    text = LAYER.replace("TRANSFORM", RESIZED).replace("ANNOTATED", "")
    batches = open_feed(parse_net(text).layer[0], TRAIN, seed=0)
    shapes = {name: array.shape for name, array in batches.batch(0).items()}
    fed = vggrepro.Solver("solver.prototxt", weights="begin.caffemodel", input_shapes=shapes, threads=1)
    for number in range(4):
        solver.step(1)
        loss = float(solver.net.blobs["loss"].data)
        assert loss == pytest.approx(fed.step([batches.batch(number)]), rel=1e-4)


def test_given_shapes_make_inputs_of_it_still(ssd: Path) -> None:
    pycaffe.set_fork_rules(input_shapes={"data": (1, 3, 20, 20), "label": (1, 1, 4, 8)})
    try:
        assert pycaffe.Net("net.prototxt", pycaffe.TRAIN).inputs == ["data", "label"]
    finally:
        pycaffe.set_fork_rules()
    assert pycaffe.Net("net.prototxt", pycaffe.TRAIN).inputs == []


def test_fields_that_would_change_the_data_are_refused_where_it_is_read(ssd: Path) -> None:
    path = Path("net.prototxt")
    path.write_text(path.read_text().replace("mean_value: 104", "mean_value: 104 noise_param { prob: 0.5 }"))
    assert vggrepro.load_net(path, phase="TRAIN", input_shapes={"label": (1, 1, 4, 8)}).inputs["label"] == (
        1,
        1,
        4,
        8,
    )
    with pytest.raises(RuntimeError, match="noise_param"):
        pycaffe.Net(path, pycaffe.TRAIN)
    with pytest.raises(RuntimeError, match="noise_param"):
        pycaffe.get_solver("solver.prototxt")
    assert main(["train-ilsvrc", "--config", "solver.prototxt"]) == 2
    definition = read_definition("solver.prototxt")
    with pytest.raises(UnknownFieldError, match="noise_param"):
        definition.check_read(definition.train_message())
