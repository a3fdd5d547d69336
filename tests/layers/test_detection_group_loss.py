"""DetectionGroupLoss: against its reference, place by place, and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from field_cases import Rule, loss, maps, weighted
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds

from vggrepro.errors import GradientError, NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Needed
from vggrepro.layers.detection_group_loss import DetectionGroupLoss

FIELDS = ((30, 20), (20, 30))
FIELD = "field_w: 30 field_h: 20 field_w: 20 field_h: 30 stride: 8 bg_threshold: 0.4"
STATE = [np.array([3, 0])]


def group_loss(text: str = "", classes: int = 3, more: str = "") -> DetectionGroupLoss:
    param = f"detection_group_loss_param {{ cls_num: {classes} {FIELD} {text} }}"
    made = parse(f'type: "DetectionGroupLoss" {param} {more}')
    assert isinstance(made, DetectionGroupLoss)
    return made


def inputs(seed: int, images: int, size: tuple[int, int], classes: int = 3) -> list[np.ndarray]:
    return [x.reshape(-1, *x.shape[2:]) for x in maps(seed, images, 2, classes, size)]


MINING = [
    'neg_mining_type: "random"',
    'neg_mining_type: "bootstrap" neg_ranking_type: "conf_prob"',
    'neg_mining_type: "bootstrap"',
    'neg_mining_type: "mixture"',
]
BATCH = ["bg_multiple: 2", "bg_multiple: 1 batch_size: 8", "bg_multiple: 3 batch_size: 200"]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    st.sampled_from(MINING),
    st.sampled_from(BATCH),
    st.sampled_from(["", "pos_neg_weighted: true", "field_xyr: 1 field_whr: 3"]),
    st.booleans(),
    st.sampled_from(["Smooth_L1", "Euclidean_L2"]),
    st.booleans(),
    seeds,
)
def test_group_loss(
    images: int,
    size: tuple[int, int],
    mining: str,
    batch: str,
    flags: str,
    binary: bool,
    kind: str,
    free: bool,
    seed: int,
) -> None:
    classes = 2 if binary else 3
    text = f'{mining} {batch} {flags} bbox_loss_type: "{kind}" objectness: {str(binary).lower()} lambda: 0.7'
    bottoms = inputs(seed, images, size, classes)
    dims = [(None, *b.shape[1:]) for b in bottoms] if free else None
    states = [np.array([seed % 99, 0])]
    check_forward(group_loss(text, classes), bottoms, states=states, dims=dims, rtol=1e-4)


@pytest.mark.parametrize("share", ["", "pos_neg_weighted: true"])
@pytest.mark.parametrize("batch", BATCH)
@pytest.mark.parametrize("mining", MINING)
def test_place_by_place(mining: str, batch: str, share: str) -> None:
    layer = group_loss(f"{mining} {batch} {share} field_xyr: 1 field_whr: 3 lambda: 0.7")
    scores, coded, right = maps(4, 2, 2, 3, (4, 5))
    bottoms = [x.reshape(-1, *x.shape[2:]) for x in (scores, coded, right)]
    (top,) = check_forward(layer, bottoms, states=STATE, rtol=1e-4)
    label, overlap = right[:, :, 0], right[:, :, 5]
    kept = np.zeros(label.shape, bool)
    keys = layer.sampling.draw_keys(2, 40, STATE[0])
    powers = np.exp(scores.astype(float))
    background = powers[:, :, 0] / powers.sum(2)
    multiple = layer.multiple
    for n in range(2):
        order = sorted(range(40), key=lambda p: keys[n][p])
        objects = [p for p in order if label[n].reshape(-1)[p] > 0]
        rest = [
            p for p in order if label[n].reshape(-1)[p] == 0 and overlap[n].reshape(-1)[p] < np.float32(0.4)
        ]
        most = len(objects) if layer.batch is None else round(layer.batch / (1 + multiple))
        most = min(most, len(objects))
        wanted = max(multiple * most, 5) if layer.batch is None else layer.batch - most
        wanted = min(wanted, len(rest))
        hard = {"random": 0, "bootstrap": wanted, "mixture": int(np.floor(wanted / 2 + 0.5))}[layer.mining]
        surest = sorted(rest, key=lambda p: (background[n].reshape(-1)[p], -p))[:hard]
        chosen = objects[:most] + surest + [p for p in rest if p not in surest][: wanted - hard]
        kept[n].reshape(-1)[chosen] = True
        assert len(set(chosen)) == most + wanted
    weights = np.ones(label.shape)
    if share:
        weights = weighted(kept, label, weights, multiple)
    rule = Rule(FIELDS, xyr=1, whr=3, balance=0.7)
    np.testing.assert_allclose(top.reshape(-1), loss(rule, scores, coded, right, kept, weights), rtol=1e-4)


@pytest.mark.parametrize("mining", MINING)
def test_gradient(mining: str) -> None:
    layer = group_loss(f"{mining} bg_multiple: 2 pos_neg_weighted: true lambda: 0.7")
    d_top = np.float32([[[[1, 0]]]])
    check_gradient(layer, inputs(6, 2, (4, 5)), states=STATE, d_tops=[d_top])


def test_gradient_of_one_bottom() -> None:
    layer, bottoms = group_loss(), inputs(7, 1, (3, 3))
    both = run_gradient(layer, bottoms, [], [np.ones((1, 1, 1, 2), np.float32)], states=STATE)
    needed = Needed((False, True, False), ())
    one = run_gradient(layer, bottoms, [], [np.ones((1, 1, 1, 2), np.float32)], states=STATE, needed=needed)
    assert one[0] is None and one[2] is None
    np.testing.assert_array_equal(one[1], both[1])


def test_refuses() -> None:
    for text, message in [
        ('neg_mining_type: "none"', "neg_mining_type must be random or bootstrap or mixture"),
        ('neg_ranking_type: "none"', "neg_ranking_type must be conf_prob or conf_loss"),
        ('bbox_loss_type: "L1"', "bbox_loss_type must be Smooth_L1 or Euclidean_L2"),
        ("batch_size: 0", "needs a batch_size above 0 or -1"),
        ("field_w: 9", "as many field_w as field_h"),
    ]:
        with pytest.raises(NetError, match=message):
            group_loss(text)
    with pytest.raises(UnsupportedError, match="ignore_label"):
        group_loss(more="loss_param { ignore_label: 3 }")
    layer = group_loss()
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be \(N \* 2, 3, H, W\)"):
        layer.out_shapes([(3, 3, 4, 4), (3, 4, 4, 4), (3, 6, 4, 4)])
    with pytest.raises(ShapeError, match=r"bottom\[2\] must be \(4, 6, 4, 4\)"):
        layer.out_shapes([(4, 3, 4, 4), (4, 4, 4, 4), (4, 5, 4, 4)])
    with pytest.raises(GradientError, match="cannot backpropagate to label"):
        run_gradient(
            layer,
            inputs(0, 1, (2, 2)),
            [],
            [np.ones((1, 1, 1, 2), np.float32)],
            states=STATE,
            needed=Needed((True, True, True), ()),
        )
