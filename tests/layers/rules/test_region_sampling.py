"""Which regions are drawn: as nodes and in NumPy, region by region, and what fills up a batch."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes
from hypothesis import given, settings
from hypothesis import strategies as st
from target_cases import coded, iou, regions_near, right_boxes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.region_sampling import (
    Drawn,
    RegionSampling,
    RegionTruth,
    by_class,
    emit_by_class,
    emit_four_axes,
    four_axes,
)
from vggrepro.layers.rules.sampling import Sampling

STDS = (0.1, 0.1, 0.2, 0.2)
SAMPLING = Sampling.named("l")


def case(seed: int, number: int, images: int) -> tuple[np.ndarray, RegionTruth]:
    rng = np.random.default_rng(seed)
    boxes = right_boxes(seed, 5)
    rows = np.column_stack([rng.integers(0, images, 5), boxes[:, :4]]).astype(np.float32)
    regions = np.column_stack([rng.integers(0, images, number), regions_near(seed, boxes, number)])
    regions[rng.random(number) < 0.2, 1:] = 0
    flags = rng.random((2, 5)) < [[0.8], [0.2]]
    return regions.astype(np.float32), RegionTruth(rows, boxes[:, 4], flags[0], flags[1])


def on_device(
    rule: RegionSampling, regions: np.ndarray, truth: RegionTruth, seed: int, least: float
) -> Drawn:
    g = GraphBuilder("cpu")
    names = RegionTruth("rows", "labels", "real", "ignored")
    number = rule.number(len(regions), len(truth.labels))
    drawn = rule.emit(g, "regions", names, "state", number, least)
    feeds = {"regions": regions, "state": np.array([seed, 0]), **dict(zip(names, truth, strict=True))}
    return Drawn(*run_nodes(g, feeds, drawn))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 3),
    st.sampled_from([(8, 2), (64, 16), (None, 0)]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(0.5, 0.0, 0.5), (0.7, 0.1, 0.3), (0.5, 0.2, 0.49)]),
    st.integers(0, 10**6),
)
def test_region_by_region(
    number: int,
    images: int,
    batch: tuple[int | None, int],
    fills: bool,
    appends: bool,
    edges: tuple[float, float, float],
    seed: int,
) -> None:
    """The draw of the same keys, by the words of the layers of the forks."""
    rule = RegionSampling(SAMPLING, *batch, *edges, BoxStatistics((0, 0, 0, 0), STDS), fills, appends)
    regions, truth = case(seed, number, images)
    found = on_device(rule, regions, truth, seed, 1.0)
    doubles = RegionTruth(truth.rows.astype(float), truth.labels, truth.real, truth.ignored)
    reference = rule.reference(regions.astype(float), doubles, np.array([seed, 0]), len(found.rows), 1.0)
    for a, b in zip(found, reference, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)

    rows = [*regions.astype(float), *(doubles.rows if appends else [])]
    usable = [row[1:].any() for row in regions] + (list(truth.real) if appends else [])
    keys = SAMPLING.draw_keys(1, len(rows), np.array([seed, 0]))[0]
    objects, background, rest, best = [], [], [], []
    for index, row in enumerate(rows):
        overlaps = [
            iou(row[1:], box[1:], 1) if real and box[0] == row[0] else -1.0
            for box, real in zip(doubles.rows, truth.real, strict=True)
        ]
        match = int(np.argmax(overlaps))
        best.append((max(overlaps[match], 0), match))
        if not usable[index]:
            continue
        if best[-1][0] >= edges[0]:
            objects += [] if truth.ignored[match] else [index]
        elif edges[1] <= best[-1][0] < edges[2]:
            background.append(index)
        else:
            rest.append(index)
    for group in (objects, background):
        group.sort(key=lambda index: keys[index])
    if batch[0] is not None:
        objects = objects[: batch[1]]
    chosen = objects + background + (rest if fills else [])
    chosen = chosen[: len(found.rows)]
    for place in range(len(found.rows)) if chosen else ():
        index = chosen[place % len(chosen)]
        overlap, match = best[index]
        np.testing.assert_allclose(found.rows[place], rows[index])
        assert found.labels[place] == (truth.labels[match] if index in objects else 0)
        assert found.overlaps[place] == pytest.approx(overlap, abs=1e-6)
        if index in objects:
            np.testing.assert_allclose(found.own[place], truth.rows[match][1:])
            expected = coded(rows[index][1:], doubles.rows[match][1:], STDS)
            np.testing.assert_allclose(found.targets[place], expected, rtol=1e-4, atol=1e-4)


def test_nothing_to_draw() -> None:
    rule = RegionSampling(SAMPLING, 4, 1)
    truth = RegionTruth(
        np.zeros((1, 5), np.float32), np.zeros(1, np.float32), np.array([False]), np.array([False])
    )
    found = on_device(rule, np.zeros((3, 5), np.float32), truth, 0, 0)
    assert not found.rows.any() and not found.labels.any() and np.isfinite(found.targets).all()


def test_columns_of_a_class() -> None:
    numbers, labels = np.arange(12, dtype=np.float32).reshape(3, 4), np.float32([2, 0, 1])
    g = GraphBuilder("cpu")
    found, ones = run_nodes(
        g,
        {"n": numbers, "l": labels},
        [emit_by_class(g, "n", "l", 3), emit_by_class(g, g.const([[1]]), "l", 3)],
    )
    expected = np.zeros((3, 12))
    expected[0, 8:], expected[2, 4:8] = numbers[0], numbers[2]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(by_class(numbers, labels, 3), expected)
    np.testing.assert_array_equal(ones, by_class(np.ones((3, 4)), labels, 3))


def test_four_axes() -> None:
    assert four_axes((3, 5), (4,)) == ((3, 5, 1, 1), (4, 1, 1, 1))
    g = GraphBuilder("cpu")
    (found,) = run_nodes(g, {"x": np.zeros((3, 5), np.float32)}, [emit_four_axes(g, "x", 2)])
    assert found.shape == (3, 5, 1, 1)
