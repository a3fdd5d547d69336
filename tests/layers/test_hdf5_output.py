from __future__ import annotations

import pytest
from harness import check_forward, parse, run_gradient
from shape_cases import values

from vggrepro.errors import ShapeError

LAYER = parse('type: "HDF5Output" hdf5_output_param { file_name: "never-written.h5" }')


def test_a_sink_without_gradients() -> None:
    bottoms = [values(0, (2, 3)), values(0, (2,))]
    assert check_forward(LAYER, bottoms) == []
    assert run_gradient(LAYER, bottoms, [], []) == [None, None]


def test_both_have_the_same_number_of_items() -> None:
    with pytest.raises(ShapeError, match="num"):
        LAYER.out_shapes([(2, 3), (3,)])
