"""The loss of fields by itself: any places may count, with any weights."""

from __future__ import annotations

import numpy as np
import pytest
from field_cases import Rule, loss, maps, weighted
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.errors import NetError
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.field_loss import FieldLoss, Maps, emit_gradients, emit_shares, shares
from vggrepro.layers.rules.placed_fields import PlacedFields

FIELDS = ((30, 20), (20, 30))


@pytest.mark.parametrize("smooth", [True, False])
def test_any_places_and_weights(smooth: bool) -> None:
    rng = np.random.default_rng(0)
    scores, coded, right = maps(2, 2, 2, 3, (3, 4))
    kept = rng.random((2, 2, 3, 4)) < 0.5
    weights = rng.uniform(0.5, 2, kept.shape)
    rule = FieldLoss(3, PlacedFields(FIELDS, 8, None), BoxStatistics(), 0.3, smooth)
    flat = [x.reshape(*x.shape[:-2], 12) for x in (scores, coded, right)]
    arrays = Maps(flat[0], flat[1], flat[2][:, :, 0], flat[2][:, :, 1:5], flat[2][:, :, 5])
    feeds = {**dict(zip(Maps._fields, arrays, strict=True)), "kept": kept.reshape(2, 2, 12)}
    feeds["weights"] = weights.reshape(2, 2, 12).astype(np.float32)
    del feeds["overlap"]
    g = GraphBuilder("cpu")
    top, slopes = rule.emit(g, Maps(*Maps._fields), "kept", "weights", (3, 4))
    d_top = g.const([[[[2, 9]]]])
    found, d_scores, d_coded = run_nodes(g, feeds, [top, *emit_gradients(g, slopes, d_top)])
    plain = Rule(FIELDS, xyr=None, balance=0.3, smooth=smooth)
    np.testing.assert_allclose(found.reshape(-1), loss(plain, scores, coded, right, kept, weights), rtol=1e-4)
    assert not d_scores[~feeds["kept"].repeat(3, axis=1).reshape(d_scores.shape)].any()
    np.testing.assert_allclose(d_scores.sum(2), 0, atol=1e-6)
    assert (np.abs(d_coded).sum(2) > 0).sum() == (kept & (right[:, :, 0] != 0)).sum()


def test_shares() -> None:
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 2, (2, 1, 7)).astype(np.float32)
    label = rng.integers(0, 2, weights.shape)
    kept = rng.random(weights.shape) < 0.8
    groups = (kept & (label != 0), kept & (label == 0))
    g = GraphBuilder("cpu")
    name = emit_shares(g, "w", ("a", "b"), 3, g.const(float(kept.sum())))
    (found,) = run_nodes(g, {"w": weights, "a": groups[0], "b": groups[1]}, [name])
    np.testing.assert_allclose(found, weighted(kept, label, weights.astype(float), 3), rtol=1e-5)
    np.testing.assert_allclose(found, shares(weights.astype(float), groups, 3, float(kept.sum())), rtol=1e-5)
    none = np.zeros_like(kept)
    np.testing.assert_array_equal(shares(weights, (none, none), 3, 4), weights)


def test_refuses() -> None:
    for classes, binary in ((1, False), (3, True)):
        with pytest.raises(NetError, match="cls_num must be 2 or more, and 2 with objectness"):
            FieldLoss(classes, PlacedFields(FIELDS, 8, None), BoxStatistics(), binary=binary)
