from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError

LAYER = parse('type: "BatchReindex"')


@few
@given(shapes(), st.data(), seeds)
def test_any_picks(shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    picks = data.draw(st.lists(st.integers(0, shape[0] - 1), min_size=1, max_size=8))
    bottoms = [values(seed, shape), np.array(picks, np.float32)]
    dims = [data.draw(freed(shape)), data.draw(freed((len(picks),)))]
    check_forward(LAYER, bottoms, dims=dims)
    check_gradient(LAYER, bottoms)


def test_an_index_is_cut_to_a_whole_number() -> None:
    x = values(0, (3, 2))
    (y,) = check_forward(LAYER, [x, np.array([1.9, 0.2], np.float32)])
    np.testing.assert_array_equal(y, x[[1, 0]])


@pytest.mark.parametrize(("index", "message"), [(-1, "was negative"), (3, "was greater than batch size")])
def test_an_index_that_caffe_refuses(index: int, message: str) -> None:
    bottoms = [values(0, (3, 2)), np.array([0, index], np.float32)]
    with pytest.raises(NetError, match=message):
        LAYER.reference([np.asarray(b, np.float64) for b in bottoms], [], [])
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.InvalidArgument, match="out of data bounds"):
        check_forward(LAYER, bottoms)


def test_the_index_has_one_axis() -> None:
    with pytest.raises(ShapeError, match="index blob has one axis"):
        LAYER.out_shapes([(3, 2), (3, 1)])
