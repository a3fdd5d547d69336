from __future__ import annotations

import pytest
from harness import parse

from vggrepro.errors import NetError


def test_one_shape_for_all_or_one_for_each() -> None:
    tops = 'type: "Input" top: "a" top: "b"'
    one = parse(tops + " input_param { shape { dim: 2 dim: 3 } }")
    assert one.out_shapes([]) == ((2, 3), (2, 3))
    each = parse(tops + " input_param { shape { dim: 2 } shape { dim: 3 dim: 4 } }")
    assert each.out_shapes([]) == ((2,), (3, 4))
    assert each.source


def test_another_number_of_shapes_is_refused() -> None:
    with pytest.raises(NetError, match="once, once per top blob, or not at all: 3 tops vs"):
        parse('type: "Input" top: "a" top: "b" top: "c" input_param { shape { dim: 2 } shape { dim: 3 } }')
