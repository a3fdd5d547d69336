"""The counter-based masks look random from every side, and ONNX Runtime draws the same as NumPy.

Each statistic is a z-value, or is compared with what random matrix theory gives; the seeds are fixed,
so a test that passes once passes always.
"""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.layers.rules.bernoulli import Bernoulli

N, D = 128, 1024


def standardised(keep: float = 0.5, name: str = "drop6", seed: int = 7, first: int = 0) -> np.ndarray:
    """A mask (N, D) shifted and scaled to mean 0 and variance 1."""
    mask = Bernoulli.named(keep, name).draw(N, D, np.array([seed, first]))
    return (mask - keep) / np.sqrt(keep * (1 - keep))


def z_value(products: np.ndarray) -> float:
    return float(products.sum() / np.sqrt(products.size))


@pytest.mark.parametrize("keep", [0.1, 0.3, 0.5, 0.9, 0.999])
def test_means(keep: float) -> None:
    z = standardised(keep)
    assert abs(z_value(z)) < 4
    assert 0.6 < (z.mean(1) * np.sqrt(D)).var() < 1.5, "sample means vary as those of a binomial"
    assert 0.8 < (z.mean(0) * np.sqrt(N)).var() < 1.2, "and element means"


def test_neighbours_are_uncorrelated() -> None:
    z = standardised()
    for rows, columns in ((0, 1), (0, 2), (1, 0), (2, 0), (1, 1), (3, 5)):
        assert abs(z_value(z[rows:, columns:] * z[: N - rows, : D - columns])) < 4, (rows, columns)
    assert abs(z_value(z[:, :-2] * z[:, 1:-1] * z[:, 2:])) < 4
    assert abs(z_value(z[:-1, :-1] * z[1:, :-1] * z[:-1, 1:] * z[1:, 1:])) < 4, "corners of squares"


def test_any_two_samples_and_elements_are_uncorrelated() -> None:
    z = standardised()
    for matrix in (z, z.T):
        correlations = (matrix @ matrix.T / np.sqrt(matrix.shape[1]))[np.triu_indices(len(matrix), 1)]
        assert np.abs(correlations).max() < 5.5
        assert abs(correlations.var() - 1) < 0.05


def test_no_periods_and_no_low_rank() -> None:
    """The mask is built from one number for each row and each column; nothing of that may show."""
    z = standardised()
    spectrum = np.abs(np.fft.fft2(z)) ** 2 / z.size  # exponential with mean 1
    assert spectrum.max() < 20
    singular = np.linalg.svd(z, compute_uv=False)  # Marchenko and Pastur
    assert singular[0] < 1.03 * (np.sqrt(D) + np.sqrt(N))
    assert singular[-1] > 0.97 * (np.sqrt(D) - np.sqrt(N))


def test_seeds_layers_and_samples_tell_masks_apart() -> None:
    z = standardised()
    others = (standardised(seed=8), standardised(name="drop7"), standardised(first=N), standardised(seed=-1))
    for other in others:
        matches = np.fft.ifft2(np.fft.fft2(z) * np.conj(np.fft.fft2(other))).real / np.sqrt(z.size)
        assert np.abs(matches).max() < 6, "not even a shifted copy"


def test_one_cell_through_time() -> None:
    masks = Bernoulli.named(0.5, "drop6")
    cells = np.array([masks.draw(1, 3, np.array([seed, 0]))[0] for seed in range(4000)]) * 2.0 - 1
    assert np.abs(cells.sum(0) / np.sqrt(len(cells))).max() < 4
    assert (np.abs(np.fft.rfft(cells, axis=0)) ** 2 / len(cells))[1:].max() < 18


def test_a_mask_is_made_of_its_samples() -> None:
    masks = Bernoulli.named(0.3, "drop6")
    whole = masks.draw(10, 33, np.array([5, 100]))
    parts = [masks.draw(4, 33, np.array([5, 100])), masks.draw(6, 33, np.array([5, 104]))]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_extreme_probabilities_stay_in_range() -> None:
    for keep in (2.0**-40, 1 - 2.0**-40):
        masks = Bernoulli.named(keep, "l")
        assert -(2**31) <= masks.threshold < 2**31
        assert masks.draw(20, 20, np.array([0, 0])).mean() == round(keep)


def test_the_numbers_behind_a_mask() -> None:
    masks, state = Bernoulli.named(0.3, "drop6"), np.array([7, 0])
    shares = masks.draw_shares(N, D, state)
    assert (shares >= 0).all() and (shares < 1).all()
    np.testing.assert_array_equal(shares < 0.3, masks.draw(N, D, state))
