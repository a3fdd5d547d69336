"""InstanceNorm: the shapes that it takes; its numbers are compared with those of its kin."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse

from vggrepro.errors import ShapeError


def test_each_channel_by_itself() -> None:
    x = np.float32([[[[1, 3]], [[10, 10]]]])
    (top,) = check_forward(parse('type: "InstanceNorm"'), [x])
    np.testing.assert_allclose(top, [[[[-(1.0001**-0.5), 1.0001**-0.5]], [[0, 0]]]], rtol=1e-6)
    with pytest.raises(ShapeError, match=r"must be \(N, C, H, W\)"):
        parse('type: "InstanceNorm"').out_shapes([(2, 3)])
