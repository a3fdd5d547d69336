"""SimplerNMS: against its reference, and box by box."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.simpler_nms import SimplerNMS


def simpler(text: str) -> SimplerNMS:
    layer = parse(f'type: "SimplerNMS" simpler_nms_param {{ {text} }}')
    assert isinstance(layer, SimplerNMS)
    return layer


def area(box: list[float]) -> float:
    return max(0.0, box[2] - box[0] + 1) * max(0.0, box[3] - box[1] + 1)


def slowly(layer: SimplerNMS, scores: np.ndarray, offsets: np.ndarray, info: np.ndarray) -> list[list[float]]:
    """The rows of the top as Intel's layer finds them; image size and scale are whole numbers there."""
    height, width, scale = (int(number) for number in info[0])
    found: list[tuple[float, int, list[float]]] = []
    number = len(layer.anchors)
    for y, x, k in np.ndindex(*scores.shape[2:], number):
        left, up, right, down = layer.anchors[k]
        w, h = right - left + 1, down - up + 1
        dx, dy, dw, dh = offsets[0, 4 * k : 4 * k + 4, y, x].astype(float)
        middle = (left + w / 2 + dx * w + 16 * x, up + h / 2 + dy * h + 16 * y)
        half = (np.exp(dw) * w / 2, np.exp(dh) * h / 2)
        corners = [middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1]]
        box = [min(max(c, 0), (width, height)[i % 2] - 1) for i, c in enumerate(corners)]
        sides = (int(box[2] - box[0] + 1), int(box[3] - box[1] + 1))
        if min(sides) >= layer.min_size * scale:
            found.append((float(scores[0, number + k, y, x]), len(found), box))
    found.sort(key=lambda row: (-row[0], -row[1]))
    kept: list[list[float]] = []
    for score, _, box in found[: layer.pre_nms]:
        common = [[*map(max, box[:2], b[:2]), *map(min, box[2:], b[2:])] for b in kept]
        pairs = zip(common, kept, strict=True)
        if score > 0 and not any(
            area(c) > layer.nms_threshold * (area(b) + area(box) - area(c)) for c, b in pairs
        ):
            kept.append(box)
    return kept[: layer.post_nms]


@few
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)), st.sampled_from([(0.7, 12, 5), (0.4, 500, 40)]), seeds
)
def test_against_intels_loop(size: tuple[int, int], limits: tuple[float, int, int], seed: int) -> None:
    threshold, before, after = limits
    layer = simpler(
        f"scale: 1 scale: 2 iou_threshold: {threshold} pre_nms_topn: {before} post_nms_topn: {after}"
        " min_bbox_size: 8"
    )
    rng = np.random.default_rng(seed)
    scores = values(seed, (1, 12, *size), -0.5, 1)
    scores[:, 6:] = np.round(scores[:, 6:], 1)  # with ties
    offsets = rng.normal(0, 0.4, (1, 24, *size)).astype(np.float32)
    info = np.array([[size[0] * 16 + 0.75, size[1] * 16 + 0.25, 1.9]], np.float32)
    (top,) = check_forward(layer, [scores, offsets, info], without_kernel=("NonMaxSuppression",), atol=1e-3)
    rows = slowly(layer, scores, offsets, info)
    expected = np.zeros((after, 5))
    expected[: len(rows), 1:] = np.reshape(rows, (-1, 4))
    np.testing.assert_allclose(top, expected, rtol=1e-4, atol=1e-3)


def test_what_is_refused() -> None:
    assert len(simpler("scale: 8 scale: 16 scale: 32").anchors) == 9
    with pytest.raises(NetError, match="needs scale"):
        simpler("")
    with pytest.raises(NetError, match="other feat_stride value than 16"):
        simpler("scale: 8 feat_stride: 8")
    with pytest.raises(UnsupportedError, match="must be above 0"):
        simpler("scale: 8 post_nms_topn: 0")
    with pytest.raises(ShapeError, match="Only single item batches"):
        simpler("scale: 8").out_shapes([(2, 6, 3, 3), (2, 12, 3, 3), (1, 3)])
