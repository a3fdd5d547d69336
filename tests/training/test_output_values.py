"""The elements of outputs."""

from __future__ import annotations

import numpy as np

from vggrepro.training.output_values import named_elements, value_of


def test_values_and_names() -> None:
    arrays = {"loss": np.float32(0.5), "one": np.ones((1, 1)), "each": np.array([[1, 2], [3, 4]])}
    values = {name: value_of(np.asarray(array)) for name, array in arrays.items()}
    assert values == {"loss": 0.5, "one": 1.0, "each": [1.0, 2.0, 3.0, 4.0]}
    assert list(named_elements(values)) == [
        ("loss", 0.5), ("one", 1.0), ("each[0]", 1.0), ("each[1]", 2.0), ("each[2]", 3.0), ("each[3]", 4.0),
    ]  # fmt: skip
