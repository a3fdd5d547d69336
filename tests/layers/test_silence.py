from __future__ import annotations

from harness import check_forward, parse, run_gradient
from shape_cases import values

from vggrepro.layers.base import Needed

LAYER = parse('type: "Silence"')


def test_bottoms_get_zeros() -> None:
    bottoms = [values(0, (2, 3)), values(0, (4,)), values(0, (1, 2, 5))]
    assert check_forward(LAYER, bottoms, dims=[(None, 3), (4,), (1, 2, None)]) == []
    got = run_gradient(LAYER, bottoms, [], [], needed=Needed((True, False, True), ()))
    assert got[1] is None
    for bottom, d in ((bottoms[0], got[0]), (bottoms[2], got[2])):
        assert d.shape == bottom.shape and not d.any()
