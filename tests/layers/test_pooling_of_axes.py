"""PoolingOfAxes: against its reference, window by window, central differences; how definitions ask for it."""

from __future__ import annotations

from itertools import product
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from harness import check_forward, check_gradient, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro import load_net, upgrade_net
from vggrepro.caffe.messages import TEST, LayerParameter
from vggrepro.errors import NetError, ParseError, ShapeError, UnsupportedError
from vggrepro.layers.pooling_of_axes import PoolingOfAxes


def pooling(text: str, tops: int = 1) -> PoolingOfAxes:
    param = text_format.Parse(f'type: "Pooling" pooling_param {{ {text} }}', LayerParameter())
    param.top.extend("yz"[:tops])
    return PoolingOfAxes.from_param(param, TEST)


def counted(size: int, extent: int, stride: int, pad: int) -> int:
    count = ceil((size + 2 * pad - extent) / stride) + 1
    return count - 1 if pad and (count - 1) * stride >= size + pad else count


@few
@given(st.integers(2, 3), st.data(), seeds)
def test_window_by_window(rank: int, data: st.DataObject, seed: int) -> None:
    def drawn(low: int, high: int) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    kernel, stride, gaps = drawn(1, 3), drawn(1, 3), drawn(1, 2)
    pads = [data.draw(st.integers(0, k - 1)) for k in kernel]
    fields = {"nd_kernel_size": kernel, "nd_stride": stride, "nd_pad": pads, "dilation": gaps}
    layer = pooling(" ".join(f"{name}: {value}" for name, many in fields.items() for value in many))
    x = values(seed, (2, 2, *[6, 5, 7][:rank]))
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, gaps, strict=True)]
    (top,) = check_forward(layer, [x], dims=[(None, *x.shape[1:])])
    assert top.shape[2:] == tuple(map(counted, x.shape[2:], extents, stride, pads))
    some_see_nothing = False
    for place in np.ndindex(*top.shape[2:]):
        seen = [
            [at for t in range(k) if 0 <= (at := i * s - p + t * d) < size]
            for i, k, s, p, d, size in zip(place, kernel, stride, pads, gaps, x.shape[2:], strict=True)
        ]
        found = [x[(slice(None), slice(None), *at)] for at in product(*seen)]
        some_see_nothing |= not found
        expected = np.max(found, axis=0) if found else np.full((2, 2), -np.finfo(np.float32).max)
        np.testing.assert_array_equal(top[(slice(None), slice(None), *place)], expected)
    if not some_see_nothing:  # -FLT_MAX leaves no digit to a central difference
        check_gradient(layer, [x])


def test_the_first_of_equal_maxima_gets_the_gradient() -> None:
    layer, x = pooling("kernel_size: 2 stride: 2 dilation: 2"), np.ones((1, 1, 3, 3), np.float32)
    (dx,) = run_gradient(layer, [x], [], [np.ones((1, 1, 1, 1), np.float32)])
    np.testing.assert_array_equal(np.argwhere(dx), [[0, 0, 0, 0]])


NET = """input: "x" input_shape { dim: 1 dim: 2 dim: 6 dim: 6 dim: 6 }
layer { name: "p" type: "Pooling" bottom: "x" top: "p"  # pad: 3
  pooling_param { pool: MAX kernel_size: 2 kernel_size: 3 kernel_size: 1 stride: 2 stride: 1 stride: 2 } }"""


def test_several_values_of_a_definition(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    net = load_net(path)
    assert net.outputs == {"p": (1, 2, 3, 4, 4)}
    assert (net.layers[-1].layer.kernel, net.layers[-1].layer.pad) == ((2, 3, 1), (0,))
    path.write_text(NET.replace("stride: 2 ", "stride: 2 kernel_sise: 2 "))
    with pytest.raises(ParseError, match="kernel_sise"):
        load_net(path)


def test_what_is_printed_is_what_the_fork_reads() -> None:
    text = upgrade_net(NET)
    assert text.count("kernel_size: ") == 3 and "nd_" not in text
    assert upgrade_net(text) == text


def test_a_dilation_of_1_is_a_common_pooling(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: 1 dim: 2 dim: 6 dim: 6 } layer { name: "p" type: "Pooling" bottom: "x"'
        ' top: "p" pooling_param { pool: AVE kernel_size: 2 dilation: 1 } }'
    )
    assert load_net(path).layers[-1].layer.type == "Pooling"
    path.write_text(path.read_text().replace("dilation: 1", "dilation: 2").replace("AVE", "MAX"))
    assert load_net(path).outputs == {"p": (1, 2, 4, 4)}


def test_refuses() -> None:
    for text, tops in (("pool: AVE kernel_size: 2 dilation: 2", 1), ("kernel_size: 2 dilation: 2", 2)):
        with pytest.raises(UnsupportedError, match="only MAX is implemented"):
            pooling(text, tops)
    for text in ("dilation: 2", "kernel_size: 2 dilation: 0", "kernel_h: 2 kernel_w: 0 dilation: 2"):
        with pytest.raises(NetError, match="cannot be zero"):
            pooling(text)
    with pytest.raises(NetError, match="stride_h and stride_w come together"):
        pooling("kernel_size: 2 stride_h: 2 dilation: 2")
    with pytest.raises(ShapeError, match="2 values of kernel_size for 3 axes"):
        pooling("nd_kernel_size: 2 nd_kernel_size: 2").out_shapes([(1, 2, 4, 4, 4)])
    with pytest.raises(ShapeError, match=r"no window of \(7, 7\) fits"):
        pooling("kernel_size: 4 dilation: 2").out_shapes([(1, 2, 4, 4)])
