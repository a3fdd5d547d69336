"""Rows of length 1 against NumPy's norms."""

from __future__ import annotations

import numpy as np

from vggrepro.layers.rules.unit_rows import unit_rows


def test_unit_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 3))
    found = unit_rows(rows, 0)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose(found * np.linalg.norm(rows, axis=1)[:, None], rows)
    np.testing.assert_allclose(unit_rows(rows[:1], 0.25), rows[:1] / np.sqrt((rows[0] ** 2).sum() + 0.25))
