"""BoxOutput: against its reference, and a second implementation here."""

from __future__ import annotations

import numpy as np
import pytest
from box_output_cases import NO_NMS_KERNEL, Limits, box_at, surest, tops_of
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.box_output import BoxOutput

FIELDS = ((20, 40, 8), (28, 56, 8), (40, 80, 16))
"""Width, height and stride of each bottom."""

STATISTICS = "bbox_mean: 0 bbox_mean: 0.1 bbox_mean: 0 bbox_mean: 0.2" + " bbox_std: 0.5" * 4


def box_output(text: str = "", tops: int = 2, statistics: str = "") -> BoxOutput:
    fields = " ".join(f"field_w: {w} field_h: {h} downsample_rate: {s}" for w, h, s in FIELDS)
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    layer = parse(
        f'type: "BoxOutput" {named} box_output_param {{ {fields} {text} }} bbox_reg_param {{ {statistics} }}'
    )
    assert isinstance(layer, BoxOutput)
    return layer


def maps(seed: int, images: int, classes: int, height: int, width: int) -> list[np.ndarray]:
    """Scores and places of each bottom, not evenly spaced: differences would be equal but for rounding."""
    sizes = [(height, width)] * 2 + [(-(-height // 2), -(-width // 2))]
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1.5, (images, classes + 4, *size)).astype(np.float32) for size in sizes]


def slowly(
    arrays: list[np.ndarray], lim: Limits, scale: float, means: list[float]
) -> list[list[list[float]]]:
    images = []
    for image in range(len(arrays[0])):
        found = []
        for array, field in zip(arrays, FIELDS, strict=True):
            for row, column in np.ndindex(*array.shape[2:]):
                column_of = array[image, :, row, column].astype(float)
                coded = column_of[-4:] * scale + means
                score = float(np.float32(max(column_of[1:-4]) - column_of[0]))
                found.append((score, box_at(coded, (row, column), array.shape[2:], field, lim)))
        images.append(surest(found, lim))
    return images


@few
@given(
    st.integers(1, 3),
    st.integers(2, 3),
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    st.sampled_from(["", "max_nms_num: 7", "max_post_nms_num: 4", "iou_thr: 0.3 fg_thr: -1 max_nms_num: 30"]),
    st.booleans(),
    seeds,
)
def test_box_output(
    images: int, classes: int, size: tuple[int, int], text: str, free: bool, seed: int
) -> None:
    layer = box_output(text)
    arrays = maps(seed, images, classes, *size)
    free &= layer.param.sure.number(0) > 0
    dims = [(None, a.shape[1], None, None) if free else a.shape for a in arrays]
    check_forward(layer, arrays, dims=dims, without_kernel=NO_NMS_KERNEL, atol=2e-4)


@pytest.mark.parametrize("statistics", ["", STATISTICS])
def test_by_another_implementation(statistics: str) -> None:
    scale, means = (0.5, [0, 0.1, 0, 0.2]) if statistics else (1, [0] * 4)
    arrays = maps(3, 2, 3, 10, 12)
    for text, lim in [
        ("", Limits(0.5)),
        ("fg_thr: -1 iou_thr: 0.4 max_nms_num: 25", Limits(0.4, 25, least_score=-1)),
        ("iou_thr: 0.65 field_whr: 3 field_xyr: 1.5 min_size: 22 max_post_nms_num: 9",
         Limits(0.65, kept=9, min_size=22, whr=3, xyr=1.5)),
    ]:  # fmt: skip
        layer = box_output(text, statistics=statistics)
        tops = check_forward(layer, arrays, without_kernel=NO_NMS_KERNEL, atol=2e-4)
        images = slowly(arrays, lim, scale, means)
        assert min(map(len, images)) > 3
        number = lim.kept or lim.most or sum(a[0, 0].size for a in arrays)
        for top, expected in zip(tops, tops_of(images, number), strict=True):
            np.testing.assert_allclose(top, expected, atol=1e-3, err_msg=text)


def test_of_equal_scores_the_last_box_is_the_surest() -> None:
    arrays = [np.zeros(a.shape, np.float32) for a in maps(0, 1, 2, 4, 4)]
    _, rows = check_forward(box_output("max_nms_num: 1"), arrays, without_kernel=NO_NMS_KERNEL)
    np.testing.assert_allclose(rows.reshape(-1), [0, 4, 0, 32, 32, 0])  # (1, 1) of the last map, cut


def test_nothing_is_sure_enough() -> None:
    arrays = maps(0, 2, 2, 3, 3)
    layer = box_output("fg_thr: 9 max_post_nms_num: 2")
    regions, rows = check_forward(layer, arrays, without_kernel=NO_NMS_KERNEL)
    assert regions[:, :, 0, 0].tolist() == [[0, 1, 1, 10, 10], *[[0] * 5] * 3]
    assert (rows == 0).all()


def test_refuses() -> None:
    assert box_output(tops=1).out_shapes([(2, 6, 4, 4), (2, 6, 4, 4), (2, 6, 2, 2)]) == ((72, 5, 1, 1),)
    with pytest.raises(UnsupportedError, match="nms_type 'IOMU'"):
        box_output('nms_type: "IOMU"')
    with pytest.raises(NetError, match="needs field_h, field_w and downsample_rate"):
        box_output("field_w: 3")
    with pytest.raises(NetError, match="must be positive"):
        box_output("field_w: 3 field_h: 0 downsample_rate: 8")
    with pytest.raises(NetError, match="field_whr must be at least 1, field_xyr positive"):
        box_output("field_xyr: 0")
    for shapes, problem in (
        ([(2, 6, 4, 4)] * 2, "3 maps need 3 bottoms"),
        ([(2, 6, 4)] * 3, "must have 4 axes"),
        ([(2, 5, 4, 4)] * 3, "scores of 2 or more classes"),
        ([(2, 6, 4, 4), (1, 6, 4, 4), (2, 6, 2, 2)], "of as many images"),
    ):
        with pytest.raises(ShapeError, match=problem):
            box_output().out_shapes(shapes)
