"""BoxGroupOutput: against its reference, and a second implementation here."""

from __future__ import annotations

import numpy as np
import pytest
from box_output_cases import NO_NMS_KERNEL, Limits, box_at, surest, tops_of
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.box_group_output import BoxGroupOutput

GROUPS = ((((32, 16), (16, 32), (24, 24)), 8), (((64, 48), (40, 70)), 16))
"""Of each map the boxes' widths and heights, and the stride."""


def group_output(text: str = "", tops: int = 2) -> BoxGroupOutput:
    groups = ""
    for sides, stride in GROUPS:
        fields = " ".join(f"field_w: {width} field_h: {height}" for width, height in sides)
        groups += f" box_group_param {{ {fields} stride: {stride} }}"
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    layer = parse(f'type: "BoxGroupOutput" {named} box_group_output_param {{ {groups} {text} }}')
    assert isinstance(layer, BoxGroupOutput)
    return layer


def maps(seed: int, images: int, height: int, width: int) -> list[np.ndarray]:
    """Probabilities of three classes and places of both maps."""
    arrays = []
    for index, (sides, _) in enumerate(GROUPS):
        size = (images * len(sides), 3, -(-height // (index + 1)), -(-width // (index + 1)))
        scores = values(seed + index, size, 0, 1)
        places = values(seed + index + 7, (size[0], 4, *size[2:]), -1.5, 1.5)
        arrays += [scores, places]
    return arrays


def slowly(arrays: list[np.ndarray], lim: Limits) -> list[list[list[float]]]:
    images = []
    for image in range(len(arrays[0]) // len(GROUPS[0][0])):
        found = []
        for (sides, stride), scores, places in zip(GROUPS, arrays[::2], arrays[1::2], strict=True):
            for k, field in enumerate(sides):
                item = image * len(sides) + k
                for row, column in np.ndindex(*scores.shape[2:]):
                    coded = places[item, :, row, column].astype(float)
                    score = float(np.float32(1) - scores[item, 0, row, column])
                    box = box_at(coded, (row, column), scores.shape[2:], (*field, stride), lim)
                    found.append((score, box))
        images.append(surest(found, lim))
    return images


@few
@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    st.sampled_from(
        ["", "max_nms_num: 7", "max_post_nms_num: 4", "iou_thr: 0.3 fg_thr: 0.2 max_nms_num: 30"]
    ),
    st.booleans(),
    seeds,
)
def test_box_group_output(images: int, size: tuple[int, int], text: str, free: bool, seed: int) -> None:
    layer = group_output(text)
    arrays = maps(seed, images, *size)
    free &= layer.param.sure.number(0) > 0
    dims = [(None, a.shape[1], None, None) if free else a.shape for a in arrays]
    check_forward(layer, arrays, dims=dims, without_kernel=NO_NMS_KERNEL, atol=2e-4)


@pytest.mark.parametrize(
    ("text", "lim"),
    [
        ("", Limits(0.5, pixel=1)),
        ("fg_thr: 0.3 iou_thr: 0.4 max_nms_num: 25", Limits(0.4, 25, least_score=0.3, pixel=1)),
        (
            "iou_thr: 0.7 field_whr: 8 field_xyr: 1 min_size: 20 max_post_nms_num: 9",
            Limits(0.7, kept=9, min_size=20, whr=8, xyr=1, pixel=1),
        ),
    ],
)
def test_by_another_implementation(text: str, lim: Limits) -> None:
    arrays = maps(5, 2, 8, 9)
    tops = check_forward(group_output(text), arrays, without_kernel=NO_NMS_KERNEL, atol=2e-4)
    images = slowly(arrays, lim)
    assert min(map(len, images)) > 3
    number = lim.kept or lim.most or 3 * 8 * 9 + 2 * 4 * 5
    for top, expected in zip(tops, tops_of(images, number), strict=True):
        np.testing.assert_allclose(top, expected, atol=1e-3)


def test_refuses() -> None:
    shapes = [(6, 2, 4, 4), (6, 4, 4, 4), (4, 2, 2, 3), (4, 4, 2, 3)]
    assert group_output(tops=1).out_shapes(shapes) == ((2 * (3 * 16 + 2 * 6), 5, 1, 1),)
    with pytest.raises(UnsupportedError, match="iou_thr must be at least 1 / min_size"):
        group_output("min_size: 1")
    with pytest.raises(NetError, match="needs field_h and field_w of each box"):
        group_output("box_group_param { field_h: 3 stride: 8 }")
    with pytest.raises(NetError, match="needs a box_group_param"):
        parse('type: "BoxGroupOutput"')
    with pytest.raises(ShapeError, match="3 boxes at each place need bottoms"):
        group_output().out_shapes([(5, 2, 4, 4), (5, 4, 4, 4), *shapes[2:]])
    with pytest.raises(ShapeError, match="2 boxes at each place need bottoms"):
        group_output().out_shapes([*shapes[:3], (4, 8, 2, 3)])
