"""The elements of outputs."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.errors import NetError
from vggrepro.training.output_values import OutputMeans, named_elements, value_of


def test_values_and_names() -> None:
    arrays = {"loss": np.float32(0.5), "one": np.ones((1, 1)), "each": np.array([[1, 2], [3, 4]])}
    values = {name: value_of(np.asarray(array)) for name, array in arrays.items()}
    assert values == {"loss": 0.5, "one": 1.0, "each": [1.0, 2.0, 3.0, 4.0]}
    assert list(named_elements(values)) == [
        ("loss", 0.5), ("one", 1.0), ("each[0]", 1.0), ("each[1]", 2.0), ("each[2]", 3.0), ("each[3]", 4.0),
    ]  # fmt: skip


def test_means_over_batches_of_several_sizes() -> None:
    means = OutputMeans("out", (2, 1))
    means.add(2, np.array([[1], [5]], np.float32))
    means.add(1, np.array([[4]], np.float32))
    assert means.scores() == {"out": [2.0, 5.0]}  # (2 * 1 + 1 * 4) / 3, and 5 alone
    with pytest.raises(NetError, match=r"'out': shape \(3, 1\) in one batch, \(2, 1\) in another"):
        means.add(3, np.zeros((3, 1), np.float32))
