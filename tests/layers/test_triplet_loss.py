"""TripletLoss and TripletRankingHingeLoss: against its reference, the formula and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import assume, given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import ShapeError, UnsupportedError


def triplet(margin: float = 0.5) -> object:
    return parse(f'type: "TripletLoss" triplet_loss_param {{ margin: {margin} }}')


@few
@given(st.integers(1, 5), st.integers(1, 4), st.booleans(), st.floats(0, 2), seeds, st.data())
def test_by_formula(n: int, c: int, flat: bool, margin: float, seed: int, data: st.DataObject) -> None:
    shape = (n, c) if flat else (n, c, 1, 1)
    bottoms = [values(seed + i, shape) for i in range(3)]
    layer = triplet(margin)
    (loss,) = check_forward(layer, bottoms, dims=[data.draw(freed(shape)), shape, shape])
    a, p, m = (b.reshape(n, c).astype(float) for b in bottoms)
    excess = [margin + ((a[i] - p[i]) ** 2).sum() - ((a[i] - m[i]) ** 2).sum() for i in range(n)]
    assert loss == pytest.approx(sum(max(0, e) for e in excess) / n / 2, rel=1e-4, abs=1e-6)
    assume(min(map(abs, excess)) > 1e-3)
    check_gradient(layer, bottoms)


@few
@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from([(), (1,), (1, 1, 1)]), seeds, st.data())
def test_weights(n: int, c: int, ones: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    bottoms = [values(seed + i, (n, c)) for i in range(3)] + [values(seed + 3, (n, *ones), -1, 3)]
    layer = triplet(0.5)
    (loss,) = check_forward(layer, bottoms, dims=[data.draw(freed((n, c))), (n, c), (n, c), (n, *ones)])
    a, p, m = (b.astype(float) for b in bottoms[:3])
    excess = [0.5 + ((a[i] - p[i]) ** 2).sum() - ((a[i] - m[i]) ** 2).sum() for i in range(n)]
    weighted = sum(float(w) * max(0, e) for w, e in zip(bottoms[3].reshape(n), excess, strict=True))
    assert loss == pytest.approx(weighted / n / 2, rel=1e-4, abs=1e-6)
    assume(min(map(abs, excess)) > 1e-3)
    check_gradient(layer, bottoms)


def test_the_margin_as_a_threshold() -> None:
    assert parse('type: "TripletLoss" threshold_param { threshold: 0.2 }').margin == pytest.approx(0.2)


def test_with_a_threshold_all_axes_count() -> None:
    layer = parse('type: "TripletLoss" threshold_param { threshold: 3 }')
    bottoms = [values(seed, (3, 2, 3, 4)) for seed in range(3)]
    (loss,) = check_forward(layer, bottoms, dims=[(None, 2, 3, 4)] * 3)
    vectors = [bottom.reshape(3, 24) for bottom in bottoms]
    (same,) = check_forward(triplet(3), vectors)
    assert loss == pytest.approx(same, rel=1e-6)
    check_gradient(layer, bottoms)
    with pytest.raises(ShapeError, match="must have one shape"):
        layer.out_shapes([(3, 2, 3, 4), (3, 2, 3, 4), (3, 2, 4, 3)])


def test_a_triplet_at_the_margin_counts_no_more() -> None:
    a, p, n = (np.float32([[x]]) for x in (0, 0, 2))
    assert [d.item() for d in run_gradient(triplet(4), [a, p, n], [], [np.float32(1)])] == [0, 0, 0]
    assert [d.item() for d in run_gradient(triplet(5), [a, p, n], [], [np.float32(1)])] == [2, 0, -2]


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="margin must be given"):
        parse('type: "TripletLoss"')
    with pytest.raises(UnsupportedError, match="of 2 bottoms: forks differ"):
        parse("type: 'TripletLoss' bottom: 'x' bottom: 'label' triplet_loss_param { margin: 1 }")
    with pytest.raises(ShapeError, match="a weight for each triplet"):
        triplet().out_shapes([(2, 3)] * 3 + [(2, 2)])
    with pytest.raises(ShapeError, match="one shape"):
        triplet().out_shapes([(2, 3), (2, 3), (2, 4)])
    with pytest.raises(ShapeError):
        triplet().out_shapes([(2, 3, 2, 1)] * 3)


def ranking(text: str, more: str = "") -> object:
    return parse(f'type: "TripletRankingHingeLoss" {more} triplet_ranking_hinge_loss_param {{ {text} }}')


@few
@given(st.integers(1, 5), st.integers(1, 4), st.booleans(), st.floats(0, 2), seeds, st.data())
def test_ranking_by_formula(
    n: int, c: int, flat: bool, margin: float, seed: int, data: st.DataObject
) -> None:
    shape = (n, c) if flat else (n, c, 1, 1)
    bottoms = [values(seed + i, shape) for i in range(3)]
    layer = ranking(f"dim: {c} margin: {margin}")
    (loss,) = check_forward(layer, bottoms, dims=[data.draw(freed(shape[:1])) + shape[1:], shape, shape])
    a, p, m = (b.reshape(n, c).astype(float) for b in bottoms)
    excess = np.array([margin + ((a[i] - p[i]) ** 2).sum() - ((a[i] - m[i]) ** 2).sum() for i in range(n)])
    assert loss == pytest.approx(np.maximum(0, excess).sum() / n, rel=1e-4, abs=1e-6)
    assume(min(map(abs, excess)) > 1e-3)
    counts = (excess > 0)[:, None] * 4 / n
    for gradient, wanted in zip(
        run_gradient(layer, bottoms, [], [np.float32(7)]), (m - p, p - a, a - m), strict=True
    ):
        np.testing.assert_allclose(gradient.reshape(n, c), counts * wanted, rtol=1e-4, atol=1e-5)


def test_ranking_refuses() -> None:
    for text in ("margin: 1", "dim: 3 margin: 1 norm: L2"):
        with pytest.raises(UnsupportedError, match="forks differ; only that with a dim"):
            ranking(text)
    with pytest.raises(UnsupportedError, match="second top"):
        ranking("dim: 3 margin: 1", "top: 'loss' top: 'accuracy'")
    with pytest.raises(UnsupportedError, match="margin must be given"):
        ranking("dim: 3")
    with pytest.raises(ShapeError, match=r"must have 3 channels, got shape \(2, 4\)"):
        ranking("dim: 3 margin: 1").out_shapes([(2, 4)] * 3)
