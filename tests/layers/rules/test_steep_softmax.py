"""The gradient that steep softmax losses share: of a label that counts k times it is k times as large."""

from __future__ import annotations

import numpy as np
from harness import parse, run_gradient

from vggrepro.caffe.messages import TRAIN


def test_a_label_that_counts_three_times() -> None:
    scores, labels = np.float32([[1, 2, 0], [0, 1, 3]]), np.float32([1, 2])
    plain = run_gradient(
        parse('type: "SoftmaxWithLoss" top: "y"', TRAIN), [scores, labels], [], [np.float32(1)]
    )[0]
    weighted = parse(
        'type: "WeightedSoftmaxWithLoss" bottom: "x" bottom: "label" top: "y"'
        " softmax_param { pos_cid: 2 pos_mult: 3 }",
        TRAIN,
    )
    found = run_gradient(weighted, [scores, labels], [], [np.float32(1)])[0]
    np.testing.assert_allclose(found, plain * np.float32([[1], [3]]), rtol=1e-6)
    focal = parse('type: "FocalLoss" top: "y" focal_loss_param { alpha: 3 gamma: 0 }', TRAIN)
    found = run_gradient(focal, [scores, labels], [], [np.float32(1)])[0]
    np.testing.assert_allclose(found, plain * 3, rtol=1e-5)
